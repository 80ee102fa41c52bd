# SPDX-License-Identifier: Apache-2.0
"""Rows of a table, as an index has them."""

from __future__ import annotations

import pytest
import torch

from dsac_core.networks.row_lookup import rows_of


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("shape", [(0,), (7,), (3, 5)])
def test_rows_are_those_of_an_index(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(11, 4, generator=generator).to(dtype)
    table[3, 1] = torch.nan
    rows = torch.randint(11, shape, generator=generator)
    found = rows_of(table, rows)
    assert found.dtype == dtype
    assert torch.equal(found.nan_to_num(9.0), table[rows].nan_to_num(9.0))
