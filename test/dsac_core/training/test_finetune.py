# SPDX-License-Identifier: Apache-2.0
"""A head through differentiable RANSAC: better or as before, the same each time, never broken."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from known_cells import QUICK, Knowing, known_buffer, known_views

from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_head import CoordinateHead
from dsac_core.training.cell_buffer import CellBuffer
from dsac_core.training.encoded_views import view_errors
from dsac_core.training.finetune import finetune_head
from dsac_core.training.finetune_record import FinetuneRecord
from dsac_core.training.workers import Workers


def check(head: CoordinateHead) -> np.ndarray:
    return view_errors(head, known_views(), torch.float32)


def finetune(head: CoordinateHead, cells: CellBuffer, **options: Any) -> FinetuneRecord:
    options = {"iterations": 10, "config": QUICK, **options}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return finetune_head(head, cells, options.pop("config"), **options)
    finally:
        torch.set_num_threads(threads)


def same_weights(head: CoordinateHead, other: CoordinateHead) -> bool:
    mine, theirs = head.state_dict(), other.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_poses_become_better_and_the_record_says_so() -> None:
    head = Knowing(off=0.03)
    record = finetune(head, known_buffer(), check=check, iterations=50)
    assert record.before is not None
    assert record.after is not None
    assert record.kept
    assert record.before.mean == pytest.approx(3.0, abs=0.5)
    assert record.after.mean < 0.5 * record.before.mean
    assert record.loss < 0.7 * record.before.mean
    assert record.before.recall == {5: 100.0, 2: 0.0, 1: 0.0}
    assert not head.training
    kept = record.as_dict()
    assert kept["finetune_recall_before"] == {"5cm_5deg": 100.0, "2cm_2deg": 0.0, "1cm_1deg": 0.0}
    assert kept["finetune_iterations"] == 50
    assert "of 3 held-out views" in str(record)


def test_a_perfect_head_stays() -> None:
    head = Knowing()
    before = copy.deepcopy(head)
    record = finetune(head, known_buffer(), check=check, iterations=20)
    assert same_weights(head, before)
    assert not record.kept
    assert "stays as it was" in str(record)


def test_what_is_worse_is_undone() -> None:
    head = Knowing(off=0.03)
    before = copy.deepcopy(head)
    worse = iter([np.array([[0.02, 0.0]]), np.array([[0.03, 0.0]])])
    record = finetune(head, known_buffer(), check=lambda _: next(worse))
    assert not record.kept
    assert same_weights(head, before)
    better = iter([np.array([[0.03, 0.0]]), np.array([[0.02, 0.0]])])
    assert finetune(head, known_buffer(), check=lambda _: next(better)).kept
    assert not same_weights(head, before)


def test_without_views_to_check_with_it_is_kept() -> None:
    head = Knowing(off=0.03)
    before = copy.deepcopy(head)
    record = finetune(head, known_buffer(), check=lambda _: np.empty((0, 2)))
    assert record.kept
    assert record.before is None
    assert "unchecked" in str(record)
    assert not same_weights(head, before)


def test_broken_features_do_not_reach_the_weights() -> None:
    clean, spoiled = Knowing(off=0.03), Knowing(off=0.03)
    finetune(clean, known_buffer(3))
    record = finetune(spoiled, known_buffer(4, spoiled=3))
    assert record.skipped == 0
    assert same_weights(clean, spoiled)
    hopeless = Knowing(off=0.03)
    record = finetune(hopeless, known_buffer(1, spoiled=0))
    assert record.iterations == 0


def test_a_step_without_a_finite_gradient_is_skipped() -> None:
    head = Knowing(off=0.03)
    with torch.no_grad():
        head.shift[0] = torch.nan
    others = {name: value.clone() for name, value in head.state_dict().items() if name != "shift"}
    record = finetune(head, known_buffer(), iterations=3)
    assert record.skipped == 3
    assert not record.kept
    for name, value in others.items():
        assert torch.equal(head.state_dict()[name], value), name


@pytest.mark.parametrize("tried", [None, check])
def test_the_same_seed_gives_the_same_weights_on_one_thread(tried: Any) -> None:
    heads = [Knowing(off=0.03) for _ in range(3)]
    for head, seed in zip(heads, (0, 0, 1), strict=True):
        config = replace(QUICK, seed=seed)
        finetune(head, known_buffer(), config=config, iterations=6, check=tried)
    assert same_weights(heads[0], heads[1])
    assert not same_weights(heads[0], heads[2])


def test_it_ends_by_the_clock_by_its_steps_and_when_told_to() -> None:
    assert finetune(Knowing(0.03), known_buffer(), iterations=None, seconds=0.3).iterations > 1
    calls = iter([False, False, True])
    record = finetune(Knowing(0.03), known_buffer(), interrupted=lambda: next(calls))
    assert record.iterations == 2
    with pytest.raises(ConfigError, match="seconds or of iterations"):
        finetune(Knowing(0.03), known_buffer(), iterations=None)
    with pytest.raises(ConfigError, match="got 0 seconds"):
        finetune(Knowing(0.03), known_buffer(), iterations=None, seconds=0)


def test_other_workers_take_over_the_decision_of_the_first() -> None:
    class Second(Workers):
        rank = 1

        def largest(self, *values: float) -> list[float]:
            told.append(values)
            return [1.0 if len(told) > 3 else 0.0, 0.0] if len(values) == 2 else [1.0]

    told: list[tuple[float, ...]] = []
    head = Knowing(0.03)
    before = copy.deepcopy(head)
    record = finetune(head, known_buffer(), workers=Second(), check=check)
    assert record.iterations == 3
    assert record.before is None
    assert same_weights(head, before)
