# SPDX-License-Identifier: Apache-2.0
"""How large a scene is that was mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.training.cell_buffer import CellBuffer

_MOST_CELLS = 10_000


@torch.inference_mode()
def predicted_points(head: CoordinateHead, cells: CellBuffer, seed: int) -> torch.Tensor:
    """Scene points [N x 3] of some training cells, metres."""
    generator = torch.Generator().manual_seed(seed)
    predicted: torch.Tensor = head(cells.draw(min(cells.size, _MOST_CELLS), generator).features_BC)
    return predicted


def scene_bounds(points_N3: torch.Tensor) -> NDArray[np.float64]:
    """The box [2 x 3] that holds nearly all of the points."""
    points = points_N3.double().cpu().numpy()
    return np.asarray(np.quantile(points, [0.01, 0.99], axis=0), dtype=np.float64)
