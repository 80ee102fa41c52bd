# SPDX-License-Identifier: Apache-2.0
"""Whether a map's confidence and covariance say what is the case."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import chi2

from dsac_core.geometry.pose_error import DEGREES_OF_FREEDOM

if TYPE_CHECKING:
    from collections.abc import Sequence


BOUND_95 = float(chi2.ppf(0.95, DEGREES_OF_FREEDOM))  # of the normalised error squared: 12.59


class ReliabilityBin(NamedTuple):
    """The estimates whose confidence lies in one interval."""

    low: float
    high: float
    poses: int
    mean_confidence: float
    share_right: float


class Consistency(NamedTuple):
    """Normalised errors squared (NEES) of poses, in three figures."""

    mean: float  # 6 if the covariances are honest
    median: float  # 5.35
    inside: float  # share inside the 95 % bound: 0.95


def consistency(normalised_errors: Sequence[float]) -> Consistency | None:
    """How normalised errors squared compare with the chi-square distribution that they should have.

    Bar-Shalom, Li, Kirubarajan, "Estimation with applications to tracking and navigation", 2001,
    section 5.4. None without errors.
    """
    if not normalised_errors:
        return None
    errors = np.asarray(normalised_errors, dtype=float)
    inside = float(np.mean(errors <= BOUND_95))
    return Consistency(float(errors.mean()), float(np.median(errors)), inside)


def reliability(
    confidences: Sequence[float], right: Sequence[bool], bins: int = 10
) -> list[ReliabilityBin]:
    """How many were right of the estimates said to be right with probability p, by intervals of p.

    Intervals without estimates are left out.
    """
    said, was = np.asarray(confidences, dtype=float), np.asarray(right, dtype=bool)
    which = np.minimum((said * bins).astype(int), bins - 1)
    table = []
    for index in range(bins):
        chosen = which == index
        if chosen.any():
            low, high = index / bins, (index + 1) / bins
            mean, share = float(said[chosen].mean()), float(was[chosen].mean())
            table.append(ReliabilityBin(low, high, int(chosen.sum()), mean, share))
    return table


def expected_calibration_error(
    confidences: Sequence[float], right: Sequence[bool], bins: int = 10
) -> float:
    """Mean difference between confidence and share of right ones over `reliability`'s intervals.

    Guo et al., "On calibration of modern neural networks", ICML 2017, Eq. 3.

    Raises:
        ValueError: There are no estimates.
    """
    table = reliability(confidences, right, bins)
    if not table:
        msg = "no estimates to judge"
        raise ValueError(msg)
    total = sum(row.poses for row in table)
    return sum(row.poses * abs(row.mean_confidence - row.share_right) for row in table) / total
