# SPDX-License-Identifier: Apache-2.0
"""A scene in a map, from pairs that are noisy, wrong, or too few."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.alignment import align, pose_points
from dsac_core.errors import ConfigError
from dsac_core.geometry.pose import pose_error

TRUTH = np.eye(4)
TRUTH[:3, :3] = Rotation.from_euler("xyz", [0.1, -0.2, 2.0]).as_matrix()
TRUTH[:3, 3] = [3.0, -1.0, 0.5]
LEVEL = np.eye(4)
LEVEL[:3, :3] = Rotation.from_euler("z", 2.0).as_matrix()
LEVEL[:3, 3] = [3.0, -1.0, 0.5]


def moved(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ pose[:3, :3].T + pose[:3, 3])


def room(pairs: int, *, seed: int = 0, flat: bool = False) -> np.ndarray:
    """Points [N x 1 x 3] in 8 x 6 x 2 m."""
    points = np.random.default_rng(seed).uniform([-4, -3, 0], [4, 3, 2], (pairs, 1, 3))
    return points * [1, 1, 0] if flat else points


def noise(points: np.ndarray, sigma: float) -> np.ndarray:
    return points + np.random.default_rng(1).normal(scale=sigma, size=points.shape)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("pairs", [3, 4, 30])
def test_exact_points_give_the_truth(pairs: int, flat: bool) -> None:
    points = room(pairs, flat=flat)  # a robot drives on a floor
    found = align(points, moved(TRUTH, points))
    np.testing.assert_allclose(found.map_T_scene, TRUTH, atol=1e-9)
    assert found.used_N.all()
    assert found.residuals_N.max() < 1e-9
    assert found.scale == pytest.approx(1.0)


@pytest.mark.parametrize("pairs", [8, 40])
def test_noise_averages_out_and_wrong_pairs_are_left_out(pairs: int) -> None:
    points = room(pairs)
    target = noise(moved(TRUTH, points), 0.05)
    wrong = np.arange(pairs) % 4 == 1
    target[wrong] += np.random.default_rng(2).uniform(1.0, 5.0, target[wrong].shape)
    found = align(points, target)
    np.testing.assert_array_equal(found.used_N, ~wrong)
    metres, radians = pose_error(found.map_T_scene, TRUTH)
    assert metres < 0.1
    assert radians < math.radians(2)
    # Better than any three of them, as it is made from all that agree.
    again = align(points[~wrong], target[~wrong])
    np.testing.assert_allclose(found.map_T_scene, again.map_T_scene, atol=1e-9)


def test_planar_turns_about_z_alone() -> None:
    points = room(6)
    target = noise(moved(LEVEL, points), 0.02)
    target[..., 2] = 0.0  # the other localizer knows no height
    found = align(points, target, height=0.7)
    assert found.used_N.all()
    assert found.map_T_scene[2].tolist() == [0.0, 0.0, 1.0, 0.7]
    expected = LEVEL.copy()
    expected[2, 3] = 0.7
    metres, radians = pose_error(found.map_T_scene, expected)
    assert metres < 0.05
    assert radians < math.radians(1)


def test_planar_takes_two_pairs_or_a_straight_corridor() -> None:
    for pairs in (2, 10):
        corridor = np.linspace([0, 0, 0], [5, 1, 0], pairs)[:, None]
        target = moved(LEVEL, corridor)
        found = align(corridor, target, height=0.5)
        np.testing.assert_allclose(found.map_T_scene, LEVEL, atol=1e-9)
        with pytest.raises(ConfigError, match="at least 3 pairs" if pairs < 3 else "on a line"):
            align(corridor, target)


def test_poses_determine_what_their_positions_do_not() -> None:
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 0, 3] = np.linspace(0, 4, 5)
    poses[:, :3, :3] = Rotation.random(5, random_state=3).as_matrix()
    found = align(pose_points(poses), pose_points(TRUTH @ poses))
    np.testing.assert_allclose(found.map_T_scene, TRUTH, atol=1e-9)
    assert found.residuals_N.shape == (5,)
    # Poses of the camera in one file, of the base in the other.
    base_T_cam = np.eye(4)
    base_T_cam[:3, :3] = Rotation.from_euler("xyz", [-math.pi / 2, 0, -math.pi / 2]).as_matrix()
    with pytest.raises(ConfigError, match="different bodies"):
        align(pose_points(poses @ base_T_cam), pose_points(TRUTH @ poses))


@pytest.mark.parametrize("pairs", [0, 1, 2])
def test_too_few(pairs: int) -> None:
    with pytest.raises(ConfigError, match=f"at least 3 pairs, got {pairs}"):
        align(room(pairs), room(pairs))


@pytest.mark.parametrize("height", [None, 0.0])
def test_all_at_one_place(height: float | None) -> None:
    points = noise(np.zeros((5, 1, 3)), 0.01)
    with pytest.raises(ConfigError, match="at one place"):
        align(points, points, height=height)


def test_what_is_left_after_the_wrong_ones_must_determine_it_too() -> None:
    points = np.linspace([0, 0, 0], [5, 1, 0], 6)[:, None]
    points[0] = [1.0, 4.0, 0.0]
    target = moved(TRUTH, points)
    target[0] += 9.0
    with pytest.raises(ConfigError, match="on a line"):
        align(points, target)


def test_pairs_that_do_not_agree() -> None:
    points = room(8)
    with pytest.raises(ConfigError, match=r"only \d of 8 pairs agree within 0.3 m.*exchanged"):
        align(points, moved(TRUTH, points)[::-1] * [1, 1, -1])


@pytest.mark.parametrize("factor", [0.001, 100.0, 1.3])
def test_other_units_are_named(factor: float) -> None:
    points = room(10)
    with pytest.raises(ConfigError, match=f"{factor:.3g} times those in the scene.*metres"):
        align(points, factor * moved(TRUTH, points))


def test_a_slightly_other_scale_is_measured() -> None:
    points = room(10)
    found = align(points, 1.06 * moved(TRUTH, points), threshold=0.5)
    assert found.scale == pytest.approx(1.06)
