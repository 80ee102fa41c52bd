# SPDX-License-Identifier: Apache-2.0
"""Confidence moved to where a map's poses fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsac_core.scene.confidence import Confidence, Evidence
from dsac_core.training.fit_confidence import USUAL_CONFIDENCE, fit_confidence


def outcomes(true: Confidence, count: int) -> tuple[list[Evidence], list[bool]]:
    rng = np.random.default_rng(0)
    evidence = [
        Evidence(*(float(np.exp(rng.uniform(*bounds))) for bounds in ((-4, 0), (-2, 0), (-4, 0))))
        for _ in range(count)
    ]
    return evidence, [bool(rng.random() < true(each)) for each in evidence]


@pytest.mark.parametrize("shift", [-2.0, 0.0, 1.5])
def test_many_outcomes_show_the_offset(shift: float) -> None:
    true = replace(USUAL_CONFIDENCE, offset=USUAL_CONFIDENCE.offset + shift)
    fitted = fit_confidence(*outcomes(true, 4000))
    assert fitted.offset == pytest.approx(true.offset, abs=0.2)
    assert replace(fitted, offset=0.0) == replace(true, offset=0.0)


def test_what_is_said_is_what_happens() -> None:
    true = replace(USUAL_CONFIDENCE, offset=0.5)
    evidence, right = outcomes(true, 4000)
    fitted = fit_confidence(evidence, right)
    said = [fitted(each) for each in evidence]
    assert np.mean(said) == pytest.approx(np.mean(right), abs=0.01)


def test_few_outcomes_move_it_little_and_none_not_at_all() -> None:
    assert fit_confidence([], []) == USUAL_CONFIDENCE
    clear = Evidence(0.9, 1.0, 0.02)
    sure = fit_confidence([clear] * 3, [True] * 3)
    assert 0.0 < sure.offset - USUAL_CONFIDENCE.offset < 0.1


def test_wrong_poses_that_looked_good_make_a_map_modest() -> None:
    clear = Evidence(0.9, 1.0, 0.02)
    modest = fit_confidence([clear] * 20, [False] * 20)
    assert modest(clear) < 0.5 < USUAL_CONFIDENCE(clear)


def test_poses_of_nothing_say_nothing() -> None:
    assert fit_confidence([Evidence(0.0, 0.0, np.inf)] * 50, [False] * 50) == USUAL_CONFIDENCE
