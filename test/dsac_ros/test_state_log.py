# SPDX-License-Identifier: Apache-2.0
"""Changes of the state in the log."""

from __future__ import annotations

from dsac_ros.state import State
from dsac_ros.state_log import StateLog


def test_a_change_is_logged_once_with_its_reason() -> None:
    lines: list[str] = []
    log = StateLog(lines.append)
    log(State.SEARCHING, "the start")
    log(State.LOCALIZED, "two fixes agree")
    log(State.LOCALIZED, "another fix")
    log(State.PAUSED, "asked to")
    assert lines == ["SEARCHING -> LOCALIZED: two fixes agree", "LOCALIZED -> PAUSED: asked to"]


def test_what_is_always_said_is_said_without_a_change() -> None:
    lines: list[str] = []
    log = StateLog(lines.append)
    log(State.SEARCHING, "loaded the office", always=True)
    log(State.PAUSED, "loaded the lab", always=True)
    assert lines == ["loaded the office", "SEARCHING -> PAUSED: loaded the lab"]
