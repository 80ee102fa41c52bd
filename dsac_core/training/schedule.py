# SPDX-License-Identifier: Apache-2.0
"""Which images, which randomness and which rate a step of training has.

All of it follows from the number of the step, so that training goes on after a kill as if there had
been none.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from dsac_core.training.dense_config import StageName


def step_generator(
    seed: int, stage: StageName | Literal["fast"], iteration: int, worker: int = 0
) -> torch.Generator:
    """The randomness of one step: a function of its number, so that it needs no checkpoint."""
    number = {"init": 0, "score": 1, "e2e": 2, "fast": 3}[stage] + 4 * worker
    mixed = (seed * 1_000_003 + number) * 10_000_019 + iteration
    return torch.Generator().manual_seed(mixed % (2**63))


def batch_indices(count: int, size: int, iteration: int, seed: int) -> list[int]:
    """Which images a step takes: a new random order in each round through all of them."""
    positions = range(iteration * size, (iteration + 1) * size)
    rounds = (divmod(position, count) for position in positions)
    return [_order(count, round_number, seed)[place] for round_number, place in rounds]


@lru_cache(maxsize=2)
def _order(count: int, round_number: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed((seed * 7919 + round_number) % (2**63))
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order


def learning_rate(highest: float, schedule: str, done: float) -> float:
    """At ``done`` in [0, 1] of a stage."""
    if schedule == "constant":
        return highest
    return highest * max(0.01, 0.5 * (1.0 + math.cos(math.pi * done)))
