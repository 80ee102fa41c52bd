# SPDX-License-Identifier: Apache-2.0
"""Stamps that may be used, and those that may not."""

from __future__ import annotations

from dsac_ros.stamps import StampFilter, Verdict

S = 1_000_000_000


def test_each_stamp_once_and_in_order() -> None:
    stamps = StampFilter()
    given = [10 * S, 11 * S, 11 * S, 11 * S - 1, 12 * S]
    verdicts = [stamps.check(stamp, now=20 * S) for stamp in given]
    fresh, twice, old = Verdict.FRESH, Verdict.DUPLICATE, Verdict.OUT_OF_ORDER
    assert verdicts == [fresh, fresh, twice, old, fresh]
    assert stamps.dropped == 2
    assert stamps.counts[Verdict.FRESH] == 3


def test_a_loop_of_the_bag_resets_and_goes_on() -> None:
    stamps = StampFilter(jump_back=1.0)
    stamps.check(100 * S, 0)
    assert stamps.check(10 * S, 0) is Verdict.RESET
    assert stamps.check(10 * S + 1, 0) is Verdict.FRESH
    assert stamps.dropped == 0


def test_a_stamp_from_the_future_does_not_block_the_camera_for_ever() -> None:
    stamps = StampFilter()
    stamps.check(100 * S, 0)
    stamps.check(99_999 * S, 0)
    assert stamps.check(101 * S, 0) is Verdict.RESET
    assert stamps.check(102 * S, 0) is Verdict.FRESH


def test_no_stamp_is_no_time() -> None:
    stamps = StampFilter()
    assert stamps.check(0, 5 * S) is Verdict.UNSTAMPED
    assert not Verdict.UNSTAMPED.usable


def test_stale_only_where_asked_for() -> None:
    assert StampFilter().check(1 * S, 1_000_000 * S) is Verdict.FRESH
    picky = StampFilter(max_age=0.5)
    assert picky.check(10 * S, 10 * S + S // 2) is Verdict.FRESH
    assert picky.check(11 * S, 12 * S) is Verdict.STALE


def test_reset_forgets() -> None:
    stamps = StampFilter()
    stamps.check(10 * S, 0)
    stamps.reset()
    assert stamps.check(10 * S, 0) is Verdict.FRESH
