# SPDX-License-Identifier: Apache-2.0
"""How large errors are, when they occur, and what they have to do with inliers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.evaluation.report.bands import MISSED, band, errors_in_words
from dsac_core.evaluation.report.plot import Axis, Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsac_core.evaluation.metrics import FrameResult

_PERCENT = "share of all frames (%)"
_RATIO_BINS = 20
_WIDE = 760.0  # of a drawing across the page
_CM = Axis(0.1, 1000.0, "position error (cm)", log=True,
           ticks=((0.1, "0.1"), (1, "1"), (5, "5"), (10, "10"), (25, "25"), (100, "1 m"),
                  (1000, "10 m")))  # fmt: skip
_DEG = Axis(0.02, 180.0, "rotation error (degrees)", log=True,
            ticks=((0.1, "0.1"), (1, "1"), (2, "2"), (5, "5"), (10, "10"), (30, "30"),
                   (180, "180")))  # fmt: skip


def error_curve(frames: Sequence[FrameResult], *, rotation: bool = False) -> str:
    """Share of frames whose error is under x: of poses that were trusted, and of all poses."""
    axis = _DEG if rotation else _CM
    plot = Plot(axis, Axis(0.0, 100.0, f"{_PERCENT} with less error"), axis.label)
    trusted = [_error(frame, rotation=rotation) for frame in frames if frame.localized]
    plot.line(_cumulative([_error(f, rotation=rotation) for f in frames], len(frames), axis),
              "second")  # fmt: skip
    plot.line(_cumulative(trusted, len(frames), axis), "first")
    return plot.svg()


def timeline(frames: Sequence[FrameResult]) -> str:
    """The error of each frame, in their order."""
    last = max(1, len(frames) - 1)
    errors = [100.0 * frame.translation_error if frame.localized else 0.0 for frame in frames]
    ticks = ((0.1, "0.1"), (1.0, "1"), (10.0, "10"), (100.0, "1 m"), (1000.0, "10 m"))
    high = next((value for value, _ in ticks[3:] if max(errors) <= value), 1000.0)
    y = Axis(0.1, high, _CM.label, log=True, ticks=tuple(t for t in ticks if t[0] <= high))
    x = Axis(0.0, float(last), "frame of the recording")
    plot = Plot(x, y, "Position error by frame", width=_WIDE, height=210.0)
    plot.rule("guide", y=10.0)
    for index, (frame, error) in enumerate(zip(frames, errors, strict=True)):
        words = f"{frame.name}: {errors_in_words(frame)}"
        if not frame.localized:
            plot.cross(index, 1.25 * y.low, MISSED, f"{words}, not localized", 2.5)
            continue
        plot.dot(index, min(max(error, y.low), y.high), band(frame), words, 2.3)
    return plot.svg()


def inlier_histogram(frames: Sequence[FrameResult]) -> str:
    """Frames by the share of their correspondences that agree, by what became of them."""
    kinds = ("good", "off", MISSED)
    counts = np.zeros((len(kinds), _RATIO_BINS), dtype=int)
    for frame in frames:
        kind = MISSED if not frame.localized else "good" if frame.usable else "off"
        counts[kinds.index(kind), _ratio_bin(frame)] += 1
    top = max(1.0, float(counts.sum(axis=0).max()))
    plot = Plot(_RATIO, Axis(0.0, 1.08 * top, "frames"), "Frames by inlier ratio")
    for index in range(_RATIO_BINS):
        height = 0.0
        for kind, count in zip(kinds, counts[:, index], strict=True):
            if count:
                plot.bar(_sides(index), (height, height + count), kind, f"{count} frames")
            height += count
    return plot.svg()


def recall_by_inliers(frames: Sequence[FrameResult]) -> str:
    """Share localized within 10 cm and 5 degrees, of the frames of each inlier ratio."""
    plot = Plot(_RATIO, Axis(0.0, 100.0, "of these, localized within 10 cm, 5° (%)"),
                "Recall by inlier ratio")  # fmt: skip
    for index in range(_RATIO_BINS):
        chosen = [frame for frame in frames if _ratio_bin(frame) == index]
        if not chosen:
            continue
        right = sum(frame.localized and frame.usable for frame in chosen)
        share = 100.0 * right / len(chosen)
        plot.bar(_sides(index), (0.0, 100.0), "faint", "")
        plot.bar(_sides(index), (0.0, share), "good", f"{right} of {len(chosen)} frames")
    return plot.svg()


_RATIO = Axis(0.0, 100.0, "correspondences that agree with the pose (%)")


def _ratio_bin(frame: FrameResult) -> int:
    return min(int(frame.inlier_ratio * _RATIO_BINS), _RATIO_BINS - 1)


def _sides(index: int) -> tuple[float, float]:
    width = 100.0 / _RATIO_BINS
    return index * width + 0.06 * width, (index + 1) * width - 0.06 * width


def _error(frame: FrameResult, *, rotation: bool) -> float:
    return math.degrees(frame.rotation_error) if rotation else 100.0 * frame.translation_error


def _cumulative(errors: list[float], count: int, axis: Axis) -> list[tuple[float, float]]:
    """Corners of the staircase that rises by one frame at each error."""
    corners, share = [(axis.low, 0.0)], 0.0
    for error in sorted(errors):
        if error > axis.high:
            break
        x = max(error, axis.low)
        corners.append((x, share))
        share += 100.0 / count
        corners.append((x, share))
    return [*corners, (axis.high, share)]
