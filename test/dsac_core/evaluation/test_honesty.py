# SPDX-License-Identifier: Apache-2.0
"""Reliability of probabilities that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_core.evaluation.honesty import expected_calibration_error, reliability


def test_an_honest_forecaster_has_no_error() -> None:
    rng = np.random.default_rng(0)
    said = rng.uniform(size=20_000)
    right = rng.uniform(size=20_000) < said
    table = reliability(said.tolist(), right.tolist())
    assert len(table) == 10
    for row in table:
        assert row.low <= row.mean_confidence <= row.high
        assert row.share_right == pytest.approx(row.mean_confidence, abs=0.04)
    assert sum(row.poses for row in table) == 20_000
    assert expected_calibration_error(said.tolist(), right.tolist()) < 0.02


def test_a_boaster_has_one() -> None:
    """Sure of all, right in half: by half."""
    assert expected_calibration_error([1.0] * 10, [True, False] * 5) == 0.5
    (row,) = reliability([1.0] * 10, [True, False] * 5)
    assert (row.low, row.high, row.poses) == (0.9, 1.0, 10)


def test_intervals_without_poses_are_left_out() -> None:
    assert [row.low for row in reliability([0.05, 0.95], [False, True])] == [0.0, 0.9]
    with pytest.raises(ValueError, match="no estimates"):
        expected_calibration_error([], [])
