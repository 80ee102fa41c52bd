# SPDX-License-Identifier: Apache-2.0
"""A slanted wall with a smooth pattern, seen by any camera, and recordings in memory."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from dsac_core.geometry.camera import Camera
from dsac_core.training.posed_images import PosedImage

CAMERA = Camera(160, 120, 150.0, 170.0, 71.0, 66.0)  # of no symmetry
NORMAL = np.array([0.3, -0.4, np.sqrt(0.75)])  # of the wall, whose points X have NORMAL @ X = 2
DISTANCE = 2.0


def camera_pose(seed: int = 0) -> np.ndarray:
    """world_T_cam some decimetres and degrees from the origin, where the wall is in view."""
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rng.normal(scale=0.15, size=3)).as_matrix()
    pose[:3, 3] = rng.normal(scale=0.2, size=3)
    return pose


def pixel_grid(width: int, height: int) -> np.ndarray:
    """Centres of all pixels [H * W x 2], row by row."""
    y, x = np.mgrid[0:height, 0:width]
    return np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)


def pattern(pixels_N2: np.ndarray) -> np.ndarray:
    """The gray values [N] of an image at its pixels, smooth and without symmetry."""
    x, y = pixels_N2.T
    waves = np.sin(x / 9 + 0.3) + np.cos(y / 7) + 0.8 * np.sin((x + 2 * y) / 17)
    return np.asarray(127.0 + 40.0 * waves)


def on_wall(camera: Camera, world_T_cam: np.ndarray, pixels_N2: np.ndarray) -> np.ndarray:
    """Depth [N] of the wall at pixels of an ideal camera."""
    planar = (pixels_N2 - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    rays = np.column_stack([planar, np.ones(len(planar))]) @ world_T_cam[:3, :3].T
    return np.asarray((DISTANCE - NORMAL @ world_T_cam[:3, 3]) / (rays @ NORMAL))


def wall_image(
    camera: Camera = CAMERA, seed: int = 0, *, with_depth: bool = True, with_mask: bool = False
) -> PosedImage:
    """A training image; the mask takes away a corner."""
    pose = camera_pose(seed)
    pixels, shape = pixel_grid(camera.width, camera.height), (camera.height, camera.width)
    gray = np.rint(pattern(pixels)).astype(np.uint8).reshape(shape)
    depth = on_wall(camera, pose, pixels).astype(np.float16).reshape(shape)
    seen = (pixels.sum(axis=1) > 70).reshape(shape)
    return PosedImage(
        torch.from_numpy(gray),
        torch.from_numpy(seen) if with_mask else None,
        torch.from_numpy(depth) if with_depth else None,
        camera,
        pose,
    )
