# SPDX-License-Identifier: Apache-2.0
"""Which depth goes with an image, and how long it is waited for."""

from __future__ import annotations

import threading
import time

from dsac_ros.depth_buffer import DepthBuffer

MS = 1_000_000


def buffer(*stamps_ms: int) -> DepthBuffer[int]:
    kept: DepthBuffer[int] = DepthBuffer()
    for stamp in stamps_ms:
        kept.put(stamp * MS, stamp)
    return kept


def test_the_nearest_within_the_slop() -> None:
    kept = buffer(0, 33, 66)
    assert kept.take(35 * MS, slop=0.02, timeout=0.0) == 33
    assert kept.take(52 * MS, slop=0.02, timeout=0.0) == 66
    assert kept.take(50 * MS, slop=0.005, timeout=0.0) is None


def test_depth_that_comes_after_its_image_is_waited_for() -> None:
    kept = buffer(0)
    later = threading.Timer(0.05, kept.put, (33 * MS, 33))
    later.start()
    assert kept.take(33 * MS, slop=0.01, timeout=5.0) == 33
    later.join()


def test_nothing_is_waited_for_once_later_depth_is_there() -> None:
    kept = buffer(0, 66)
    started = time.monotonic()
    assert kept.take(33 * MS, slop=0.01, timeout=30.0) is None
    assert time.monotonic() - started < 15.0


def test_it_ends_after_the_timeout() -> None:
    assert buffer(0).take(33 * MS, slop=0.01, timeout=0.05) is None
    assert buffer().take(33 * MS, slop=0.01, timeout=0.0) is None


def test_nothing_is_waited_for_where_none_comes_any_more() -> None:
    kept = buffer(0)
    for _ in range(3):
        assert kept.take(33 * MS, slop=0.01, timeout=0.01) is None
    started = time.monotonic()
    assert kept.take(66 * MS, slop=0.01, timeout=30.0) is None
    assert time.monotonic() - started < 15.0
    # It comes again: then it is worth waiting for.
    kept.put(99 * MS, 99)
    later = threading.Timer(0.05, kept.put, (132 * MS, 132))
    later.start()
    assert kept.take(132 * MS, slop=0.01, timeout=5.0) == 132
    later.join()


def test_memory_is_bounded() -> None:
    kept = buffer(*range(0, 3300, 33))
    assert kept.take(0, slop=0.01, timeout=0.0) is None
    assert kept.take(3267 * MS, slop=0.0, timeout=0.0) == 3267
    kept.clear()
    assert kept.take(3267 * MS, slop=1.0, timeout=0.0) is None
