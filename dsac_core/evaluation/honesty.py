# SPDX-License-Identifier: Apache-2.0
"""Whether a map's confidence says what is the case."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class ReliabilityBin(NamedTuple):
    """The estimates whose confidence lies in one interval."""

    low: float
    high: float
    poses: int
    mean_confidence: float
    share_right: float


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
