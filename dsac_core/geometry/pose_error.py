# SPDX-License-Identifier: Apache-2.0
"""The error of a pose as its covariance has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEGREES_OF_FREEDOM = 6


def normalised_error_squared(
    world_T_cam: NDArray[np.float64], covariance: NDArray[np.float64], truth: NDArray[np.float64]
) -> float:
    """e^T C^-1 e of a pose: chi-square of six degrees of freedom, so 6 on average, if C is honest.

    Args:
        world_T_cam: The estimate, 4 x 4.
        covariance: Its covariance, 6 x 6: REP-103, fixed axes of the world.
        truth: 4 x 4.
    """
    error = pose_error_vector(world_T_cam, truth)
    return float(error @ np.linalg.solve(covariance, error))


def pose_error_vector(
    world_T_cam: NDArray[np.float64], truth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Translation and rotation vector [6], metres and radians, that turn the estimate into truth.

    In the order and about the axes of REP-103's covariance.
    """
    turn = Rotation.from_matrix(truth[:3, :3] @ world_T_cam[:3, :3].T).as_rotvec()
    return np.concatenate([truth[:3, 3] - world_T_cam[:3, 3], turn])
