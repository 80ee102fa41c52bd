# SPDX-License-Identifier: Apache-2.0
"""The expected pose loss of a batch of cells, its gradient, and settings that cannot work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from known_cells import LENS, QUICK, Knowing, known_buffer, scene_cells

from dsac_core.errors import ConfigError
from dsac_core.training.cell_buffer import CellBatch, CellBuffer
from dsac_core.training.coordinate_loss import CoordinateLossConfig
from dsac_core.training.finetune_steps import FinetuneConfig, FinetuneSteps, expected_pose_loss
from dsac_core.training.workers import ALONE


def test_the_gradient_is_that_of_the_expected_pose_loss() -> None:
    """Central differences of two of the head's parameters, in double precision."""
    batch = known_buffer(2).draw_from([0, 1], 200, torch.Generator().manual_seed(0))
    batch = type(batch)(*(each.double() for each in batch))
    head = Knowing(off=0.03).double()
    noise = 0.02 * torch.randn(400, 3, dtype=torch.float64, generator=torch.manual_seed(1))

    def loss() -> torch.Tensor:
        points = batch.features_BC @ head.turn + head.shift + noise
        return expected_pose_loss(points, batch, QUICK, torch.Generator().manual_seed(2))

    loss().backward()
    step = 1e-6
    for parameter, place in ((head.shift, (0,)), (head.shift, (2,)), (head.turn, (0, 1))):
        assert parameter.grad is not None
        values = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                parameter[place] += sign * step
                values.append(loss().item())
                parameter[place] -= sign * step
        assert parameter.grad[place].item() == pytest.approx(
            (values[0] - values[1]) / (2 * step), rel=1e-4
        )


def test_a_long_gradient_is_cut_and_a_broken_one_dropped() -> None:
    batch = known_buffer(2).draw_from([0, 1], 200, torch.Generator().manual_seed(0))
    config = replace(QUICK, longest_gradient=0.01)
    points = (batch.features_BC + torch.tensor([0.03, 0.0, 0.0])).requires_grad_()
    expected_pose_loss(points, batch, config, torch.Generator().manual_seed(0)).backward()
    assert points.grad is not None
    lengths = points.grad.unflatten(0, (2, 200)).flatten(1).norm(dim=1)
    assert lengths.tolist() == pytest.approx([0.005, 0.005], rel=1e-4)
    points.grad = None
    loss = expected_pose_loss(points, batch, config, torch.Generator().manual_seed(0))
    (torch.inf * loss).backward()
    assert points.grad is not None
    assert not points.grad.any()


def new_steps(head: Knowing, buffer: CellBuffer, **changes: Any) -> FinetuneSteps:
    config = replace(QUICK, **changes)
    return FinetuneSteps(head, buffer, config, CoordinateLossConfig(), torch.float32, ALONE)


def test_the_pose_loss_counts_beside_the_coordinate_loss() -> None:
    shifts = []
    for weight in (0.0, 3.0):
        head = Knowing(0.03)
        steps = new_steps(head, known_buffer(), pose_weight=weight, warmup_iterations=1)
        for _ in range(2):
            steps.step(0.5)
        shifts.append(head.turn.detach())
    assert not torch.allclose(shifts[0], shifts[1], atol=1e-6)


def test_each_step_draws_cells_of_its_own() -> None:
    cells = known_buffer(2)
    drawn = drawn_by(cells)
    for _ in range(2):
        steps = new_steps(Knowing(), cells, cells=100)
        for _ in range(3):
            steps.step(0.5)
    sets = [frozenset(batch.features_BC[:, 0].tolist()) for _, batch in drawn]
    assert len(set(sets[:3])) == 3
    assert sets[:3] == sets[3:]


def drawn_by(cells: CellBuffer) -> list[tuple[list[int], CellBatch]]:
    """From now on: which images the steps take, and the cells of these."""
    drawn: list[tuple[list[int], CellBatch]] = []
    draw_from = cells.draw_from

    def note(numbers: Sequence[int], *rest: Any) -> CellBatch:
        drawn.append((list(numbers), draw_from(numbers, *rest)))
        return drawn[-1][1]

    cells.draw_from = note  # type: ignore[method-assign]
    return drawn


def test_a_step_without_a_finite_gradient_changes_nothing() -> None:
    head = Knowing(0.03)
    with torch.no_grad():
        head.shift[0] = torch.nan
    before = {name: value.clone() for name, value in head.state_dict().items()}
    steps = new_steps(head, known_buffer())
    steps.step(0.5)
    assert steps.skipped == 1
    for name, value in head.state_dict().items():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num()), name


def test_images_with_too_few_cells_are_left_out() -> None:
    cells = CellBuffer(300, 3, torch.float32, torch.device("cpu"))
    for count in (8, 200, 92, 50):  # of which the last find no room
        points, pixels, pose = scene_cells(count)
        cells.add_image(points[:count], pixels[:count], None, LENS, pose)
    steps = new_steps(Knowing(0.03), cells)
    drawn = drawn_by(cells)
    for _ in range(3):
        steps.step(0.5)
    assert {number for numbers, _ in drawn for number in numbers} == {1, 2}
    assert steps.skipped == 0


@pytest.mark.parametrize("name", ["images", "learning_rate", "longest_gradient", "cells"])
def test_settings_that_cannot_work_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"finetune.{name}"):
        FinetuneConfig(**{name: 0})
