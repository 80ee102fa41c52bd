# SPDX-License-Identifier: Apache-2.0
"""Registration against a loop over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsac_core.data.register_depth import register_depth
from dsac_core.geometry.camera import Camera

DEPTH_CAMERA = Camera(40, 30, 36.0, 35.0, 20.3, 14.8)
COLOUR_CAMERA = Camera(50, 32, 39.0, 41.0, 24.2, 16.1)


def brute_force(depth: np.ndarray, colour_T_depth: np.ndarray) -> np.ndarray:
    result = np.zeros((COLOUR_CAMERA.height, COLOUR_CAMERA.width))
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            z = float(depth[v, u])
            if z <= 0:
                continue
            x = (u - DEPTH_CAMERA.cx) / DEPTH_CAMERA.fx * z
            y = (v - DEPTH_CAMERA.cy) / DEPTH_CAMERA.fy * z
            point = colour_T_depth @ [x, y, z, 1]
            if point[2] <= 0:
                continue
            column = round(point[0] / point[2] * COLOUR_CAMERA.fx + COLOUR_CAMERA.cx)
            row = round(point[1] / point[2] * COLOUR_CAMERA.fy + COLOUR_CAMERA.cy)
            if 0 <= column < COLOUR_CAMERA.width and 0 <= row < COLOUR_CAMERA.height:
                before = result[row, column]
                result[row, column] = point[2] if before == 0 else min(before, point[2])
    return result


def test_it_is_the_loop_over_pixels(rigid: Any) -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 4.0, (30, 40)).astype(np.float32)
    depth[rng.random((30, 40)) < 0.2] = 0.0
    colour_T_depth = rigid([0.05, -0.03, 0.02], [0.05, -0.1, 0.15])
    registered = register_depth(depth, DEPTH_CAMERA, COLOUR_CAMERA, colour_T_depth)
    np.testing.assert_allclose(registered, brute_force(depth, colour_T_depth), atol=1e-5)
    assert registered.dtype == np.float32


def test_the_same_camera_changes_nothing() -> None:
    depth = np.random.default_rng(1).uniform(0, 4, (30, 40)).astype(np.float32)
    same = register_depth(depth, DEPTH_CAMERA, DEPTH_CAMERA, np.eye(4))
    np.testing.assert_allclose(same, depth, atol=1e-6)


def test_points_behind_the_other_camera_are_left_out(rigid: Any) -> None:
    depth = np.full((30, 40), 1.0, dtype=np.float32)
    assert (register_depth(depth, DEPTH_CAMERA, COLOUR_CAMERA, rigid([0, 0, -2.0])) == 0).all()


def test_nan_is_no_reading() -> None:
    depth = np.full((30, 40), np.nan, dtype=np.float32)
    assert (register_depth(depth, DEPTH_CAMERA, COLOUR_CAMERA, np.eye(4)) == 0).all()
