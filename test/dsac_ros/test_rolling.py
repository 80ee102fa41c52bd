# SPDX-License-Identifier: Apache-2.0
"""Rates and percentiles of the last seconds."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from dsac_ros.rolling import RollingWindow


def filled(rate: float, seconds: float) -> RollingWindow:
    window = RollingWindow(seconds=10.0)
    for index in range(int(rate * seconds) + 1):
        window.add(index / rate, float(index))
    return window


def test_a_steady_rate_is_told_before_the_window_is_full() -> None:
    assert filled(15.0, 2.0).rate(2.0) == pytest.approx(15.0)
    assert filled(15.0, 40.0).rate(40.0) == pytest.approx(15.0)


def test_the_rate_falls_when_nothing_comes() -> None:
    window = filled(10.0, 5.0)
    rates = [window.rate(now) for now in (5.0, 7.0, 9.0, 14.0, 16.0)]
    assert rates[0] == pytest.approx(10.0)
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert rates[-1] == 0.0


def test_one_value_is_no_rate() -> None:
    window = RollingWindow()
    assert window.rate(0.0) == 0.0
    window.add(1.0)
    assert window.rate(1.0) == 0.0
    window.add(1.0)
    assert window.rate(1.0) == 0.0


def test_percentiles_are_those_of_what_is_left() -> None:
    window = filled(10.0, 30.0)
    kept = np.arange(200, 301)
    assert window.percentiles(30.0, (50, 95)) == pytest.approx(np.percentile(kept, (50, 95)))
    assert all(map(math.isnan, window.percentiles(99.0, (50, 95))))


def test_capacity_and_clear() -> None:
    window = RollingWindow(seconds=1e9, capacity=3)
    for value in range(9):
        window.add(float(value), float(value))
    assert window.percentiles(9.0, (0, 100)) == [6.0, 8.0]
    window.clear()
    assert len(window) == 0
