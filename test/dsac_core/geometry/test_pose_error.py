# SPDX-License-Identifier: Apache-2.0
"""The error vector of a pose is what its covariance speaks of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.geometry.pose_error import normalised_error_squared, pose_error_vector


def pose(translation: list[float], turn: list[float]) -> np.ndarray:
    made = np.eye(4)
    made[:3, :3], made[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), translation
    return made


def test_turns_are_about_the_fixed_axes_of_the_world() -> None:
    estimate = pose([1.0, 2.0, 3.0], [0.3, -1.2, 0.7])
    truth = pose([0.0, 0.0, 0.0], [0.0, 0.02, 0.0]) @ estimate
    truth[:3, 3] = [1.1, 2.0, 2.8]
    error = pose_error_vector(estimate, truth)
    np.testing.assert_allclose(error, [0.1, 0.0, -0.2, 0.0, 0.02, 0.0], atol=1e-12)


def test_normalised_errors_of_drawn_poses_are_six() -> None:
    rng = np.random.default_rng(0)
    factor = 0.01 * rng.normal(size=(6, 6))
    estimate = pose([1.0, -2.0, 0.5], [0.5, 0.1, -2.0])
    squared = []
    for _ in range(2000):
        error = factor @ rng.normal(size=6)
        truth = pose([0.0] * 3, error[3:].tolist()) @ estimate
        truth[:3, 3] = estimate[:3, 3] + error[:3]
        squared.append(normalised_error_squared(estimate, factor @ factor.T, truth))
    assert np.mean(squared) == pytest.approx(6.0, abs=0.3)
