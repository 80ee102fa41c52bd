# SPDX-License-Identifier: Apache-2.0
"""Settings of RANSAC."""

from __future__ import annotations

import pytest

from dsac_core.errors import ConfigError
from dsac_core.ransac.config import RansacConfig


def test_the_defaults_are_those_of_dsac_star() -> None:
    config = RansacConfig()
    assert (config.hypotheses, config.inlier_threshold) == (64, 10.0)
    assert config.max_refinements == 100
    assert config.softness == pytest.approx(0.5)  # beta = 5 / tau


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hypotheses", 0),
        ("inlier_threshold", -1.0),
        ("inlier_threshold", float("nan")),
        ("max_draws", 0),
        ("max_refinements", 0),
        ("confidence", 1.0),
        ("confidence", 0.0),
        ("min_inliers", 3),
    ],
)
def test_what_cannot_work_is_refused_with_its_value(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"ransac.{name} .*got {value}"):
        RansacConfig(**{name: value})


def test_thresholds_in_pixels_follow_the_height_of_the_image() -> None:
    usual = RansacConfig(robust_scale=3.0)
    assert usual.at_height(480) == usual
    low = usual.at_height(240)
    assert (low.inlier_threshold, low.robust_scale) == (5.0, 1.5)
    assert low.softness == 1.0
    assert RansacConfig().at_height(96).inlier_threshold == pytest.approx(2.0)
    assert RansacConfig().at_height(96).robust_scale is None
