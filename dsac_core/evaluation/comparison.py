# SPDX-License-Identifier: Apache-2.0
"""Runs side by side, and whether one is better by more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.evaluation.metrics import THRESHOLDS, FrameResult, Summary, summarize, threshold_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from dsac_core.evaluation.run_file import Run

MORE_THAN_CHANCE = 0.05  # p below it is
STRETCHES = 20  # into which the frames are cut
_FLIPS = 20_000


@dataclass(frozen=True)
class Difference:
    """One figure of a run against that of another, judged frame by frame."""

    what: str
    gained: int  # frames in which this run is better
    lost: int  # frames in which the other one is
    p_value: float  # probability that chance makes such a difference between equals

    @property
    def judgement(self) -> str:
        """``better``, ``worse``, or ``same`` where it may be chance."""
        if self.p_value >= MORE_THAN_CHANCE:
            return "same"
        return "better" if self.gained > self.lost else "worse"


def chance(better_N: NDArray[np.int_]) -> float:
    """Probability that equals differ as much, from which is better in each frame: 1, -1, or 0.

    Neighbouring frames go wrong together, so the sign of whole stretches is left to chance, not
    that of frames: a sign-flip permutation test (Good, "Permutation, parametric, and bootstrap
    tests of hypotheses", 2005, chapter 3) on the sums of `STRETCHES` stretches. It is two-sided.
    """
    sums = np.array([part.sum() for part in np.array_split(better_N, STRETCHES) if len(part)])
    flips = np.random.default_rng(0).choice([-1, 1], size=(_FLIPS, len(sums)))
    as_much = np.abs(flips @ sums) >= abs(sums.sum())
    return float((1 + as_much.sum()) / (1 + _FLIPS))


def common_frames(runs: Sequence[Run]) -> list[list[FrameResult]]:
    """Of each run the frames that all of them have, in one order; empty if there are none.

    Frames are the same if they have the same name and the same true pose.
    """
    by_name = [{frame.name: frame for frame in run.frames} for run in runs]
    names = [
        frame.name
        for frame in runs[0].frames
        if all(
            frame.name in of_run and _same_place(frame, of_run[frame.name]) for of_run in by_name
        )
    ]
    return [[of_run[name] for name in names] for of_run in by_name]


def differences(
    frames: Sequence[FrameResult], baseline: Sequence[FrameResult]
) -> dict[str, Difference]:
    """How a run differs from another one on the same frames, by the name of each figure."""

    def judged(what: str, badness: Callable[[FrameResult], float]) -> Difference:
        own, other = (np.array([badness(f) for f in of_run]) for of_run in (frames, baseline))
        better = (own < other).astype(int) - (own > other)
        return Difference(what, int((better > 0).sum()), int((better < 0).sum()), chance(better))

    def missed(limits: tuple[float, float]) -> Callable[[FrameResult], float]:
        return lambda frame: float(not (frame.localized and frame.within(*limits)))

    def error(name: str) -> Callable[[FrameResult], float]:
        return lambda frame: float(getattr(frame, name)) if frame.localized else math.inf

    return {
        "localized": judged("frames localized", lambda frame: float(not frame.localized)),
        **{
            key: judged(f"recall {threshold_name(key)}", missed(limits))
            for key, limits in THRESHOLDS.items()
        },
        "translation": judged("translation error", error("translation_error")),
        "rotation": judged("rotation error", error("rotation_error")),
        "false": judged("localized falsely", lambda frame: float(frame.false)),
    }


def comparison_table(names: Sequence[str], runs: Sequence[Run]) -> str:
    """Runs in columns, the first one being what the others are measured against, then in words."""
    common = common_frames(runs)
    paired = bool(common[0])
    chosen = common if paired else [run.frames for run in runs]
    summaries = [summarize(frames) for frames in chosen]
    found = [differences(frames, chosen[0]) for frames in chosen] if paired else [{} for _ in runs]
    rows = [("", list(names))]
    rows += [
        (label, [_marked(text(s), d.get(key)) for s, d in zip(summaries, found, strict=True)])
        for label, key, text in _rows()
    ]
    first = max(len(label) for label, _ in rows)
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(names))]
    lines = [
        f"{label:<{first}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for label, cells in rows
    ]
    return "\n".join(
        [*(line.rstrip() for line in lines), "", *_in_words(names, runs, found, len(common[0]))]
    )


def _rows() -> list[tuple[str, str, Callable[[Summary], str]]]:
    """Label, name of the difference, and text of each line."""

    def recall(key: str) -> Callable[[Summary], str]:
        return lambda s: f"{s.recall[key]:.1f} %"

    def number(name: str, unit: str) -> Callable[[Summary], str]:
        def text(summary: Summary) -> str:
            value = getattr(summary, name)
            return "none" if value is None else f"{value:.2f}{unit}"

        return text

    return [
        ("frames", "", lambda s: f"{s.frames}"),
        ("localized", "localized", lambda s: f"{s.localized_percent:.1f} %"),
        *((f"recall {threshold_name(key)}", key, recall(key)) for key in THRESHOLDS),
        ("median translation", "translation", number("median_translation_cm", " cm")),
        ("median rotation", "rotation", number("median_rotation_deg", " deg")),
        ("localized falsely", "false", lambda s: f"{s.falsely_localized}"),
        ("confidence is off by", "", number("calibration_error", "")),
        ("median normalised error", "", number("median_normalised_error", "")),
        ("latency p50", "", lambda s: f"{s.latency_ms['p50']:.0f} ms"),
        ("latency p95", "", lambda s: f"{s.latency_ms['p95']:.0f} ms"),
    ]


def _marked(text: str, difference: Difference | None) -> str:
    mark = {"better": "+", "worse": "-"}.get(difference.judgement if difference else "", " ")
    return f"{text} {mark}"


def _in_words(
    names: Sequence[str], runs: Sequence[Run], found: Sequence[dict[str, Difference]], common: int
) -> list[str]:
    if not found[0]:
        return [
            "These runs have no frame in common, so a difference may be one of the recordings:"
            " evaluate on the same split to learn which map is better."
        ]
    lines = []
    if any(len(run.frames) != common for run in runs):
        lines.append(f"Only the {common} frames that all runs have are compared.")
    for name, by_figure in zip(names[1:], found[1:], strict=True):
        clear = [d for d in by_figure.values() if d.judgement != "same"]
        if not clear:
            lines.append(f"{name} against {names[0]}: no difference that is more than chance.")
            continue
        lines.append(f"{name} against {names[0]}:")
        lines += [
            f"  {d.judgement} in {d.what}: better in {d.gained} frames, worse in {d.lost}"
            f" (p = {d.p_value:.1g})"
            for d in clear
        ]
    lines += [
        f"+ and -: better and worse than {names[0]} by more than chance (p < {MORE_THAN_CHANCE:g};"
        f" frame by frame, in {STRETCHES} stretches, as neighbours are alike).",
        "Another training run of the same map differs too. Latency is not judged: it is the"
        " machine's.",
    ]
    return lines


def _same_place(one: FrameResult, other: FrameResult) -> bool:
    if one.truth is None or other.truth is None:
        return one.truth is other.truth
    return all(
        math.isclose(a, b, abs_tol=1e-4) for a, b in zip(one.truth, other.truth, strict=True)
    )
