# SPDX-License-Identifier: Apache-2.0
"""Whether confidence and covariance are as good as their word, and where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest, chi2

from dsac_core.evaluation.honesty import BOUND_95, reliability
from dsac_core.evaluation.report.plot import LEFT, RIGHT, Axis, Plot
from dsac_core.geometry.pose_error import DEGREES_OF_FREEDOM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsac_core.evaluation.metrics import FrameResult, Summary

_MOST_ERROR, _ERROR_STEP = 24.0, 1.5
_STAGE_NAMES = {
    "gray": "to gray",
    "encode": "encoder",
    "regress": "scene coordinates",
    "keypoints": "keypoints",
    "match": "matching",
    "ransac": "pose (RANSAC)",
}


def reliability_curve(frames: Sequence[FrameResult]) -> str:
    """How many were right of the poses said to be right with probability p."""
    plot = Plot(
        Axis(0.0, 100.0, "confidence that the map gave (%)"),
        Axis(0.0, 100.0, "of these, truly within 10 cm, 5° (%)"),
        "Reliability of the confidence",
        height=260.0,
    )
    plot.line([(0, 0), (100, 100)], "guide")
    rows = reliability([f.confidence for f in frames], [f.usable for f in frames])
    for row in rows:
        right = round(row.share_right * row.poses)
        low, high = binomtest(right, row.poses).proportion_ci(method="wilson")
        plot.line([(100 * row.mean_confidence, 100 * end) for end in (low, high)], "interval")
    for row in rows:
        said, was = 100 * row.mean_confidence, 100 * row.share_right
        words = f"{row.poses} frames: said {said:.0f} %, {was:.0f} % were right"
        plot.dot(said, was, "good", words, 3.0 + 5.0 * float(np.sqrt(row.poses / len(frames))))
    return plot.svg()


def normalised_errors(frames: Sequence[FrameResult]) -> str | None:
    """Squared errors by their covariance, beside those that an honest one has; None without."""
    errors = [f.normalised_error for f in frames if f.localized and f.normalised_error is not None]
    if not errors:
        return None
    edges = np.arange(0.0, _MOST_ERROR + 2 * _ERROR_STEP, _ERROR_STEP)  # the last one: all beyond
    counts, _ = np.histogram(np.minimum(errors, edges[-1] - 1e-6), edges)
    shares = 100.0 * counts / len(errors)
    x = np.linspace(0.0, _MOST_ERROR, 97)
    honest = 100.0 * _ERROR_STEP * chi2.pdf(x, DEGREES_OF_FREEDOM)
    top = 1.15 * max(float(shares.max()), float(honest.max()))
    beyond = (_MOST_ERROR + _ERROR_STEP / 2, f"≥{_MOST_ERROR:g}")
    ticks = (*((float(v), f"{v}") for v in range(0, 21, 4)), beyond)
    plot = Plot(
        Axis(0.0, float(edges[-1]), "error squared, in units of the covariance", ticks=ticks),
        Axis(0.0, top, "share of localized frames (%)"),
        "Errors against the covariance",
        height=260.0,
    )
    for low, count, share in zip(edges, counts, shares, strict=False):
        if count:
            css = "off" if low + 1e-9 >= _MOST_ERROR else "good"
            sides = float(low) + 0.08, float(low) + _ERROR_STEP - 0.08
            plot.bar(sides, (0.0, float(share)), css, f"{count} frames")
    plot.line(zip(x.tolist(), honest.tolist(), strict=True), "expected")
    plot.rule("guide", x=BOUND_95)
    plot.text(BOUND_95, top, "95 % should lie left of here", css="note", shift=(5.0, 12.0))
    return plot.svg()


def stages(summary: Summary) -> str:
    """Bars of the time that each stage takes: the median, and a whisker to the 95th percentile."""
    rows = [(_STAGE_NAMES.get(name, name), t) for name, t in summary.stage_ms.items()]
    rows.append(("whole frame", summary.latency_ms))
    width, height, row_height, names = 360.0, 26.0, 26.0, 116.0
    longest = max(times["p95"] for _, times in rows) or 1.0
    scale = (width - names - LEFT - RIGHT - 22.0) / longest
    parts = []
    for name, times in rows:
        p50, p95 = scale * times["p50"], scale * times["p95"]
        css = "good" if name != "whole frame" else "total"
        parts.append(
            f'<text class="end" x="{names - 8:g}" y="{height - 9:g}">{name}</text>'
            f'<rect class="{css}" x="{names:g}" y="{height - 21:g}" width="{max(p50, 0.5):.1f}"'
            f' height="15"/><path class="interval" d="M{names + p50:.1f} {height - 13.5:g}'
            f'H{names + p95:.1f}m0 -4v8"/><text x="{names + p95 + 7:.1f}" y="{height - 9:g}">'
            f"{_short(times['p50'])} / {_short(times['p95'])}</text>"
        )
        height += row_height
    return (
        f'<svg class="plot" viewBox="0 0 {width:g} {height - row_height + 4:g}" role="img"'
        f' aria-label="Time by stage">{"".join(parts)}</svg>'
    )


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 9.95 else f"{milliseconds:.1f}"
