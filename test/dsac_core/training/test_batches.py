# SPDX-License-Identifier: Apache-2.0
"""Batches in training: what counts in them, and what must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import CPU, IMAGES, changed, content, new_learner, same, settings

from dsac_core.progress import silent
from dsac_core.training.augmentation import NO_AUGMENTATION, augmented
from dsac_core.training.dense_trainer import DenseTrainer
from dsac_core.training.posed_images import PosedImage
from dsac_core.training.schedule import batch_indices


def hidden_image() -> PosedImage:
    return replace(IMAGES[0], seen_HW=torch.zeros(48, 64, dtype=torch.bool))


@pytest.mark.parametrize("scoring", ["soft", "scorenet"])
@pytest.mark.parametrize("setting", ["rgb", "rgbd"])
def test_a_batch_without_a_hypothesis_changes_nothing(
    setting: Any, scoring: Any, tmp_path: Path
) -> None:
    """Not even by the momentum of the steps before it."""
    config = replace(settings("e2e", setting=setting), scoring=scoring)
    config = replace(config, e2e=replace(config.e2e, schedule="constant", batch_size=1))
    states = []
    for iterations in (2, 3):
        config = replace(config, e2e=replace(config.e2e, iterations=iterations))
        learner = new_learner(config)
        images = [IMAGES[0], IMAGES[0], IMAGES[0]]
        images[batch_indices(3, 1, 2, config.seed)[0]] = hidden_image()
        trainer = DenseTrainer(learner, images, CPU, silent, tmp_path / "a.pt")
        trainer.run()
        saved = content(tmp_path / "a.pt")
        assert saved.pop("iteration") == saved.pop("record")["e2e_iterations"] == iterations
        states.append(saved)
    assert changed(learner)
    same(states[0], states[1])


def test_half_a_batch_without_a_hypothesis_does_no_harm() -> None:
    learner = new_learner(settings("e2e"))
    DenseTrainer(learner, [IMAGES[0], hidden_image()], CPU, silent).run()
    assert all(value.isfinite().all() for value in learner.network.state_dict().values())
    assert changed(learner)


@pytest.mark.parametrize("setting", ["rgb", "rgbd", "rgb-model"])
def test_a_batch_costs_the_mean_over_its_cells(setting: Any) -> None:
    """Of four images, some of which have fewer cells, as loss and as gradient."""
    learner = new_learner(settings("init", setting=setting))

    def of(images: list[PosedImage]) -> tuple[torch.Tensor, torch.Tensor, int]:
        batch = augmented(images, NO_AUGMENTATION, torch.Generator(), CPU)
        loss = learner.loss("init", batch, torch.Generator()).loss
        gradient = torch.autograd.grad(loss, learner.network.leave.weight)[0]
        return loss.detach(), gradient, int(batch.inside_BN.sum())

    loss, gradient, cells = of(IMAGES)
    each = [of([image]) for image in IMAGES]
    assert len({count for _, _, count in each}) > 1
    assert cells == sum(count for _, _, count in each)
    losses = [one[0] * one[2] / cells for one in each]
    gradients = [one[1] * one[2] / cells for one in each]
    for parts, whole in ((losses, loss), (gradients, gradient)):
        torch.testing.assert_close(torch.stack(parts).sum(dim=0), whole, rtol=1e-4, atol=1e-5)
