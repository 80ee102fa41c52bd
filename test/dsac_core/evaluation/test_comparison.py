# SPDX-License-Identifier: Apache-2.0
"""Which run is better, and by more than chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from judged import judged

from dsac_core.evaluation.comparison import (
    chance,
    common_frames,
    comparison_table,
    differences,
)
from dsac_core.evaluation.run_file import Run

COUNT = 100
RNG = np.random.default_rng(0)
NOISE = RNG.uniform(0.8, 1.25, size=(2, COUNT))


def run(cm: Callable[[int], float]) -> Run:
    return Run({}, [judged(index, cm(index)) for index in range(COUNT)])


def test_twice_the_error_is_worse_and_half_of_it_better() -> None:
    small = run(lambda i: 1.5 * NOISE[0, i])
    large = run(lambda i: 3.0 * NOISE[1, i])
    found = differences(small.frames, large.frames)
    assert found["translation"].judgement == "better"
    assert found["2cm_2deg"].judgement == "better"
    assert (found["translation"].gained, found["translation"].lost) == (COUNT, 0)
    assert differences(large.frames, small.frames)["translation"].judgement == "worse"
    assert found["10cm_5deg"].judgement == "same"  # both always are
    assert found["10cm_5deg"].p_value == 1.0


def test_noise_of_equals_is_chance() -> None:
    one, other = (run(lambda i, of_run=noise: 2.0 * of_run[i]) for noise in NOISE)  # type: ignore[misc]
    found = differences(one.frames, other.frames)
    assert {difference.judgement for difference in found.values()} == {"same"}


def test_one_bad_stretch_is_chance_and_as_many_bad_frames_everywhere_are_not() -> None:
    """Fifteen neighbours that fail together are one event."""
    good = run(lambda i: 1.0)
    stretch = run(lambda i: 7.0 if 40 <= i < 55 else 1.0)
    spread = run(lambda i: 7.0 if i % 6 == 0 else 1.0)
    assert differences(stretch.frames, good.frames)["5cm_5deg"].judgement == "same"
    assert differences(spread.frames, good.frames)["5cm_5deg"].judgement == "worse"


def test_the_p_value_is_that_of_all_sign_flips() -> None:
    better = np.zeros(20, dtype=int)  # each frame is one stretch
    better[:8], better[8] = 1, -1
    signs = np.array(np.meshgrid(*[[-1, 1]] * 9)).reshape(9, -1)
    exact = float(np.mean(abs(signs.sum(axis=0)) >= 7))
    assert chance(better) == pytest.approx(exact, abs=0.005)


def test_frames_are_the_same_by_name_and_place() -> None:
    one = run(lambda i: 1.0)
    frames = [judged(i, 1.0) for i in range(50, 120)]
    frames[0] = judged(50, 1.0, truth=(9.0, 9.0, 9.0, 0.0, 0.0, 0.0, 1.0))
    first, second = common_frames([one, Run({}, frames)])
    assert [f.name for f in first] == [f.name for f in second]
    assert len(first) == 49


def test_the_table_marks_and_says_what_is_better() -> None:
    small, large = run(lambda i: 1.5 * NOISE[0, i]), run(lambda i: 3.0 * NOISE[1, i])
    text = comparison_table(["old", "new"], [large, small])
    assert text.splitlines()[0].split() == ["old", "new"]
    (row,) = (line for line in text.splitlines() if line.startswith("median translation"))
    assert row.endswith("cm +")
    assert row.count("+") == 1
    assert "new against old:\n" in text
    assert "better in translation error: better in 100 frames, worse in 0" in text
    same = comparison_table(["old", "new"], [large, large])
    assert "new against old: no difference that is more than chance" in same
    assert not any(line.endswith((" +", " -")) for line in same.splitlines())


def test_only_common_frames_are_compared() -> None:
    part = Run({}, run(lambda i: 1.0).frames[:30])
    text = comparison_table(["a", "b"], [run(lambda i: 1.0), part])
    assert "Only the 30 frames" in text
    (row,) = (line for line in text.splitlines() if line.startswith("frames"))
    assert row.split() == ["frames", "30", "30"]


def test_without_common_frames_nothing_is_judged() -> None:
    elsewhere = Run({}, [judged(i, 50.0) for i in range(1000, 1040)])
    text = comparison_table(["a", "b"], [run(lambda i: 1.0), elsewhere])
    assert "no frame in common" in text
    assert not any(line.endswith((" +", " -")) for line in text.splitlines())
