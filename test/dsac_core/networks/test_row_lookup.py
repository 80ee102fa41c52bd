# SPDX-License-Identifier: Apache-2.0
"""Rows of a table, as an index has them, and in few different numbers."""

from __future__ import annotations

import pytest
import torch

from dsac_core.networks.row_lookup import of_few_sizes, rows_of


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


@pytest.mark.parametrize(("count", "padded"), [(0, 0), (1, 500), (500, 500), (501, 1000)])
def test_rows_of_zeros_fill_them_up(count: int, padded: int) -> None:
    rows = torch.ones(count, 3, dtype=torch.bfloat16)
    found = of_few_sizes(rows)
    assert found.shape == (padded, 3)
    assert found.dtype == rows.dtype
    assert torch.equal(found[:count], rows)
    assert not found[count:].any()
