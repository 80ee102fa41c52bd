# SPDX-License-Identifier: Apache-2.0
"""Where the cells of a network's output lie in its input image."""

from __future__ import annotations

import torch

STRIDE = 8


def cell_centres(rows: int, columns: int, stride: int = STRIDE) -> torch.Tensor:
    """Pixel positions (x, y) [rows * columns x 2] of the centres of output cells, row by row.

    Cell i covers the pixels stride * i ... stride * i + stride - 1, and pixel 0 has its centre at
    0, so the centre of cell i is at stride * i + (stride - 1) / 2: 8 i + 3.5 at stride 8.
    """
    offset = (stride - 1) / 2
    y = torch.arange(rows, dtype=torch.float32) * stride + offset
    x = torch.arange(columns, dtype=torch.float32) * stride + offset
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
