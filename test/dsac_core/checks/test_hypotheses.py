# SPDX-License-Identifier: Apache-2.0
"""Shifts in time keep within a run; gains count pairs, not luck."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_core.checks.explain import gain
from dsac_core.checks.hypotheses import shifted
from dsac_core.checks.sampled_views import stretches


def along_x(places: list[float]) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, 0, 3] = places
    return poses


def test_shifts_end_with_the_run():
    poses, run = along_x([0.0, 1.0, 2.0, 10.0, 11.0]), np.array([0, 0, 0, 1, 1])
    later = shifted(poses, run, 1.0)[:, 0, 3]
    np.testing.assert_array_equal(later, [1.0, 2.0, np.nan, 11.0, np.nan])
    earlier = shifted(poses, run, -0.25)[:, 0, 3]
    np.testing.assert_allclose(earlier, [np.nan, 0.75, 1.75, np.nan, 10.75])


def test_a_gain_must_be_large_and_frequent():
    before = np.full(80, 4.0)
    assert gain(before, np.full(80, 1.0)).is_clear
    assert not gain(before, np.full(80, 3.0)).is_clear
    assert not gain(before[:10], np.full(10, 1.0)).is_clear
    mixed = np.where(np.arange(80) < 48, 1.0, 8.0)  # 60 % better: as often as one in 25 by chance
    assert gain(before, mixed).ratio == pytest.approx(0.25)
    assert not gain(before, mixed).is_clear


def test_a_gain_leaves_out_what_is_not_known():
    before, after = np.array([4.0, np.nan, 4.0, 4.0]), np.array([1.0, 1.0, np.nan, 2.0])
    gained = gain(before, after)
    assert (gained.pairs, gained.ratio) == (2, 0.375)
    assert gain(before[:0], after[:0]).pairs == 0


@pytest.mark.parametrize("count", [0, 1, 240])
def test_short_recordings_are_read_whole(count):
    np.testing.assert_array_equal(stretches(count), np.arange(count))


def test_long_recordings_are_read_in_stretches():
    chosen = stretches(10_000)
    assert len(chosen) == 240
    assert (chosen[0], chosen[-1]) == (0, 9_999)
    assert (np.diff(chosen) > 1).sum() == 7
