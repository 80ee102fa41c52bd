# SPDX-License-Identifier: Apache-2.0
"""Poses between poses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.geometry.pose import pose_error
from dsac_core.geometry.trajectory import MAX_GAP, Trajectory

MS = 1_000_000


def pose(x: float, yaw: float) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = Rotation.from_rotvec([0, 0, yaw]).as_matrix()
    result[0, 3] = x
    return result


def test_between_two_poses() -> None:
    trajectory = Trajectory([(300 * MS, pose(2.0, 1.0)), (100 * MS, pose(1.0, 0.2))])
    middle = trajectory.at(150 * MS)
    assert middle is not None
    assert pose_error(middle, pose(1.25, 0.4)) == pytest.approx((0.0, 0.0), abs=1e-7)
    assert trajectory.at(100 * MS) is not None
    assert trajectory.at(300 * MS) is not None


def test_outside_and_in_gaps_nothing_is_known() -> None:
    trajectory = Trajectory([(0, pose(0, 0)), (MAX_GAP + 1, pose(1, 0))])
    assert trajectory.at(-1) is None
    assert trajectory.at(MAX_GAP // 2) is None
    assert trajectory.at(MAX_GAP + 2) is None
    assert Trajectory([]).at(0) is None
    assert Trajectory([]).positions_N3.shape == (0, 3)


def test_the_longest_gap_can_be_chosen() -> None:
    samples = [(0, pose(0, 0)), (100 * MS, pose(1, 0))]
    assert Trajectory(samples, max_gap=100 * MS).at(50 * MS) is not None
    assert Trajectory(samples, max_gap=100 * MS - 1).at(50 * MS) is None


def test_a_longer_gap_at_rest() -> None:
    still = [(0, pose(1.0, 0.2)), (5 * MAX_GAP, pose(1.019, 0.2 + np.radians(0.9)))]
    assert Trajectory(still).at(MAX_GAP) is None
    assert Trajectory(still, max_still_gap=5 * MAX_GAP).at(MAX_GAP) is not None
    assert Trajectory(still, max_still_gap=5 * MAX_GAP - 1).at(MAX_GAP) is None
    for moved in (pose(1.021, 0.2), pose(1.0, 0.2 + np.radians(1.1))):
        ends = [(0, pose(1.0, 0.2)), (5 * MAX_GAP, moved)]
        assert Trajectory(ends, max_still_gap=5 * MAX_GAP).at(MAX_GAP) is None


def test_the_same_poses_joined_over_more() -> None:
    apart = Trajectory([(0, pose(0, 0)), (2 * MAX_GAP, pose(1, 0))])
    assert apart.at(MAX_GAP) is None
    middle = apart.with_max_gap(2 * MAX_GAP).at(MAX_GAP)
    assert middle is not None
    assert middle[0, 3] == pytest.approx(0.5)
