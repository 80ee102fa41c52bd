# SPDX-License-Identifier: Apache-2.0
"""The lines of progress."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dsac_core import progress as progress_module
from dsac_core.progress import ConsoleProgress, in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (99.4, "99 s"), (99.6, "1 min 40 s"), (5999, "99 min 59 s"),
     (6000, "1 h 40 min"), (172_000, "47 h 47 min"), (200_000, "2 d 08 h")],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def lines(
    reports: list[tuple[float, float]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> list[str]:
    """What is written for pairs of time and fraction."""
    now = [0.0]
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    report = ConsoleProgress()
    for moment, fraction in reports:
        now[0] = moment
        report("training", fraction, "loss 3 px")
    return capfd.readouterr().err.splitlines()


def test_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written = lines([(0.0, 0.0), (10.0, 0.25), (40.0, 1.0)], monkeypatch, capfd)
    assert written == [
        "training:   0% (0 s) loss 3 px",
        "training:  25% (10 s, 30 s left) loss 3 px",
        "training: 100% (40 s) loss 3 px",
    ]


def test_what_was_done_before_took_none_of_this_time(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A resumed training that begins at 80 %."""
    written = lines([(0.0, 0.8), (10.0, 0.9)], monkeypatch, capfd)
    assert written[-1] == "training:  90% (10 s, 10 s left) loss 3 px"
