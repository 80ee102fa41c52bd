# SPDX-License-Identifier: Apache-2.0
"""Views of one wall confirm what is on it, and nothing before or behind it."""

from __future__ import annotations

import numpy as np
import pytest
from posed import on_wall
from stand_in import pose_near

from dsac_core.cloud.agreement import SeenPoints, confirmed
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.grid import cell_centres

CAMERA = Camera(320, 240, 500.0, 540.0, 151.0, 126.0)
PIXELS = cell_centres(CAMERA.height // 8, CAMERA.width // 8).double().numpy()


def view(seed: int, stretch: np.ndarray | float = 1.0) -> SeenPoints:
    """The wall as seen from somewhere, each point at ``stretch`` times its depth."""
    pose = pose_near(seed, 0.05)
    depth = (on_wall(CAMERA, pose, PIXELS) * stretch)[:, None]
    planar = (PIXELS - [CAMERA.cx, CAMERA.cy]) / [CAMERA.fx, CAMERA.fy]
    in_camera = np.hstack([planar * depth, depth])
    return SeenPoints(in_camera @ pose[:3, :3].T + pose[:3, 3], pose, CAMERA)


def inner(mask: np.ndarray) -> np.ndarray:
    """Of the middle of an image, where the other views look as well."""
    grid = mask.reshape(CAMERA.height // 8, CAMERA.width // 8)
    return grid[12:-12, 16:-16]


@pytest.mark.parametrize("wrong", [0.7, 1.4])
def test_points_at_a_wrong_depth_are_not_confirmed(wrong: float) -> None:
    stretch = np.where(np.arange(len(PIXELS)) % 5 == 0, wrong, 1.0)
    masks = confirmed([view(0, stretch), *(view(seed) for seed in range(1, 5))])
    assert not (masks[0] & (stretch != 1.0)).any()
    assert inner(masks[0] | (stretch != 1.0)).all()
    assert inner(masks[1]).mean() > 0.9


def test_what_differs_by_noise_agrees() -> None:
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.99, 1.01, (5, len(PIXELS)))
    masks = confirmed([view(seed, noise[seed]) for seed in range(5)])
    assert all(inner(mask).all() for mask in masks)


def test_most_of_those_that_look_there_have_to_agree() -> None:
    truth = [view(seed) for seed in range(3)]
    assert inner(confirmed([*truth, *(view(seed, 1.2) for seed in range(3, 5))])[0]).all()
    outvoted = [*truth, *(view(seed, 0.7 + 0.08 * seed) for seed in range(5, 12))]
    assert not inner(confirmed(outvoted)[0]).any()


def test_a_view_that_is_alone_is_believed_and_two_confirm_each_other() -> None:
    assert confirmed([view(0)])[0].all()
    assert inner(confirmed([view(0), view(1)])[0]).all()
    assert not confirmed([view(0), view(1, 1.3)])[0].any()
    assert confirmed([]) == []
