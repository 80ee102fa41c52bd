# SPDX-License-Identifier: Apache-2.0
"""Measured depth at the matches, against what triangulation has for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.checks.explain import MIN_PAIRS, Gain, gain
from dsac_core.geometry.images import depth_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.checks.depth_views import DepthView
    from dsac_core.checks.epipolar import Belief, Evidence

    FloatArray = NDArray[np.float64]

LEAST_DISPARITY = 20.0  # px of the resized images: then an error of 2 px is 10 % of the depth
MOST_ERROR = 4.0  # px from the epipolar line
_MIN_IN_PAIR = 10  # readings


@dataclass(frozen=True)
class DepthComparison:
    """Log of measured over triangulated depth at the matches of both."""

    ratios_R: FloatArray
    pair_R: NDArray[np.int64]
    measured_R: FloatArray  # metres
    triangulated_R: FloatArray  # in the units of the poses
    ray_R: FloatArray  # length of the ray to it, at z = 1

    @property
    def is_enough(self) -> bool:
        """Whether it says anything."""
        return int(np.isfinite(_spread(self.ratios_R, self.pair_R)).sum()) >= MIN_PAIRS

    @property
    def ratio(self) -> float:
        """Measured over triangulated depth, the median."""
        return float(np.exp(np.median(self.ratios_R)))

    @property
    def within(self) -> float:
        """Share of the readings that agree within 10 %, but for a common factor."""
        return float((np.abs(self.ratios_R - np.median(self.ratios_R)) < 0.1).mean())

    def along_rays(self) -> Gain:
        """What it brings to take readings as distances from the camera instead of depth."""
        before = _spread(self.ratios_R, self.pair_R)
        return gain(before, _spread(self.ratios_R - np.log(self.ray_R), self.pair_R))


def triangulated_depths(evidence: Evidence, belief: Belief) -> tuple[FloatArray, FloatArray]:
    """Depth [M] of each match in units of the poses, NaN where it is not known; and its ray."""
    sight = evidence.sight(belief)
    known = (sight.error_M < MOST_ERROR) & (sight.disparity_M > LEAST_DISPARITY)
    known &= np.isfinite(sight.depth_M) & (sight.depth_M > 0)
    length = np.linalg.norm(evidence.rays(belief.cameras)[:, 0], axis=1)
    return np.where(known, sight.depth_M, np.nan), length


def compare_depth(
    evidence: Evidence, belief: Belief, depth_views: Sequence[DepthView]
) -> DepthComparison:
    """Compare them where the depth images have a reading."""
    matches = evidence.matches
    depth, ray = triangulated_depths(evidence, belief)
    view_M = matches.view_P2[matches.pair_M, 0]
    measured = np.full(len(depth), np.nan)
    for each in depth_views:
        rows = np.flatnonzero((view_M == each.view) & np.isfinite(depth))
        camera = evidence.sampled.views[each.view].camera
        read = depth_at(each.depth_HW, matches.pixels_M22[rows, 0], camera)
        measured[rows] = np.where(read > 0, read, np.nan)
    there = np.isfinite(measured)
    ratios = np.log(measured[there] / depth[there])
    return DepthComparison(ratios, matches.pair_M[there], measured[there], depth[there], ray[there])


def _spread(ratios_R: FloatArray, pair_R: NDArray[np.int64]) -> FloatArray:
    """Median deviation [P] of log ratios from their common median, pair by pair; NaN for few."""
    if len(ratios_R) == 0:
        return np.empty(0)
    off = np.abs(ratios_R - np.median(ratios_R))
    spread = np.full(int(pair_R.max()) + 1, np.nan)
    for pair in np.unique(pair_R):
        own = off[pair_R == pair]
        if len(own) >= _MIN_IN_PAIR:
            spread[pair] = np.median(own)
    return spread
