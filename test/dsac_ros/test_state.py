# SPDX-License-Identifier: Apache-2.0
"""SEARCHING, LOCALIZED, LOST, PAUSED."""

from __future__ import annotations

from dsac_ros.state import LocalizationState, State


def accept(state: LocalizationState, now: float) -> bool:
    return state.accept(now, state.epoch)


def test_searching_until_the_first_fix_however_long() -> None:
    state = LocalizationState(lost_after=1.0)
    state.refuse(100.0)
    assert state.tick(1000.0) is State.SEARCHING
    assert accept(state, 1001.0)
    assert state.current is State.LOCALIZED


def test_lost_after_seconds_and_found_again() -> None:
    state = LocalizationState(lost_after=2.0)
    accept(state, 10.0)
    state.refuse(11.9)
    assert state.current is State.LOCALIZED
    epoch = state.epoch
    assert state.tick(12.1) is State.LOST
    assert state.epoch > epoch
    accept(state, 13.0)
    assert state.current is State.LOCALIZED


def test_lost_after_frames() -> None:
    state = LocalizationState(lost_after=1e9, lost_after_frames=3)
    accept(state, 0.0)
    for _ in range(2):
        state.refuse(0.0)
    accept(state, 0.0)  # starts the count again
    for _ in range(2):
        state.refuse(0.0)
    assert state.current is State.LOCALIZED
    state.refuse(0.0)
    assert state.current is State.LOST


def test_a_fix_from_before_a_reset_comes_too_late() -> None:
    state = LocalizationState(lost_after=2.0)
    epoch = state.epoch
    state.reset()
    assert not state.accept(1.0, epoch)
    assert state.current is State.SEARCHING


def test_paused_accepts_nothing_and_resumes_searching() -> None:
    state = LocalizationState(lost_after=2.0)
    accept(state, 0.0)
    state.pause()
    assert not accept(state, 1.0)
    state.reset()
    assert state.current is State.PAUSED
    state.resume()
    assert state.current is State.SEARCHING
    state.resume()
    assert state.current is State.SEARCHING


def test_the_numbers_are_those_of_the_message() -> None:
    assert [state.value for state in State] == [0, 1, 2, 3]
