# SPDX-License-Identifier: Apache-2.0
"""A slanted wall full of rectangles, seen on a walk along it: quick to render, rich in corners."""

from __future__ import annotations

import cv2
import numpy as np
from posed import DISTANCE, NORMAL, on_wall, pixel_grid
from recordings import Recording
from stand_in import pose_near

from dsac_core.data.frame import Frame
from dsac_core.geometry.camera import Camera

CAMERA = Camera(320, 240, 300.0, 310.0, 155.0, 122.0)
_PIXELS_A_METRE = 200.0
_SIDE = 6.0  # metres


def wall_recording(count: int, step: float = 0.2) -> Recording:
    """Views ``step`` metres apart, with depth."""
    texture = _posters()
    frames = []
    for index in range(count):
        pose = pose_near(index, 0.03)
        pose[0, 3] += step * index
        frames.append(_view(texture, f"{index}", pose))
    return Recording(frames)


def _posters() -> np.ndarray:
    rng = np.random.default_rng(0)
    side = round(_SIDE * _PIXELS_A_METRE)
    texture = np.full((side, side, 3), 128, np.uint8)
    for _ in range(3000):
        x, y = rng.integers(0, side, 2).tolist()
        width, height = rng.integers(8, 60, 2).tolist()
        colour = rng.integers(0, 256, 3).tolist()
        cv2.rectangle(texture, (x, y), (x + width, y + height), colour, -1)
    return texture


def _view(texture: np.ndarray, name: str, world_T_cam: np.ndarray) -> Frame:
    pixels = pixel_grid(CAMERA.width, CAMERA.height)
    depth = on_wall(CAMERA, world_T_cam, pixels)
    planar = (pixels - [CAMERA.cx, CAMERA.cy]) / [CAMERA.fx, CAMERA.fy]
    rays = np.column_stack([planar, np.ones(len(planar))]) * depth[:, None]
    points = rays @ world_T_cam[:3, :3].T + world_T_cam[:3, 3]
    right = np.cross([0.0, 1.0, 0.0], NORMAL)
    right /= np.linalg.norm(right)
    on_plane = (points - DISTANCE * NORMAL) @ np.column_stack([right, np.cross(NORMAL, right)])
    place = ((on_plane + _SIDE / 2) * _PIXELS_A_METRE).astype(np.float32)
    shape = (CAMERA.height, CAMERA.width)
    image = cv2.remap(texture, place.reshape(*shape, 2), None, cv2.INTER_LINEAR)
    return Frame(name, 0.0, image, CAMERA, world_T_cam, depth.reshape(shape).astype(np.float32))
