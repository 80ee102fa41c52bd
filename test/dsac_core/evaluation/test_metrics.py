# SPDX-License-Identifier: Apache-2.0
"""Figures against numbers made by hand."""

from __future__ import annotations

import json
import math

import pytest
from judged import judged

from dsac_core.evaluation.metrics import FrameResult, summarize, table


def result(cm: float, deg: float, ms: float = 10.0, *, localized: bool = True) -> FrameResult:
    return FrameResult("frame", localized, cm / 100, math.radians(deg), ms / 1000)


RESULTS = [
    result(0.5, 0.5, 10),
    result(1.5, 0.5, 20),
    result(0.5, 1.5, 30),
    result(4.0, 4.0, 40),
    result(8.0, 1.0, 50),
    result(0.1, 9.0, 60),
    result(0.1, 0.1, 70, localized=False),
    result(math.inf, math.inf, 80, localized=False),
]


def test_recall_is_of_all_frames_and_silence_is_a_miss() -> None:
    summary = summarize(RESULTS)
    assert (summary.frames, summary.localized) == (8, 6)
    assert summary.recall == {
        "1cm_1deg": 12.5, "2cm_2deg": 37.5, "5cm_5deg": 50.0, "10cm_5deg": 62.5,
        "25cm_10deg": 75.0,
    }  # fmt: skip


def test_medians_count_silence_as_infinitely_wrong() -> None:
    summary = summarize(RESULTS)
    # cm sorted: .1 .5 .5 1.5 | 4 8 inf inf; deg: .5 .5 1 1.5 | 4 9 inf inf
    assert summary.median_translation_cm == pytest.approx(2.75)
    assert summary.median_rotation_deg == pytest.approx(2.75)


def test_without_most_frames_there_is_no_median() -> None:
    summary = summarize([result(1, 1), result(0, 0, localized=False)])
    assert summary.median_translation_cm is None
    assert summary.median_rotation_deg is None
    assert "none: most frames were not localized" in table(summary)


def test_latencies_are_percentiles_of_all_frames() -> None:
    summary = summarize([result(1, 1, ms) for ms in range(101)])
    assert summary.latency_ms == {"p50": 50.0, "p95": 95.0}


def test_the_keys_of_the_json_are_those_that_were_promised() -> None:
    content = json.loads(json.dumps(summarize(RESULTS).as_dict(), allow_nan=False))
    assert set(content) == {
        "frames", "localized", "recall", "median_translation_cm", "median_rotation_deg",
        "latency_ms", "localized_percent", "falsely_localized", "mean_confidence",
        "calibration_error", "mean_normalised_error", "median_normalised_error",
        "inside_95_percent", "stage_ms",
    }  # fmt: skip
    assert set(content["recall"]) == {
        "1cm_1deg", "2cm_2deg", "5cm_5deg", "10cm_5deg", "25cm_10deg",
    }  # fmt: skip
    assert set(content["latency_ms"]) == {"p50", "p95"}


def test_what_the_map_said_of_its_poses() -> None:
    def said(cm: float, confidence: float, error: float | None, deg: float = 0.0) -> FrameResult:
        localized = confidence >= 0.5
        distance, angle = cm / 100, math.radians(deg)
        return FrameResult("frame", localized, distance, angle, 0.01, confidence, error)

    rows = [said(1, 0.9, 2.0), said(9, 0.7, 4.0), said(26, 0.8, 12.0), said(1, 0.6, 6.0, 11.0)]
    summary = summarize([*rows, said(math.inf, 0.0, None), said(30, 0.3, 500.0)])
    assert summary.localized_percent == pytest.approx(66.67)
    assert summary.falsely_localized == 2  # 26 cm, and 11 degrees
    assert summary.mean_confidence == pytest.approx(3.3 / 6)
    assert summary.mean_normalised_error == 6.0
    assert summary.median_normalised_error == 5.0
    assert summary.inside_95_percent == 100.0
    # Each interval has one: the right ones miss 0.1 and 0.3, the wrong ones say 0.8, 0.6, 0, 0.3.
    assert summary.calibration_error == pytest.approx((0.1 + 0.3 + 0.8 + 0.6 + 0.3) / 6, abs=1e-4)
    assert "2 (beyond 25 cm / 10 deg)" in table(summary)
    assert summarize([said(math.inf, 0.0, None)]).mean_normalised_error is None


def test_stages_are_percentiles_of_the_frames_that_have_them() -> None:
    frames = [judged(i, 1.0, stages={"encode": i / 1000}) for i in range(101)]
    frames += [judged(200, math.inf, stages={"match": 0.007})]
    summary = summarize(frames)
    assert summary.stage_ms["encode"] == {"p50": 50.0, "p95": 95.0}
    assert summary.stage_ms["match"] == {"p50": 7.0, "p95": 7.0}
    assert "encode" in table(summary)


def test_only_what_was_claimed_is_false() -> None:
    assert not judged(0, 24.0, 9.0).false
    assert judged(0, 26.0, 0.0).false
    assert judged(0, 1.0, 11.0).false
    assert not judged(0, 26.0, 0.0, localized=False).false


def test_no_frames_have_no_figures() -> None:
    with pytest.raises(ValueError, match="no frames"):
        summarize([])


def test_the_table_is_for_people() -> None:
    lines = table(summarize(RESULTS)).splitlines()
    assert lines[0].split() == ["frames", "8"]
    assert "6 (75.0 %)" in lines[1]
    assert any("5 cm / 5 deg" in line and "50.0 %" in line for line in lines)
    assert "2.75 cm" in table(summarize(RESULTS))
