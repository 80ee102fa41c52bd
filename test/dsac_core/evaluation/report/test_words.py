# SPDX-License-Identifier: Apache-2.0
"""What the page says in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from judged import judged

from dsac_core.evaluation.metrics import FrameResult, summarize
from dsac_core.evaluation.report.words import (
    on_confidence,
    on_covariance,
    verdict,
    what_went_wrong,
)
from dsac_core.evaluation.report.worst_frames import Reprojections, WorstFrame


def run(good: int, silent: int, false: int = 0) -> list[FrameResult]:
    kinds = [1.0] * good + [math.inf] * silent + [300.0] * false
    return [judged(index, cm) for index, cm in enumerate(kinds)]


@pytest.mark.parametrize(
    ("frames", "grade", "words"),
    [
        (run(100, 0), "good", "all frames"),
        (run(80, 20), "good", "80 %"),
        (run(50, 50), "fair", "50 %"),
        (run(10, 90), "bad", "only 10 %"),
        (run(0, 100), "bad", "Not one"),
        (run(97, 0, 3), "fair", "97 %"),
        (run(90, 0, 10), "bad", "90 %"),
    ],
)
def test_the_verdict_fits_the_figures(frames: list[FrameResult], grade: str, words: str) -> None:
    said, headline, _ = verdict(summarize(frames))
    assert said == grade
    assert words in headline


def test_poses_in_another_frame_are_named() -> None:
    grade, headline, advice = verdict(summarize(run(0, 0, 50)), (1.25, math.radians(90)))
    assert grade == "bad"
    assert "another frame" in headline
    assert "1.25 m" in advice
    assert "90°" in advice


def test_false_poses_are_never_kept_quiet() -> None:
    assert "1 frame of 100 claimed" in verdict(summarize(run(99, 0, 1)))[2]
    assert "No pose that it claimed is off" in verdict(summarize(run(99, 1)))[2]


@pytest.mark.parametrize(
    ("factor", "word"), [(1.0, "Honest"), (0.25, "Cautious"), (4.0, "Too sure of itself")]
)
def test_the_covariance_is_judged_by_its_errors(factor: float, word: str) -> None:
    squared = (np.random.default_rng(0).normal(size=(500, 6)) ** 2).sum(axis=1) * factor
    frames = [judged(i, 1.0, normalised_error=float(e)) for i, e in enumerate(squared)]
    assert on_covariance(summarize(frames)).startswith(word)
    assert "no covariance to judge" in on_covariance(summarize(run(0, 5)))


@pytest.mark.parametrize(
    ("said", "right", "word"),
    [(0.98, 100, "Honest"), (0.92, 100, "Nearly honest"), (0.5, 100, "Too modest"),
     (0.5, 10, "Too sure of itself")],
)  # fmt: skip
def test_the_confidence_is_judged_by_its_error(said: float, right: int, word: str) -> None:
    frames = [judged(i, 1.0 if i < right else 90.0, confidence=said) for i in range(100)]
    assert on_confidence(summarize(frames), right / 100).startswith(word)


def seen(frame: FrameResult, truth: float, estimate: float | None, gray: float = 120) -> WorstFrame:
    none = np.zeros((0, 2))
    by = [Reprojections(none, none, np.zeros(0), share) for share in (truth, estimate or 0.0)]
    return WorstFrame(frame, b"", (4, 3), gray, by[0], None if estimate is None else by[1])


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (seen(judged(0, math.inf), 0.01, None), "the map does not know this view"),
        (seen(judged(0, 300.0), 0.02, 0.6), "looks like another one"),
        (seen(judged(0, 2.0, localized=False), 0.2, 0.2), "too little to be sure"),
        (seen(judged(0, math.inf), 0.01, None, gray=10), "very dark"),
        (seen(judged(0, math.inf), 0.01, None, gray=250), "overexposed"),
        (
            seen(judged(0, math.inf, correspondences=100), 0.01, None),
            "where others have about 1000",
        ),
        (seen(judged(0, math.inf), 0.01, None), "no consistent pose"),
        (seen(judged(0, 130.0), 0.5, 0.5), "Localized wrongly, off by 1.3 m, 0.5°"),
    ],
)
def test_what_went_wrong(view: WorstFrame, words: str) -> None:
    assert words in what_went_wrong(view, typical=1000.0)


def test_a_good_frame_is_not_blamed() -> None:
    said = what_went_wrong(seen(judged(0, 2.0), 0.5, 0.5), typical=1000.0)
    assert "wrong" not in said
    assert "does not know" not in said
