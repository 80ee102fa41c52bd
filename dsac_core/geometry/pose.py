# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as 4x4 float64 arrays, and their uncertainty, at the edges of the system.

Covariances are 6x6 in the order of REP-103, (x, y, z, rotX, rotY, rotZ), about the fixed axes of
the frame in which the pose is given: the true pose is (t + dt, Exp(dtheta) R).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]


def from_quaternion(translation: ArrayLike, xyzw: ArrayLike) -> FloatArray:
    """Pose [4 x 4] from a translation [3] in metres and a quaternion [4] in the order x, y, z, w.

    The quaternion need not have unit length.

    Raises:
        ValueError: The quaternion is zero.
    """
    a_T_b = np.eye(4)
    a_T_b[:3, :3] = Rotation.from_quat(np.asarray(xyzw, dtype=np.float64)).as_matrix()
    a_T_b[:3, 3] = translation
    return a_T_b


def to_quaternion(a_T_b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Translation [3] and unit quaternion [4] (x, y, z, w; w >= 0) of a pose [4 x 4]."""
    xyzw = Rotation.from_matrix(a_T_b[:3, :3]).as_quat(canonical=True)
    return a_T_b[:3, 3].copy(), np.asarray(xyzw, dtype=np.float64)


def invert(a_T_b: FloatArray) -> FloatArray:
    """The pose b_T_a [... x 4 x 4], exact because the rotation is transposed, not inverted."""
    b_T_a = np.zeros_like(a_T_b)
    rotation_transposed = np.swapaxes(a_T_b[..., :3, :3], -1, -2)
    b_T_a[..., :3, :3] = rotation_transposed
    b_T_a[..., :3, 3] = -(rotation_transposed @ a_T_b[..., :3, 3, None])[..., 0]
    b_T_a[..., 3, 3] = 1.0
    return b_T_a


def interpolate(a_T_b0: FloatArray, a_T_b1: FloatArray, fraction: float) -> FloatArray:
    """The pose [4 x 4] at ``fraction`` of the way: straight in position, slerp in rotation."""
    turn = Rotation.from_matrix(a_T_b0[:3, :3].T @ a_T_b1[:3, :3]).as_rotvec()
    a_T_b = np.eye(4)
    a_T_b[:3, :3] = a_T_b0[:3, :3] @ Rotation.from_rotvec(fraction * turn).as_matrix()
    a_T_b[:3, 3] = (1.0 - fraction) * a_T_b0[:3, 3] + fraction * a_T_b1[:3, 3]
    return a_T_b


def pose_error(estimate: FloatArray, truth: FloatArray) -> tuple[float, float]:
    """Distance in metres and angle in radians between two poses [4 x 4] of one frame."""
    difference = Rotation.from_matrix(estimate[:3, :3].T @ truth[:3, :3])
    return float(np.linalg.norm(estimate[:3, 3] - truth[:3, 3])), float(difference.magnitude())


def is_rigid(a_T_b: FloatArray, tolerance: float = 1e-3) -> bool:
    """Whether [4 x 4] is finite and a rotation with a translation, within ``tolerance``."""
    if a_T_b.shape != (4, 4) or not np.isfinite(a_T_b).all():
        return False
    rotation = a_T_b[:3, :3]
    orthogonal = np.abs(rotation @ rotation.T - np.eye(3)).max() < tolerance
    return bool(orthogonal and np.linalg.det(rotation) > 0 and a_T_b[3].tolist() == [0, 0, 0, 1])


def transport_covariance(
    covariance: FloatArray, a_T_b: FloatArray, b_T_c: FloatArray
) -> FloatArray:
    """Covariance [6 x 6] of a_T_c, from that of a_T_b and the exactly known b_T_c.

    Both are about the fixed axes of frame a (REP-103). An error of rotation moves the far end of
    the lever arm, so the translation of c is less certain than that of b.
    """
    lever = a_T_b[:3, :3] @ b_T_c[:3, 3]
    jacobian = np.eye(6)
    jacobian[:3, 3:] = -_skew(lever)
    return np.asarray(jacobian @ covariance @ jacobian.T)


def rotate_covariance(covariance: FloatArray, a_R_b: FloatArray) -> FloatArray:
    """The covariance [6 x 6] given about the axes of b, about the axes of a instead."""
    jacobian = np.zeros((6, 6))
    jacobian[:3, :3] = a_R_b
    jacobian[3:, 3:] = a_R_b
    return np.asarray(jacobian @ covariance @ jacobian.T)


def _skew(vector: FloatArray) -> FloatArray:
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
