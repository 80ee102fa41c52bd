# SPDX-License-Identifier: Apache-2.0
"""Confidence: what makes it larger, and what it says of nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsac_core.errors import ConfigError
from dsac_core.scene.confidence import Confidence, Evidence, by_support, position_deviation

CONFIDENCE = Confidence(offset=1.5, support=1.0, spread=0.5, sigma=2.0)
MIDDLING = Evidence(support=0.3, spread=0.5, sigma=0.05)


def test_it_is_the_logistic_function_of_weighted_logarithms() -> None:
    logit = 1.5 + math.log(0.3) + 0.5 * math.log(0.5) + 2.0 * math.log(0.1 / 0.05)
    assert CONFIDENCE(MIDDLING) == pytest.approx(1.0 / (1.0 + math.exp(-logit)))


@pytest.mark.parametrize(
    "better", [{"support": 0.31}, {"spread": 0.6}, {"sigma": 0.04}], ids=lambda b: next(iter(b))
)
def test_more_support_more_spread_and_less_deviation_say_more(better: dict[str, float]) -> None:
    assert CONFIDENCE(MIDDLING._replace(**better)) > CONFIDENCE(MIDDLING)


@pytest.mark.parametrize(
    "nothing",
    [Evidence(0.0, 0.0, 0.01), Evidence(0.9, 1.0, math.inf), Evidence(0.9, 1.0, math.nan)],
)
def test_nothing_is_not_believed(nothing: Evidence) -> None:
    assert CONFIDENCE(nothing) == 0.0


@pytest.mark.parametrize("evidence", [Evidence(1.0, 1.0, 0.0), Evidence(1e-9, 0.0, 1e9)])
def test_extremes_stay_probabilities(evidence: Evidence) -> None:
    assert 0.0 <= Confidence(500.0, 50.0, 50.0, 50.0)(evidence) <= 1.0


@pytest.mark.parametrize(
    "values", [{"offset": math.nan}, {"support": -0.1}, {"spread": math.inf}, {"sigma": -1.0}]
)
def test_what_would_lie_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        Confidence(**{"offset": 0.0, "support": 1.0, **values})


@pytest.mark.parametrize("least", [0.05, 0.21, 0.9])
def test_support_alone_is_even_at_its_threshold(least: float) -> None:
    confidence = by_support(least)
    assert confidence(Evidence(least, 0.1, 9.0)) == 0.5
    assert confidence(Evidence(least * 1.001, 0.1, 9.0)) > 0.5
    assert confidence(Evidence(least * 0.999, 1.0, 0.0)) < 0.5


def test_the_deviation_of_a_position_is_in_metres() -> None:
    assert position_deviation(np.diag([0.01, 0.04, 0.04, 9.0, 9.0, 9.0])) == pytest.approx(0.3)
