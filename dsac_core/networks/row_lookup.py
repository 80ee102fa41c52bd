# SPDX-License-Identifier: Apache-2.0
"""Rows of a table of features, many at once."""

from __future__ import annotations

import torch
from torch.nn import functional


def rows_of(table_NC: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``table_NC[rows]`` [... x C], without a derivative in the table.

    On a CPU an embedding copies whole rows, where an index of tensors in half precision goes
    number by number: 2048 rows of 128 numbers take 0.07 ms instead of 0.7.

    Args:
        table_NC: Of any precision.
        rows: Of any shape, int64, on the table's device.
    """
    return functional.embedding(rows, table_NC.detach())
