# SPDX-License-Identifier: Apache-2.0
"""Which one change of poses or cameras makes the matches agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.checks import hypotheses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dsac_core.checks.epipolar import Belief, Evidence
    from dsac_core.checks.hypotheses import Hypothesis, Scan

    FloatArray = NDArray[np.float64]

# A fault must account for this share of the error of the typical pair ...
LEAST_GAIN = 0.3
# ... and more pairs must be better than a coin that is thrown for each would have it, by so many
# standard deviations: of 80 pairs these are 70 %.
BEYOND_CHANCE = 3.5
MIN_PAIRS = 10  # to say anything
_MARGIN = 0.9  # a family that is tried later must leave less than this share of the error


@dataclass(frozen=True)
class Gain:
    """What a change does to an error, over the pairs where both are known."""

    ratio: float  # error after over error before, median over pairs
    better: float  # share of the pairs in which it is less
    pairs: int

    @property
    def is_clear(self) -> bool:
        """Whether the change is much better, and not by chance."""
        deviations = (2.0 * self.better - 1.0) * self.pairs**0.5
        return deviations >= BEYOND_CHANCE and self.ratio <= 1.0 - LEAST_GAIN


def gain(before_P: FloatArray, after_P: FloatArray) -> Gain:
    """Compare errors pair by pair; NaN where one is not known."""
    known = np.isfinite(before_P) & np.isfinite(after_P)
    if not known.any():
        return Gain(1.0, 0.0, 0)
    ratio = after_P[known] / np.maximum(before_P[known], 1e-12)
    return Gain(float(np.median(ratio)), float((ratio < 1.0).mean()), int(known.sum()))


@dataclass(frozen=True)
class Explanation:
    """The hypothesis that explains best, and by how much."""

    hypothesis: Hypothesis
    gain: Gain
    before_px: float  # error of the typical pair
    after_px: float


def explain(evidence: Evidence, given: Belief) -> Explanation | None:
    """The change that makes the matches agree best, None where none is clearly better."""
    before = evidence.errors(given)
    best: _Tried | None = None
    for family in _families(evidence, given, before):
        tried = []
        for hypothesis in family:
            after = evidence.errors(hypothesis.belief)
            tried.append(_Tried(hypothesis, gain(before, after), after))
        chosen = _simplest(tried)
        if chosen is not None and chosen.beats(best, _MARGIN):
            best = chosen
    if best is None:
        return None
    return best.explained(before)


def explain_by_two(evidence: Evidence, given: Belief) -> Explanation | None:
    """Another convention of poses together with another image size: neither shows alone."""
    before = evidence.errors(given)
    best: _Tried | None = None
    for convention in hypotheses.pose_conventions(given):
        scan = hypotheses.image_size(convention.belief)
        size = scanned(scan, evidence, evidence.errors(convention.belief))
        both = replace(
            size,
            fault=f"{convention.fault}, and {size.fault}",
            remedy=f"{convention.remedy}; and {size.remedy}",
        )
        after = evidence.errors(both.belief)
        tried = _Tried(both, gain(before, after), after)
        if tried.gain.is_clear and tried.beats(best, _MARGIN):
            best = tried
    return None if best is None else best.explained(before)


@dataclass(frozen=True)
class _Tried:
    hypothesis: Hypothesis
    gain: Gain
    after_P: FloatArray

    def explained(self, before_P: FloatArray) -> Explanation:
        both = np.isfinite(before_P) & np.isfinite(self.after_P)
        before, after = float(np.median(before_P[both])), float(np.median(self.after_P[both]))
        return Explanation(self.hypothesis, self.gain, before, after)

    def beats(self, other: _Tried | None, margin: float) -> bool:
        return other is None or self.gain.ratio < margin * other.gain.ratio


def _simplest(family: list[_Tried]) -> _Tried | None:
    """Of a family, if one is clear: the first that is about as good as the best.

    What comes later has more freedom: where it brings little beyond, it fits other small errors.
    """
    clear = [tried for tried in family if tried.gain.is_clear]
    if not clear:
        return None
    best = min(tried.gain.ratio for tried in clear)
    for tried in family:
        near = best >= (1.0 - LEAST_GAIN) * tried.gain.ratio
        if near and tried.gain.ratio <= best**0.5:  # half of the way, in the logarithm
            return tried
    return min(clear, key=lambda tried: tried.gain.ratio)


def _families(
    evidence: Evidence, given: Belief, before: FloatArray
) -> Iterator[Iterator[Hypothesis]]:
    """Families of faults; in each, simple and frequent ones come first."""

    def best(scan: Scan) -> Hypothesis:
        return scanned(scan, evidence, before)

    yield hypotheses.pose_conventions(given)
    yield map(best, (hypotheses.image_size(given), hypotheses.focal_length(given)))
    yield chain(
        hypotheses.no_distortion(given),
        map(best, (hypotheses.radial_distortion(given),)),
        hypotheses.fisheye(given),
    )
    yield map(best, (hypotheses.time_shift(given, evidence.sampled),))


def scanned(scan: Scan, evidence: Evidence, before: FloatArray) -> Hypothesis:
    """The best of a scan: tried over its range, then in ever finer steps."""

    def ratio(value: float) -> float:
        gained = gain(before, evidence.errors(scan.make(value).belief))
        return gained.ratio if gained.pairs >= MIN_PAIRS else np.inf

    ratios = {float(value): ratio(float(value)) for value in scan.values}
    for step in scan.steps:
        middle = min(ratios, key=lambda value: ratios[value])
        for offset in (-3, -2, -1, 1, 2, 3):
            value = middle + offset * step
            if scan.values[0] <= value <= scan.values[-1]:
                ratios[value] = ratio(value)
    return scan.make(min(ratios, key=lambda value: ratios[value]))
