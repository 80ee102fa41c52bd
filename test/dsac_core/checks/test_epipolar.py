# SPDX-License-Identifier: Apache-2.0
"""Where a match can be: on that half of the epipolar line that is in front of both cameras."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_core.checks.epipolar import half_line_sight

FOCAL = np.array([500.0])


def rays(first: list[float], second: list[float]) -> np.ndarray:
    return np.array([[[*first, 1.0], [*second, 1.0]]])


def moved(*translation: float) -> np.ndarray:
    pose = np.eye(4)[None].copy()
    pose[0, :3, 3] = translation
    return pose


def test_a_point_in_front_has_its_depth():
    point = np.array([0.4, -0.2, 4.0])
    other = np.add(point, [-0.5, 0.1, 0.2])
    sight = half_line_sight(
        rays([0.1, -0.05], list(other[:2] / other[2])), moved(-0.5, 0.1, 0.2), FOCAL
    )
    assert sight.error_M[0] < 1e-9
    assert sight.depth_M[0] == pytest.approx(4.0)
    way = other[:2] / other[2] - point[:2] / point[2]
    assert sight.disparity_M[0] == pytest.approx(500.0 * np.linalg.norm(way))


def test_the_other_half_of_the_line_is_behind():
    """Where the shift is of the other sign, the line is the same and the point is not on it."""
    ahead = half_line_sight(rays([0.0, 0.0], [-0.1, 0.0]), moved(-1.0, 0.0, 0.0), FOCAL)
    behind = half_line_sight(rays([0.0, 0.0], [-0.1, 0.0]), moved(1.0, 0.0, 0.0), FOCAL)
    assert ahead.error_M[0] < 1e-9
    assert behind.error_M[0] == pytest.approx(50.0)


def test_a_turn_alone_leaves_one_place():
    sight = half_line_sight(rays([0.0, 0.0], [0.0, 0.02]), moved(0.0, 0.0, 0.0), FOCAL)
    assert sight.error_M[0] == pytest.approx(10.0)
    assert np.isinf(sight.depth_M[0])
    assert sight.disparity_M[0] == 0.0


def test_without_a_ray_nothing_agrees():
    sight = half_line_sight(rays([np.nan, 0.0], [0.0, 0.0]), moved(1.0, 0.0, 0.0), FOCAL)
    assert np.isinf(sight.error_M[0])
