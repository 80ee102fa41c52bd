# SPDX-License-Identifier: Apache-2.0
"""What a step is follows from its number."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from dsac_core.training.dense_config import StageName
from dsac_core.training.schedule import batch_indices, learning_rate, step_generator

STAGES: tuple[StageName, ...] = ("init", "score", "e2e")


def taken(count: int, size: int, rounds: int, seed: int = 0) -> list[list[int]]:
    """What the first rounds through all images take, step after step, cut into rounds."""
    steps = -(-count * rounds // size)
    flat = [i for step in range(steps) for i in batch_indices(count, size, step, seed)]
    return [flat[r * count : (r + 1) * count] for r in range(rounds)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 11, 25])
def test_each_round_takes_each_image_once(size: int) -> None:
    """Whether or not the batches fill a round, and where one is longer than a round."""
    for order in taken(10, size, 5):
        assert sorted(order) == list(range(10))


@pytest.mark.parametrize("size", [1, 3, 11])
def test_a_batch_has_its_size(size: int) -> None:
    assert all(len(batch_indices(10, size, step, 0)) == size for step in range(20))


def test_the_batch_size_does_not_change_the_order() -> None:
    assert taken(10, 1, 4) == taken(10, 4, 4)


def test_rounds_and_seeds_have_orders_of_their_own() -> None:
    orders = taken(20, 1, 6) + taken(20, 1, 6, seed=1)
    assert len({tuple(order) for order in orders}) == 12
    first = {order[0] for seed in range(50) for order in taken(20, 20, 1, seed)}
    assert len(first) > 10


def test_a_step_is_a_function_of_its_number() -> None:
    """In any sequence, so that training goes on after a kill as if there had been none."""
    forth = [batch_indices(7, 3, step, 5) for step in range(20)]
    back = [batch_indices(7, 3, step, 5) for step in reversed(range(20))]
    assert forth == back[::-1]


def test_one_image_is_enough() -> None:
    assert batch_indices(1, 3, 12, 0) == [0, 0, 0]


def draws(seed: int, stage: StageName, iteration: int) -> tuple[float, ...]:
    generator = step_generator(seed, stage, iteration)
    return tuple(torch.rand(4, generator=generator).tolist())


def test_steps_stages_and_seeds_have_randomness_of_their_own() -> None:
    """The public code seeds once per process, if at all."""
    cases = list(itertools.product(range(5), STAGES, [0, 1, 2, 999_999]))
    assert len({draws(*case) for case in cases}) == len(cases)


def test_the_randomness_of_a_step_is_always_the_same() -> None:
    assert draws(3, "e2e", 17) == draws(3, "e2e", 17)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draws(3, "e2e", 17)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, 2**31, 2**62])
def test_any_seed_will_do(seed: int) -> None:
    assert draws(seed, "init", 10**6) != draws(seed, "init", 10**6 + 1)
    assert sorted(batch_indices(5, 5, 0, seed)) == list(range(5))


def test_first_draws_of_neighbouring_steps_are_uniform_and_unrelated() -> None:
    values = torch.tensor([draws(0, "init", step) for step in range(2000)]).double()
    assert (values.mean(dim=0) - 0.5).abs().max() < 0.03
    assert (values.std(dim=0) - math.sqrt(1 / 12)).abs().max() < 0.02
    between_steps = torch.corrcoef(torch.stack([values[:-1, 0], values[1:, 0]]))[0, 1]
    assert abs(float(between_steps)) < 0.08


def test_a_constant_rate() -> None:
    assert [learning_rate(1e-4, "constant", done) for done in (0.0, 0.5, 1.0)] == [1e-4] * 3


def test_a_rate_that_falls_like_a_cosine() -> None:
    assert learning_rate(2.0, "cosine", 0.0) == 2.0
    assert learning_rate(2.0, "cosine", 0.25) == pytest.approx(1 + math.sqrt(0.5))
    assert learning_rate(2.0, "cosine", 0.5) == pytest.approx(1.0)
    assert learning_rate(2.0, "cosine", 1.0) == pytest.approx(0.02)  # not nothing at all
    rates = [learning_rate(2.0, "cosine", step / 50) for step in range(47)]
    assert all(before > after for before, after in itertools.pairwise(rates))
