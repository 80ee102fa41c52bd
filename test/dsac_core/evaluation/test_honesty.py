# SPDX-License-Identifier: Apache-2.0
"""Reliability of probabilities that are made up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from dsac_core.evaluation.honesty import consistency, expected_calibration_error, reliability


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


def test_errors_of_an_honest_covariance_are_chi_square() -> None:
    errors = np.random.default_rng(0).normal(size=(50_000, 6))
    squared = (errors**2).sum(axis=1)
    honest = consistency(squared.tolist())
    assert honest is not None
    assert honest.mean == pytest.approx(6.0, abs=0.05)
    assert honest.median == pytest.approx(chi2.median(6), abs=0.05)
    assert honest.inside == pytest.approx(0.95, abs=0.005)
    boasting = consistency((4.0 * squared).tolist())
    assert boasting is not None
    assert boasting.inside == pytest.approx(chi2.cdf(chi2.ppf(0.95, 6) / 4, 6), abs=0.01)
    assert consistency([]) is None
