# SPDX-License-Identifier: Apache-2.0
"""The health of the localization: level, message, values."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dsac_ros.diagnostics import Level, LocalizationDiagnostics, Report, count_drops
from dsac_ros.image_records import Outcome
from dsac_ros.stamps import Verdict
from dsac_ros.state import State

COVARIANCE = np.diag([0.01, 0.03, 0.02, 0.001, 0.002, 0.004]) ** 2


@dataclass
class Estimate:
    world_T_cam: Any = None
    covariance: Any = None
    localized: bool = True
    inliers: int = 80
    correspondences: int = 100
    score: float = 0.75
    confidence: float = 0.9
    reason: str = ""
    timings: dict[str, float] = field(default_factory=dict)


def outcome(*, localized: bool, ransac: float = 0.01, reason: str = "80 of 100 agree") -> Outcome:
    return Outcome(
        stamp=0,
        frame_id="optical",
        state=State.LOCALIZED if localized else State.SEARCHING,
        localized=localized,
        reason=reason,
        covariance=COVARIANCE if localized else None,
        estimate=Estimate(),
        timings={"ransac": ransac},
    )


def report(diagnostics: LocalizationDiagnostics, now: float, state: State) -> Report:
    drops = {"a newer one came": 5, "stale": 2}
    return diagnostics.report(now, state, image_rate=15.0, received=100, drops=drops)


def test_localized_is_ok_and_has_the_values() -> None:
    diagnostics = LocalizationDiagnostics("office", "cpu")
    for index in range(21):
        diagnostics.record(outcome(localized=True, ransac=0.001 * index), 0.06, index / 10)
    found = report(diagnostics, 2.0, State.LOCALIZED)
    assert (found.level, found.message) == (Level.OK, "localized")
    expected = {
        "scene": "office",
        "device": "cpu",
        "image rate (Hz)": "15.00",
        "processing rate (Hz)": "10.00",
        "localization rate (Hz)": "10.00",
        "latency total p50 (ms)": "60.0",
        "latency ransac p50 (ms)": "10.0",
        "latency ransac p95 (ms)": "19.0",
        "inliers": "80",
        "confidence": "0.90",
        "images received": "100",
        "images dropped": "7",
        "images dropped: stale": "2",
        "sigma of the last fix, position (m)": "0.030",
        "sigma of the last fix, rotation (deg)": f"{math.degrees(0.004):.2f}",
        "time since last fix (s)": "0.0",
    }
    assert expected.items() <= found.values.items()


def test_searching_and_paused_warn_with_the_reason() -> None:
    diagnostics = LocalizationDiagnostics("office", "cpu")
    before = report(diagnostics, 0.0, State.SEARCHING)
    assert before.level is Level.WARN
    assert "no image" in before.message
    diagnostics.record(outcome(localized=False, reason="no camera_info yet"), 0.06, 0.0)
    found = report(diagnostics, 1.0, State.SEARCHING)
    assert (found.level, found.message) == (Level.WARN, "searching: no camera_info yet")
    assert found.values["time since last fix (s)"] == "none"
    assert report(diagnostics, 1.0, State.PAUSED).level is Level.WARN


def test_lost_is_an_error_with_the_reason_and_the_time_since() -> None:
    diagnostics = LocalizationDiagnostics("office", "cpu")
    diagnostics.record(outcome(localized=True), 0.06, 10.0)
    diagnostics.record(outcome(localized=False, reason="it is dark"), 0.06, 20.0)
    found = report(diagnostics, 22.0, State.LOST)
    assert (found.level, found.message) == (Level.ERROR, "lost, last fix 12 s ago: it is dark")
    assert found.values["time since last fix (s)"] == "12.0"
    assert found.values["localization rate (Hz)"] == "0.00"


def test_an_image_without_an_estimate() -> None:
    diagnostics = LocalizationDiagnostics("office", "cpu")
    diagnostics.record(Outcome(0, "", State.SEARCHING, False, "cannot be decoded"), 0.01, 0.0)
    assert report(diagnostics, 0.0, State.SEARCHING).message == "searching: cannot be decoded"


def test_skipped_images_are_counted_and_change_nothing_else() -> None:
    diagnostics = LocalizationDiagnostics("office", "cpu")
    diagnostics.record(outcome(localized=False, reason="it is dark"), 0.06, 10.0)
    diagnostics.record(Outcome(0, "", State.LOST, False, "max_rate", skipped=True), 0.001, 10.1)
    found = report(diagnostics, 11.0, State.SEARCHING)
    assert found.message == "searching: it is dark"
    assert found.values["images skipped"] == "1"
    assert found.values["latency total p50 (ms)"] == "60.0"


def test_reset_forgets_the_last_fix() -> None:
    diagnostics = LocalizationDiagnostics("office", "cpu")
    diagnostics.record(outcome(localized=True), 0.06, 10.0)
    diagnostics.reset()
    found = report(diagnostics, 11.0, State.SEARCHING)
    assert found.values["time since last fix (s)"] == "none"
    assert found.values["latency total p50 (ms)"] == "none"


def test_every_drop_has_its_reason() -> None:
    counts = Counter({Verdict.FRESH: 50, Verdict.RESET: 1, Verdict.STALE: 3, Verdict.UNSTAMPED: 2})
    drops = count_drops(counts, replaced=4)
    assert drops == {"a newer one came": 4, "no stamp": 2, "stale": 3}


@pytest.mark.parametrize("covariance", [np.zeros((6, 6)), -COVARIANCE])
def test_a_covariance_that_is_none_does_not_end_the_report(covariance: np.ndarray) -> None:
    diagnostics = LocalizationDiagnostics("office", "cpu")
    bad = outcome(localized=True)
    bad.covariance = covariance
    diagnostics.record(bad, 0.06, 10.0)
    found = report(diagnostics, 11.0, State.LOCALIZED)
    assert found.values["sigma of the last fix, position (m)"] == "0.000"
