# SPDX-License-Identifier: Apache-2.0
"""Correspondences of one image whose pose is known."""

from __future__ import annotations

import numpy as np
import torch

from dsac_core.geometry.camera import Camera
from dsac_core.ransac.correspondences import Correspondences

CAMERA = Camera(160, 120, 130.0, 128.0, 80.5, 58.0)
LENS = Camera(160, 120, 130.0, 128.0, 80.5, 58.0, "plumb_bob", (-0.25, 0.08, 0.001, 0.002, 0.0))


def pixels_and_points(
    camera: Camera, scene_T_cam: np.ndarray, count: int = 40, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Undistorted pixels [N x 2] all over the image, and the points [N x 3] that they show."""
    rng = np.random.default_rng(seed)
    inner = np.array([camera.width, camera.height]) * rng.uniform(0.2, 0.8, (count, 2))
    depth = rng.uniform(1.0, 4.0, count)[:, None]
    rays = (inner - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    seen = np.column_stack([rays * depth, depth])
    return inner, seen @ scene_T_cam[:3, :3].T + scene_T_cam[:3, 3]


def correspondences(
    pixels: np.ndarray,
    points: np.ndarray,
    camera: Camera,
    *,
    weights: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
) -> Correspondences:
    return Correspondences.of_image(
        torch.from_numpy(pixels),
        torch.from_numpy(points),
        camera,
        None if weights is None else torch.from_numpy(weights),
        source_N=None if landmarks is None else torch.from_numpy(landmarks),
    )
