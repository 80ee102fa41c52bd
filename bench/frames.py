# SPDX-License-Identifier: Apache-2.0
"""The frames of the benchmark: one image of 4800 cells, of which a known share is right.

f = 525 px, 640x480, 80x60 cells, depth uniform in 1 to 4 m. An outlier's scene point is uniform in
the box of the frame's scene points; its pixel, and its depth, stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.grid import cell_centres

CAMERA = Camera(width=640, height=480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
PIXELS = cell_centres(60, 80).double().numpy()
RGB, RGBD = "rgb", "rgbd"
INPUTS = (RGB, RGBD)
THRESHOLDS = {RGB: 10.0, RGBD: 0.10}  # of an inlier, px and metres
WARM_UP = 1_000_000  # a seed that no measured frame has
_CENTIMETRE = 0.01


@dataclass(frozen=True)
class Frame:
    """What the methods get, and what they are to find; float64."""

    input: str  # RGB or RGBD
    seed: int  # also of the methods' draws
    world_T_cam: np.ndarray  # [4 x 4]
    points: np.ndarray  # scene points [4800 x 3], metres
    inliers: np.ndarray  # bool [4800]
    camera_points: np.ndarray | None  # measured [4800 x 3], metres; RGB-D only


def make_frame(input_: str, share: float, noise: float, seed: int) -> Frame:
    """A frame that depends on nothing but the arguments.

    Args:
        input_: RGB: scene points are back-projected from noisy pixels. RGB-D: camera points are
            measured exactly, and the noise is that of the scene points.
        share: Probability of a cell to be an inlier.
        noise: Standard deviation along each axis, px with RGB, cm with RGB-D.
        seed: Decides all draws.
    """
    rng = np.random.default_rng(seed)
    count = len(PIXELS)
    world_T_cam = np.eye(4)
    world_T_cam[:3, :3] = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    world_T_cam[:3, 3] = rng.normal(size=3)
    depth = rng.uniform(1.0, 4.0, (count, 1))
    camera_points = None
    if input_ == RGB:
        true = _rays(PIXELS + rng.normal(scale=noise, size=(count, 2))) * depth
    else:
        camera_points = _rays(PIXELS) * depth
        true = camera_points + rng.normal(scale=noise * _CENTIMETRE, size=(count, 3))
    points = true @ world_T_cam[:3, :3].T + world_T_cam[:3, 3]
    inliers = rng.random(count) < share
    low, high = points.min(axis=0), points.max(axis=0)
    points[~inliers] = rng.uniform(low, high, (int((~inliers).sum()), 3))
    return Frame(input_, seed, world_T_cam, points, inliers, camera_points)


def _rays(pixels: np.ndarray) -> np.ndarray:
    ideal = (pixels - [CAMERA.cx, CAMERA.cy]) / [CAMERA.fx, CAMERA.fy]
    return np.column_stack([ideal, np.ones(len(pixels))])
