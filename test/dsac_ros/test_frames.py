# SPDX-License-Identifier: Apache-2.0
"""Camera to base, map to odom, and which covariances may be published."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.geometry.pose import invert, pose_error
from dsac_ros.frames import OdometryCorrection, body_pose, is_honest, map_to_odom

S = 1_000_000_000


def pose(xyz: list[float], rotvec: list[float]) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    result[:3, 3] = xyz
    return result


MAP_T_CAM = pose([1.0, 2.0, 1.4], [0.3, -1.2, 0.7])
BASE_T_CAM = pose([0.25, 0.1, 1.1], [-1.2, 1.2, -1.2])


def test_the_pose_of_the_base_carries_the_camera_where_it_was() -> None:
    map_T_base, _ = body_pose(MAP_T_CAM, np.eye(6), BASE_T_CAM)
    np.testing.assert_allclose(map_T_base @ BASE_T_CAM, MAP_T_CAM, atol=1e-12)


def test_covariance_of_the_base_is_that_of_sampled_camera_poses() -> None:
    rng = np.random.default_rng(3)
    root = rng.normal(size=(6, 6)) * np.array([[0.02] * 3 + [0.01] * 3]).T
    covariance = root @ root.T
    map_T_base, moved = body_pose(MAP_T_CAM, covariance, BASE_T_CAM)
    errors = []
    for sample in rng.multivariate_normal(np.zeros(6), covariance, 20_000):
        camera = MAP_T_CAM.copy()
        camera[:3, 3] += sample[:3]
        camera[:3, :3] = Rotation.from_rotvec(sample[3:]).as_matrix() @ MAP_T_CAM[:3, :3]
        base = camera @ invert(BASE_T_CAM)
        turn = Rotation.from_matrix(base[:3, :3] @ map_T_base[:3, :3].T).as_rotvec()
        errors.append(np.concatenate([base[:3, 3] - map_T_base[:3, 3], turn]))
    sampled = np.cov(np.array(errors).T)
    scale = np.sqrt(np.outer(np.diag(moved), np.diag(moved)))
    np.testing.assert_allclose(sampled / scale, moved / scale, atol=0.05)
    assert is_honest(moved)


def test_odometry_through_the_correction_gives_the_pose_in_the_map() -> None:
    odom_T_base = pose([3.0, -1.0, 0.0], [0.0, 0.0, 2.0])
    map_T_base = pose([1.0, 2.0, 0.0], [0.0, 0.0, -0.5])
    map_T_odom = map_to_odom(map_T_base, odom_T_base)
    assert pose_error(map_T_odom @ odom_T_base, map_T_base) == pytest.approx((0.0, 0.0), abs=1e-7)


def without(index: int, value: float) -> np.ndarray:
    covariance = 1e-4 * np.eye(6)
    covariance[index, index] = value
    return covariance


@pytest.mark.parametrize(
    "covariance",
    [
        np.zeros((6, 6)),
        without(5, 0.0),
        without(2, -1e-4),
        without(0, np.nan),
        without(0, np.inf),
        np.eye(3),
        1e-4 * (np.eye(6) + 2.0 * np.eye(6)[[1, 0, 2, 3, 4, 5]]),  # correlations beyond one
        1e-4 * (np.eye(6) + np.triu(np.full((6, 6), 0.1), 1)),  # not symmetric
    ],
)
def test_no_covariance_that_lies(covariance: np.ndarray) -> None:
    assert not is_honest(covariance)


def test_an_honest_covariance_may_mix_scales() -> None:
    assert is_honest(np.diag([1e-2, 1e-2, 4.0, 1e-9, 1e-9, 1e-9]))


def test_correction_is_post_dated_in_the_clock_of_the_images() -> None:
    correction = OdometryCorrection()
    assert correction.stamped(now=0, tolerance=0.1) is None
    # An image of a bag: its stamps have nothing to do with the clock on the wall.
    correction.update(np.eye(4), image_stamp=50 * S, arrival=9000 * S)
    _, stamp = correction.stamped(now=9000 * S + S // 2, tolerance=0.1) or (None, 0)
    assert stamp == 50 * S + S // 2 + S // 10
    correction.clear()
    assert correction.stamped(now=9001 * S, tolerance=0.1) is None


def test_the_time_of_tf_never_goes_back() -> None:
    correction = OdometryCorrection()
    correction.update(np.eye(4), image_stamp=10 * S, arrival=10 * S)
    _, first = correction.stamped(now=11 * S, tolerance=0.1) or (None, 0)
    # The next image took 0.2 s longer to come.
    correction.update(np.eye(4), image_stamp=10 * S + S // 2, arrival=11 * S)
    _, second = correction.stamped(now=11 * S, tolerance=0.1) or (None, 0)
    assert second > first
