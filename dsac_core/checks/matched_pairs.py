# SPDX-License-Identifier: Apache-2.0
"""Keypoints that two images share, found without poses and without intrinsics."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.landmarks.mutual_nearest import mutual_nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.checks.sampled_views import View
    from dsac_core.progress import Progress

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

PAIRS = 80  # at most
_LIKELIEST = 256  # keypoints that are compared between all images, to see which overlap
_LIKELY_OVERLAP = 12  # of them that must match
_MIN_SIMILARITY = 0.8  # cosine of the descriptors
_ONE_SCENE = 4.0  # px from the epipolar line of a fundamental matrix: lenses bend it, and chance
# rarely gives so many matches that agree with one: of wrong matches 3 % lie as near to a line.
_ONE_SCENE_SHARE = 0.6  # of the matches that must agree: fewer do where things only look alike
MIN_MATCHES = 40
_MOST_MATCHES = 120  # of a pair: more say the same
_LEAST_MOVED, _MOST_MOVED = 0.03, 0.25  # median way of a keypoint over the width of the image


@dataclass(frozen=True)
class Matches:
    """M matches of P pairs of views, one pair after another."""

    view_P2: IntArray  # which views
    pair_M: IntArray  # which pair
    pixels_M22: FloatArray  # px of the images as they are: in the first view, in the second
    overlapping: int  # views that likely show something of another one
    moved_P: FloatArray  # median way of a keypoint, as share of the width of the image

    def medians(self, values_M: FloatArray) -> FloatArray:
        """The median [P] over the matches of each pair; the lower one of two in the middle."""
        length_P = np.bincount(self.pair_M, minlength=len(self.view_P2))
        order = np.lexsort((values_M, self.pair_M))
        middle = np.cumsum(length_P) - length_P + (length_P - 1) // 2
        return np.asarray(values_M[order][middle])


def match_pairs(views: Sequence[View], progress: Progress, most: int = PAIRS) -> Matches:
    """Match pairs of views that overlap and between which the image has moved.

    What no single fundamental matrix explains is left out (Hartley and Zisserman, section 11.6):
    that needs neither poses nor intrinsics, so a fault in them leaves the matches as they are.

    Args:
        views: The views.
        progress: Is told how far it is.
        most: Pairs at most.
    """
    candidates = _overlapping(views)
    rows: list[tuple[int, int]] = []
    found: list[FloatArray] = []
    moved: list[float] = []
    used = np.zeros(len(views), dtype=np.int64)
    most_of_one = max(3, -(-3 * most // max(1, len(views))))
    for first, second in candidates:
        if len(rows) == most:
            break
        if max(used[first], used[second]) >= most_of_one:
            continue
        pixels, way = _match(views[first], views[second])
        if len(pixels) < MIN_MATCHES or not _LEAST_MOVED < way < _MOST_MOVED:
            continue
        used[[first, second]] += 1
        rows.append((first, second))
        found.append(pixels)
        moved.append(way)
        progress("matching", len(rows) / most, f"pair {len(rows)}/{most}")
    if len(rows) < most:
        progress("matching", 1.0, f"{len(rows)} pairs")
    lengths = [len(pixels) for pixels in found]
    return Matches(
        np.array(rows, dtype=np.int64).reshape(-1, 2),
        np.repeat(np.arange(len(rows)), lengths),
        np.concatenate([np.empty((0, 2, 2)), *found]),
        len(set(chain.from_iterable(candidates))),
        np.array(moved),
    )


def _overlapping(views: Sequence[View]) -> list[tuple[int, int]]:
    """Pairs of views in random order, which likely show the same."""
    likeliest = [view.keypoints.descriptors_KC[:_LIKELIEST] for view in views]
    pairs = []
    for first in range(len(views)):
        for second in range(first + 1, len(views)):
            rows, _ = mutual_nearest(likeliest[first], likeliest[second], _MIN_SIMILARITY)
            if len(rows) >= _LIKELY_OVERLAP:
                pairs.append((first, second))
    order = np.random.default_rng(0).permutation(len(pairs))
    return [pairs[place] for place in order]


def _match(first: View, second: View) -> tuple[FloatArray, float]:
    """Matches [K x 2 x 2] of two views in px of the images, and how far they moved."""
    one, other = first.keypoints, second.keypoints
    rows, columns = mutual_nearest(one.descriptors_KC, other.descriptors_KC, _MIN_SIMILARITY)
    nothing = np.empty((0, 2, 2))
    if len(rows) < MIN_MATCHES:
        return nothing, 0.0
    a, b = one.pixels_K2[rows].double().numpy(), other.pixels_K2[columns].double().numpy()
    cv2.setRNGSeed(0)
    _, inlier = cv2.findFundamentalMat(a, b, cv2.USAC_MAGSAC, _ONE_SCENE, 0.999, 2000)
    if inlier is None:
        return nothing, 0.0
    kept = inlier[:, 0].astype(bool)
    if kept.mean() < _ONE_SCENE_SHARE:
        return nothing, 0.0
    way = float(np.median(np.linalg.norm(a[kept] - b[kept], axis=1)))
    width = first.camera.width / first.px
    seen = first.pixels_K2[rows.numpy()[kept]], second.pixels_K2[columns.numpy()[kept]]
    thin = np.linspace(0, len(seen[0]) - 1, min(len(seen[0]), _MOST_MATCHES)).astype(np.int64)
    return np.stack(seen, axis=1)[thin], way / width
