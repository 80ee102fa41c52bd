# SPDX-License-Identifier: Apache-2.0
"""The depth of a 3D model as a camera sees it: what Eq. 15 of DSAC* is trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.rasterise_mesh import NEAR, rasterise_mesh
from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.data.scene_model import SceneModel
    from dsac_core.geometry.camera import Camera

    FloatArray = NDArray[np.float64]


def render_depth(
    model: SceneModel,
    camera: Camera,
    world_T_cam: FloatArray,
    *,
    point_radius: float = 4.0,
) -> NDArray[np.float32]:
    """Depth [H x W] in metres along z of what each pixel's centre sees first, 0 for nothing.

    Distortion is left out: the image is that of the ideal pinhole of the camera's K. The surface
    of a mesh is met exactly and seen from both sides. Each point of a cloud is a disc of
    ``point_radius`` pixels that faces the camera, so it hides points behind it. Nothing nearer than
    5 cm is seen. ``world_T_cam`` [4 x 4] is the pose of the optical frame.

    Raises:
        ConfigError: The radius is not a positive number.
    """
    if not (np.isfinite(point_radius) and point_radius > 0):
        msg = f"point_radius must be a positive number of pixels, got {point_radius}"
        raise ConfigError(msg)
    points_N3 = (model.points_N3 - world_T_cam[:3, 3]) @ world_T_cam[:3, :3]
    if model.triangles_T3 is None:
        inverse_HW = _splat_points(points_N3, camera, point_radius)
    else:
        inverse_HW = rasterise_mesh(points_N3, model.triangles_T3, camera)
    seen_HW = inverse_HW > 0
    depth_HW = np.divide(1.0, inverse_HW, where=seen_HW, out=np.zeros_like(inverse_HW))
    return depth_HW.astype(np.float32)


def _splat_points(points_N3: FloatArray, camera: Camera, radius: float) -> FloatArray:
    """The largest inverse depth [H x W] of the discs that cover each pixel, 0 where none does."""
    width, height = camera.width, camera.height
    in_front = points_N3[points_N3[:, 2] >= NEAR]
    inverse = 1.0 / in_front[:, 2]
    u = camera.fx * in_front[:, 0] * inverse + camera.cx
    v = camera.fy * in_front[:, 1] * inverse + camera.cy
    near_image = (u >= -radius) & (u <= width - 1 + radius)
    near_image &= (v >= -radius) & (v <= height - 1 + radius)
    u, v, inverse = u[near_image], v[near_image], inverse[near_image]
    column, row = np.rint(u).astype(np.int64), np.rint(v).astype(np.int64)
    reach = int(np.ceil(radius + 0.5))
    nearest = np.zeros(height * width)
    for down in range(-reach, reach + 1):
        y = row + down
        half_squared = radius**2 - (y - v) ** 2
        reached = (half_squared >= 0) & (y >= 0) & (y < height)
        for right in range(-reach, reach + 1):
            x = column + right
            covered = reached & ((x - u) ** 2 <= half_squared) & (x >= 0) & (x < width)
            np.maximum.at(nearest, y[covered] * width + x[covered], inverse[covered])
    return nearest.reshape(height, width)
