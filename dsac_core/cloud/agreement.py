# SPDX-License-Identifier: Apache-2.0
"""Which of the points that views of a place show are confirmed by the other views.

A point may project to where it was seen and still be at a wrong depth. So each point is looked for
in the other views: where they see a point in its direction, it should be at the same depth. What
hangs in the air in front of what others see does not survive that, nor what is far behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.frame import spread_indices
from dsac_core.geometry.grid import STRIDE
from dsac_core.geometry.pose import invert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera

    FloatArray = NDArray[np.float64]

_SAME_DEPTH = 0.05  # relative difference
_LEAST_SHARE = 0.5  # of the views that see something there
_LEAST_VIEWS = 2
_MOST_VIEWS = 100  # that are asked
_NEAREST = 0.05  # metres in front of a camera


@dataclass(frozen=True)
class SeenPoints:
    """Points [N x 3] that one view shows, metres."""

    points_N3: FloatArray
    world_T_cam: FloatArray
    camera: Camera  # of undistorted pixels


def confirmed(views: Sequence[SeenPoints]) -> list[NDArray[np.bool_]]:
    """For each view which of its points [N] the other views confirm.

    At least two others do (where there are so many), and half of those that see something there.
    """
    asked = sorted(spread_indices(len(views), _MOST_VIEWS))
    depths = {index: _depth_image(views[index]) for index in asked}
    least = min(_LEAST_VIEWS, len(views) - 1)
    masks = []
    for own, view in enumerate(views):
        seen, agreeing = np.zeros((2, len(view.points_N3)), dtype=np.int64)
        for other, depth_HW in depths.items():
            if other == own:
                continue
            depth, row, column, inside = _cells(views[other], view.points_N3)
            found = np.zeros(len(depth))
            found[inside] = depth_HW[row[inside], column[inside]]
            seen += found > 0
            agreeing += (found > 0) & (np.abs(depth - found) <= _SAME_DEPTH * found)
        masks.append((agreeing >= least) & (agreeing >= _LEAST_SHARE * seen))
    return masks


def _depth_image(view: SeenPoints) -> FloatArray:
    """How deep the view's points are, by cell; 0 where there is none."""
    depth_HW = np.zeros((view.camera.height // STRIDE, view.camera.width // STRIDE))
    depth, row, column, inside = _cells(view, view.points_N3)
    depth_HW[row[inside], column[inside]] = depth[inside]
    return depth_HW


def _cells(
    view: SeenPoints, points_N3: FloatArray
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Depth of points in a view, the row and column of the cell they are in, whether there is one.

    All [N].
    """
    camera, cam_T_world = view.camera, invert(view.world_T_cam)
    x, y, depth = (points_N3 @ cam_T_world[:3, :3].T + cam_T_world[:3, 3]).T
    ahead = np.maximum(depth, _NEAREST)
    column = np.floor((x / ahead * camera.fx + camera.cx + 0.5) / STRIDE)
    row = np.floor((y / ahead * camera.fy + camera.cy + 0.5) / STRIDE)
    inside = (depth > _NEAREST) & (row >= 0) & (row < camera.height // STRIDE)
    inside &= (column >= 0) & (column < camera.width // STRIDE)
    return depth, row.astype(np.int64), column.astype(np.int64), inside
