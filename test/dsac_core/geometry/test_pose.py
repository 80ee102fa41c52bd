# SPDX-License-Identifier: Apache-2.0
"""Poses against SciPy, covariances against sampled poses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from dsac_core.geometry.pose import (
    from_quaternion,
    interpolate,
    invert,
    is_rigid,
    pose_error,
    rotate_covariance,
    to_quaternion,
    transport_covariance,
)


def pose(xyz: list[float], rotvec: list[float]) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    result[:3, 3] = xyz
    return result


A_T_B = pose([1.0, -2.0, 0.5], [0.3, -1.2, 0.7])
B_T_C = pose([0.4, 0.3, -0.8], [-0.5, 0.1, 2.0])


def test_a_quaternion_makes_the_matrix_of_scipy() -> None:
    xyzw = [0.1, -0.2, 0.3, 0.9]
    made = from_quaternion([1, 2, 3], xyzw)
    expected = pose([1, 2, 3], Rotation.from_quat(xyzw).as_rotvec())
    np.testing.assert_allclose(made, expected, atol=1e-15)
    np.testing.assert_allclose(from_quaternion([1, 2, 3], np.multiply(7, xyzw)), expected)


def test_x_y_z_w_is_the_order_and_x_turns_y_to_z() -> None:
    quarter = from_quaternion([0, 0, 0], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    np.testing.assert_allclose(quarter @ [0, 1, 0, 1], [0, 0, 1, 1], atol=1e-15)


def test_a_zero_quaternion_is_refused() -> None:
    with pytest.raises(ValueError, match="zero norm"):
        from_quaternion([0, 0, 0], [0, 0, 0, 0])


def test_a_pose_survives_the_way_through_a_quaternion() -> None:
    for rotation in Rotation.random(100, random_state=1):
        made = np.eye(4)
        made[:3, :3], made[:3, 3] = rotation.as_matrix(), [1, 2, 3]
        translation, xyzw = to_quaternion(made)
        assert xyzw[3] >= 0
        assert np.linalg.norm(xyzw) == pytest.approx(1.0)
        np.testing.assert_allclose(from_quaternion(translation, xyzw), made, atol=1e-12)


def test_to_quaternion_gives_a_copy() -> None:
    original = A_T_B.copy()
    to_quaternion(original)[0][0] = 99.0
    np.testing.assert_array_equal(original, A_T_B)


def test_invert_is_the_inverse_also_of_a_stack() -> None:
    np.testing.assert_allclose(invert(A_T_B), np.linalg.inv(A_T_B), atol=1e-14)
    stack = np.array([A_T_B, B_T_C])
    np.testing.assert_allclose(invert(stack) @ stack, np.tile(np.eye(4), (2, 1, 1)), atol=1e-14)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
def test_interpolation_is_slerp_and_a_straight_line(fraction: float) -> None:
    between = interpolate(A_T_B, B_T_C, fraction)
    keys = Rotation.from_matrix(np.array([A_T_B[:3, :3], B_T_C[:3, :3]]))
    slerp = Slerp([0, 1], keys)(fraction).as_matrix()
    np.testing.assert_allclose(between[:3, :3], slerp, atol=1e-12)
    line = (1 - fraction) * A_T_B[:3, 3] + fraction * B_T_C[:3, 3]
    np.testing.assert_allclose(between[:3, 3], line, atol=1e-15)


def test_interpolation_takes_the_short_way() -> None:
    before, after = pose([0, 0, 0], [0, 0, 3.0]), pose([0, 0, 0], [0, 0, -3.0])
    middle = interpolate(before, after, 0.5)
    assert pose_error(middle, pose([0, 0, 0], [0, 0, np.pi]))[1] == pytest.approx(0.0, abs=1e-9)


def test_pose_error_is_distance_and_angle() -> None:
    moved = A_T_B @ pose([0.0, 0.0, 0.0], [0.0, 0.6, 0.8]) + np.pad([[0.03]], ((0, 3), (3, 0)))
    assert pose_error(moved, A_T_B) == pytest.approx((0.03, 1.0))
    assert pose_error(A_T_B, A_T_B) == pytest.approx((0.0, 0.0), abs=1e-7)


def test_what_is_not_rigid() -> None:
    assert is_rigid(A_T_B)
    mirrored = A_T_B @ np.diag([1, 1, -1, 1])
    nan = A_T_B.copy()
    nan[0, 3] = np.nan
    bent = A_T_B.copy()
    bent[3, 0] = 0.1
    for wrong in (mirrored, nan, bent, 2 * A_T_B, A_T_B[:3], np.empty(0), np.zeros((4, 4))):
        assert not is_rigid(wrong)


def random_covariance(seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(6, 6))
    root *= np.array([0.02, 0.03, 0.01, 0.01, 0.004, 0.008])[:, None]
    return root @ root.T


def perturbed(a_T_b: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """REP-103: the fixed axes of a; translation and rotation apart."""
    result = a_T_b.copy()
    result[:3, 3] += sample[:3]
    result[:3, :3] = Rotation.from_rotvec(sample[3:]).as_matrix() @ a_T_b[:3, :3]
    return result


def difference(estimate: np.ndarray, a_T_b: np.ndarray) -> np.ndarray:
    turn = Rotation.from_matrix(estimate[:3, :3] @ a_T_b[:3, :3].T).as_rotvec()
    return np.concatenate([estimate[:3, 3] - a_T_b[:3, 3], turn])


def assert_covariances_agree(sampled: np.ndarray, expected: np.ndarray) -> None:
    deviation = np.sqrt(np.diag(expected))
    scale = np.outer(deviation, deviation)
    np.testing.assert_allclose(sampled / scale, expected / scale, atol=0.05)


def test_transported_covariance_is_that_of_sampled_poses() -> None:
    covariance = random_covariance(3)
    samples = np.random.default_rng(4).multivariate_normal(np.zeros(6), covariance, 12_000)
    a_T_c = A_T_B @ B_T_C
    errors = [difference(perturbed(A_T_B, sample) @ B_T_C, a_T_c) for sample in samples]
    assert_covariances_agree(
        np.cov(np.array(errors).T), transport_covariance(covariance, A_T_B, B_T_C)
    )


def test_transport_there_and_back_changes_nothing() -> None:
    covariance = random_covariance(5)
    there = transport_covariance(covariance, A_T_B, B_T_C)
    back = transport_covariance(there, A_T_B @ B_T_C, invert(B_T_C))
    np.testing.assert_allclose(back, covariance, atol=1e-15)
    np.testing.assert_allclose(there, there.T, atol=1e-18)


def test_rotated_covariance_is_that_of_sampled_poses() -> None:
    """World frame z is exactly known relative to a: poses, and their errors, in its axes."""
    covariance = random_covariance(6)
    z_T_a = pose([5.0, 6.0, 7.0], [1.0, 0.4, -0.6])
    samples = np.random.default_rng(7).multivariate_normal(np.zeros(6), covariance, 12_000)
    z_T_b = z_T_a @ A_T_B
    errors = [difference(z_T_a @ perturbed(A_T_B, sample), z_T_b) for sample in samples]
    rotated = rotate_covariance(covariance, z_T_a[:3, :3])
    assert_covariances_agree(np.cov(np.array(errors).T), rotated)
