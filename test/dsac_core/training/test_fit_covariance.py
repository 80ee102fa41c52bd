# SPDX-License-Identifier: Apache-2.0
"""The scale of the covariance, from errors that were drawn from a known one."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_core.scene.scene_map import Calibration
from dsac_core.training.fit_covariance import (
    ROTATION_FLOOR,
    TRANSLATION_FLOOR,
    USUAL_SCALE,
    CheckedPose,
    fit_covariance,
    normalised_error_left_out,
)

PROVISIONAL = Calibration(0.05, 0.5, 1.0)
FLOOR = np.diag([TRANSLATION_FLOOR**2] * 3 + [ROTATION_FLOOR**2] * 3)


def poses(count: int, scale: float, seed: int = 0) -> list[CheckedPose]:
    """Each with its own covariance; the error is drawn from ``scale`` times it and the floor."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        factor = rng.normal(scale=0.002, size=(6, 6))
        covariance = factor @ factor.T + 1e-7 * np.eye(6)
        true = scale * covariance + FLOOR
        made.append(CheckedPose(np.linalg.cholesky(true) @ rng.normal(size=6), covariance))
    return made


def test_many_views_show_the_scale() -> None:
    fitted = fit_covariance(PROVISIONAL, poses(2000, 300.0))
    assert fitted.covariance_scale == pytest.approx(300.0, rel=0.15)
    assert fitted.min_reliability == PROVISIONAL.min_reliability


def test_normalised_errors_are_six_on_views_not_fitted() -> None:
    fitted = fit_covariance(PROVISIONAL, poses(1000, 300.0))
    squared = [
        pose.error @ np.linalg.solve(fitted.honest(pose.covariance), pose.error)
        for pose in poses(1000, 300.0, seed=1)
    ]
    assert np.mean(squared) == pytest.approx(6.0, abs=0.6)


@pytest.mark.parametrize("count", [0, 1, 500])
def test_easy_views_do_not_make_a_map_surer_than_usual(count: int) -> None:
    fitted = fit_covariance(PROVISIONAL, poses(count, 1.0))
    assert fitted.covariance_scale == pytest.approx(USUAL_SCALE)


def test_one_bad_view_moves_the_scale_less_than_many() -> None:
    usual = poses(20, USUAL_SCALE)
    wild = [CheckedPose(1e3 * pose.error, pose.covariance) for pose in poses(20, USUAL_SCALE, 1)]
    one = fit_covariance(PROVISIONAL, [*usual, wild[0]]).covariance_scale
    many = fit_covariance(PROVISIONAL, wild).covariance_scale
    assert USUAL_SCALE <= one < 10 * USUAL_SCALE
    assert many > 100 * USUAL_SCALE


def test_a_view_left_out_is_judged_by_the_others() -> None:
    """Of views as the scale has them, six; a wild one among few is not explained by itself."""
    assert normalised_error_left_out(PROVISIONAL, poses(60, 200.0)) == pytest.approx(6.0, abs=1.5)
    wild = [*poses(5, USUAL_SCALE), CheckedPose(np.full(6, 0.1), 1e-8 * np.eye(6))]
    fitted = fit_covariance(PROVISIONAL, wild)
    explained = [p.error @ np.linalg.solve(fitted.honest(p.covariance), p.error) for p in wild]
    assert normalised_error_left_out(PROVISIONAL, wild) > np.mean(explained)
