# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from dsac_core.geometry.pose import invert
from dsac_core.synthetic import WALKS, OdometryOptions, RoomOptions, walk_poses
from dsac_core.synthetic.odometry import measure
from dsac_core.synthetic.walk import STATE_RATE

PERFECT = OdometryOptions(0.0, 0.0, 0.0, 0.0, 0.0)


def drift(walk, odometry):
    """Distance [M] in the plane between odometry and truth, both from the first state."""
    truth = invert(walk.world_T_base[0]) @ walk.world_T_base
    return np.linalg.norm(odometry.odom_T_base[:, :2, 3] - truth[:, :2, 3], axis=1)


@pytest.mark.parametrize("name", WALKS)
def test_without_errors_it_is_the_walk(name):
    walk = walk_poses(name, RoomOptions())
    assert drift(walk, measure(walk, PERFECT)).max() < 0.01  # the shaking is not in the plane


@pytest.mark.parametrize("name", WALKS)
@pytest.mark.parametrize("seed", range(5))
def test_drift_grows_but_stays_within_its_covariance(name, seed):
    walk = walk_poses(name, RoomOptions())
    odometry = measure(walk, OdometryOptions(seed=seed))
    error = drift(walk, odometry)
    way = np.linalg.norm(np.diff(walk.world_T_base[:, :2, 3], axis=0), axis=1).sum()
    assert 0.005 * way < error.max() < 0.10 * way
    sigma = np.sqrt(odometry.covariance[:, 0, 0])
    assert (error < 4 * sigma + 0.01).all()
    assert (np.diff(odometry.covariance[:, 0, 0]) >= 0).all()


def test_twist_is_the_step_it_made():
    walk = walk_poses("test", RoomOptions())
    odometry = measure(walk)
    for at in (1, 100, 400):
        step = invert(odometry.odom_T_base[at - 1]) @ odometry.odom_T_base[at]
        yaw = np.arctan2(step[1, 0], step[0, 0])
        assert odometry.twist[at, 2] == pytest.approx(yaw * STATE_RATE, abs=1e-6)
        assert np.linalg.norm(odometry.twist[at, :2]) == pytest.approx(
            np.linalg.norm(step[:2, 3]) * STATE_RATE, abs=1e-6
        )


def test_the_seed_decides():
    walk = walk_poses("test", RoomOptions())
    one, same = measure(walk, OdometryOptions(seed=1)), measure(walk, OdometryOptions(seed=1))
    other = measure(walk, OdometryOptions(seed=2))
    np.testing.assert_array_equal(one.odom_T_base, same.odom_T_base)
    assert np.abs(one.odom_T_base[-1] - other.odom_T_base[-1]).max() > 1e-3


def test_the_odometry_frame_starts_where_the_robot_does_and_stays_level():
    odometry = measure(walk_poses("mapping", RoomOptions()))
    np.testing.assert_allclose(odometry.odom_T_base[0], np.eye(4), atol=1e-12)
    np.testing.assert_array_equal(odometry.odom_T_base[:, 2, 3], 0.0)
