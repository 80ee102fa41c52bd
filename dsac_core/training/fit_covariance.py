# SPDX-License-Identifier: Apache-2.0
"""How much less certain poses are than the residuals of their inliers say.

Cells err together: a network that has a corner of the room 2 cm too far to the left has it so for
hundreds of cells, and the covariance of the inliers, to which each cell is a witness of its own,
is far too small. Two terms make up for it: a scale, and a floor below which no pose is certain, for
the poses of the recordings that maps are made from are no better.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsac_core.geometry.pose_error import DEGREES_OF_FREEDOM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.scene.scene_map import Calibration

# Held-out views lie within the walk and are easier than what comes later. So they may show that
# poses are less certain than in the rooms measured (docs/honesty.md), not that they are more so.
TRANSLATION_FLOOR = 0.01  # metres along each axis
ROTATION_FLOOR = float(np.radians(0.3))  # about each axis
USUAL_SCALE = 45.0
_USUAL_VIEWS = 6  # as if so many had been seen that ask for the usual scale
_LARGEST_SCALE = 1e5
_LARGEST_ERROR = 20.0 * DEGREES_OF_FREEDOM  # of one view, so that it does not decide alone
_HALVINGS = 40


class CheckedPose(NamedTuple):
    """A pose that is known to be about right."""

    error: NDArray[np.float64]  # 6: metres and radians, REP-103
    covariance: NDArray[np.float64]  # 6 x 6, as the inliers have it


def fit_covariance(provisional: Calibration, poses: Sequence[CheckedPose]) -> Calibration:
    """The calibration whose mean normalised error squared is 6 on poses with known errors.

    Args:
        provisional: What else the calibration holds.
        poses: Of held-out views; none are fine.
    """
    errors = np.array([pose.error for pose in poses]).reshape(-1, DEGREES_OF_FREEDOM)
    covariances = np.array([pose.covariance for pose in poses])
    covariances = covariances.reshape(-1, DEGREES_OF_FREEDOM, DEGREES_OF_FREEDOM)
    low, high = np.log(USUAL_SCALE), np.log(_LARGEST_SCALE)

    def calibration(log_scale: float) -> Calibration:
        return replace(
            provisional,
            covariance_scale=round(float(np.exp(log_scale)), 3),
            translation_floor=TRANSLATION_FLOOR,
            rotation_floor=ROTATION_FLOOR,
        )

    def excess(log_scale: float) -> float:
        """How far normalised errors are above 6, in sum."""
        squared = _normalised(calibration(log_scale), errors, covariances)
        usual = DEGREES_OF_FREEDOM * USUAL_SCALE / np.exp(log_scale)
        seen = np.minimum(squared, _LARGEST_ERROR) - DEGREES_OF_FREEDOM
        return float(seen.sum() + _USUAL_VIEWS * (usual - DEGREES_OF_FREEDOM))

    if excess(low) <= 0:
        return calibration(low)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return calibration(high)


def normalised_error_left_out(provisional: Calibration, poses: Sequence[CheckedPose]) -> float:
    """Mean normalised error squared, each pose judged by the calibration that the others give."""
    squared = []
    for index, pose in enumerate(poses):
        others = fit_covariance(provisional, [*poses[:index], *poses[index + 1 :]])
        squared.append(_normalised(others, pose.error[None], pose.covariance[None])[0])
    return float(np.mean(squared))


def _normalised(
    calibration: Calibration, errors_N6: NDArray[np.float64], covariances_N66: NDArray[np.float64]
) -> NDArray[np.float64]:
    solved = np.linalg.solve(calibration.honest(covariances_N66), errors_N6[..., None])[..., 0]
    return np.asarray((errors_N6 * solved).sum(axis=1), dtype=np.float64)
