# SPDX-License-Identifier: Apache-2.0
"""Cell centres."""

from __future__ import annotations

import torch

from dsac_core.geometry.grid import cell_centres


def test_centre_of_cell_i_is_at_8_i_plus_3_5() -> None:
    centres = cell_centres(60, 80)
    assert centres.shape == (4800, 2)
    for row, column in ((0, 0), (0, 79), (59, 0), (17, 33)):
        assert centres[row * 80 + column].tolist() == [8 * column + 3.5, 8 * row + 3.5]


def test_a_centre_is_the_mean_of_its_pixels() -> None:
    x = torch.arange(24, dtype=torch.float32).reshape(3, 8).mean(dim=1)
    assert cell_centres(1, 3)[:, 0].tolist() == x.tolist()
    assert cell_centres(2, 2, stride=1).tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def test_no_cells() -> None:
    assert cell_centres(0, 5).shape == (0, 2)
