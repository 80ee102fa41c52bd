# SPDX-License-Identifier: Apache-2.0
"""The gate: true fixes pass, wrong ones do not, and a carried robot is believed in the end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.errors import ConfigError
from dsac_ros.gate import Fix, Gate, GateLimits

COVARIANCE = np.diag([0.02**2] * 3 + [0.01**2] * 3)


def planar(x: float, y: float, yaw: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0, 0, yaw]).as_matrix()
    pose[:2, 3] = x, y
    return pose


def perturbed(pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    error = rng.multivariate_normal(np.zeros(6), COVARIANCE)
    result = pose.copy()
    result[:3, 3] += error[:3]
    result[:3, :3] = Rotation.from_rotvec(error[3:]).as_matrix() @ pose[:3, :3]
    return result


def walk(count: int, rng: np.random.Generator, *, odometry: bool) -> list[Fix]:
    """1 m/s around a circle at 15 Hz; odometry starts somewhere else and slips by 2 %."""
    fixes = []
    slip = planar(4.0, -3.0, 1.0)
    before = planar(2.0, 0.0, np.pi / 2)
    odom = slip
    for index in range(count):
        angle = index / 15 / 2.0
        true = planar(2 * np.cos(angle), 2 * np.sin(angle), angle + np.pi / 2)
        step = np.linalg.inv(before) @ true
        step[:3, 3] *= 1.02
        odom, before = odom @ step, true
        fixes.append(Fix(index / 15, perturbed(true, rng), COVARIANCE, odom if odometry else None))
    return fixes


@pytest.mark.parametrize("odometry", [True, False])
def test_true_fixes_pass(odometry: bool) -> None:
    gate = Gate(GateLimits(initial_fixes=2))
    verdicts = [gate.check(fix) for fix in walk(300, np.random.default_rng(0), odometry=odometry)]
    assert not verdicts[0].accepted
    assert "1 of 2" in verdicts[0].reason
    assert all(verdict.accepted for verdict in verdicts[1:])


@pytest.mark.parametrize("odometry", [True, False])
def test_single_wrong_fixes_never_pass(odometry: bool) -> None:
    rng = np.random.default_rng(1)
    gate = Gate(GateLimits())
    for index, fix in enumerate(walk(200, rng, odometry=odometry)):
        if index > 2 and index % 3 == 0:
            wrong = fix.map_T_body @ planar(*rng.choice([-1, 1], 2) * rng.uniform(0.6, 3, 2), 0.4)
            verdict = gate.check(Fix(fix.stamp, wrong, COVARIANCE, fix.odom_T_body))
            assert not verdict.accepted, index
            assert "jump" in verdict.reason
        else:
            assert gate.check(fix).accepted == (index > 0)


def test_a_carried_robot_is_believed_after_agreeing_fixes() -> None:
    rng = np.random.default_rng(2)
    gate = Gate(GateLimits(jump_fixes=3))
    fixes = walk(60, rng, odometry=True)
    for fix in fixes[:30]:
        gate.check(fix)
    carried = planar(5.0, 1.0, 2.0)  # the wheels did not turn, the robot is elsewhere
    results = [
        gate.check(Fix(f.stamp, carried @ f.map_T_body, COVARIANCE, f.odom_T_body)).accepted
        for f in fixes[30:40]
    ]
    assert results == [False, False] + [True] * 8


def test_wrong_fixes_that_disagree_confirm_nothing() -> None:
    rng = np.random.default_rng(4)
    gate = Gate(GateLimits(initial_fixes=2))
    for index in range(50):
        wrong = planar(*rng.uniform(-20, 20, 2), rng.uniform(-3, 3))
        assert not gate.check(Fix(index / 15, wrong, COVARIANCE, np.eye(4))).accepted


def test_old_fixes_confirm_nothing() -> None:
    gate = Gate(GateLimits(initial_fixes=2, agree_within=5.0))
    pose = planar(1.0, 1.0, 0.0)
    assert not gate.check(Fix(0.0, pose, COVARIANCE)).accepted
    assert not gate.check(Fix(6.0, pose, COVARIANCE)).accepted
    assert gate.check(Fix(7.0, pose, COVARIANCE)).accepted


def test_reset_asks_for_agreement_again() -> None:
    gate = Gate(GateLimits(initial_fixes=2))
    pose = planar(1.0, 1.0, 0.0)
    assert [gate.check(Fix(t, pose, COVARIANCE)).accepted for t in (0.0, 0.1)] == [False, True]
    gate.reset()
    assert not gate.check(Fix(0.2, pose, COVARIANCE)).accepted


def test_one_initial_fix_trusts() -> None:
    assert Gate(GateLimits(initial_fixes=1)).check(Fix(0.0, np.eye(4), COVARIANCE)).accepted


def test_squared_distance_averages_six() -> None:
    """With honest covariances and no floor to speak of, as a chi-square of six degrees does."""
    rng = np.random.default_rng(5)
    gate = Gate(
        GateLimits(
            floor_translation=1e-6,
            floor_rotation=1e-6,
            odometry_translation=0.0,
            odometry_rotation=0.0,
        )
    )
    start, end = planar(1.0, 2.0, 0.3), planar(3.0, 1.0, 1.4)
    motion = np.linalg.inv(start) @ end
    distances = [
        gate.squared_distance(
            Fix(0.0, perturbed(start, rng), COVARIANCE, np.eye(4)),
            Fix(1.0, perturbed(end, rng), COVARIANCE, motion),
        )
        for _ in range(4000)
    ]
    assert np.mean(distances) == pytest.approx(6.0, rel=0.05)


@pytest.mark.parametrize(
    "wrong", [{"probability": 1.0}, {"initial_fixes": 0}, {"floor_rotation": 0.0}]
)
def test_limits_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="gate"):
        GateLimits(**wrong)  # type: ignore[arg-type]
