# SPDX-License-Identifier: Apache-2.0
"""Depth of one camera, as another camera beside it would have measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera


def register_depth(
    depth_HW: NDArray[np.float32],
    depth_camera: Camera,
    colour_camera: Camera,
    colour_T_depth: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Warp depth [H x W] (metres, 0 is none) into the colour camera [H' x W'].

    Each reading lands on its nearest pixel, and the nearest reading wins; pixels that none lands
    on have no depth (0). Both cameras are taken without distortion.
    """
    v, u = np.nonzero(depth_HW > 0)
    z = depth_HW[v, u].astype(np.float64)
    rays = np.stack(
        [
            (u - depth_camera.cx) / depth_camera.fx,
            (v - depth_camera.cy) / depth_camera.fy,
            np.ones_like(z),
        ]
    )
    points = colour_T_depth[:3, :3] @ (rays * z) + colour_T_depth[:3, 3:]
    points = points[:, points[2] > 0]
    columns = np.rint(points[0] / points[2] * colour_camera.fx + colour_camera.cx).astype(np.int64)
    rows = np.rint(points[1] / points[2] * colour_camera.fy + colour_camera.cy).astype(np.int64)
    width, height = colour_camera.width, colour_camera.height
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    nearest = np.full(height * width, np.inf, dtype=np.float32)
    target = rows[inside] * width + columns[inside]
    np.minimum.at(nearest, target, points[2, inside].astype(np.float32))
    nearest[np.isinf(nearest)] = 0.0
    return nearest.reshape(height, width)
