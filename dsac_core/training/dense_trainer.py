# SPDX-License-Identifier: Apache-2.0
"""The loop of training on whole images, stage by stage, with checkpoints."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch

from dsac_core.training.augmentation import augmented
from dsac_core.training.dense_state import DenseState
from dsac_core.training.interrupt import deferred_interrupt
from dsac_core.training.schedule import batch_indices, learning_rate, step_generator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dsac_core.progress import Progress
    from dsac_core.training.dense_config import DenseMapConfig, StageName
    from dsac_core.training.posed_images import PosedImage
    from dsac_core.training.stages import Learner, StepLoss

_INIT_SHARE = 0.85  # of a budget of time, where other stages follow
_SMOOTHING = 0.95  # of the loss that is shown
_TITLES: dict[StageName, str] = {
    "init": "initialising",
    "score": "learning to score",
    "e2e": "training end to end",
}


class DenseTrainer:
    """Trains the networks of a `Learner` through the stages of its settings."""

    def __init__(
        self,
        learner: Learner,
        images: Sequence[PosedImage],
        device: torch.device,
        progress: Progress,
        checkpoint_file: Path | None = None,
        start: DenseState | None = None,
    ) -> None:
        """Begin at ``start``, with its weights; without it at the first stage."""
        self.learner, self.config = learner, learner.config
        self.images, self.device, self.progress = images, device, progress
        self._file = checkpoint_file
        self._start = start or DenseState()
        if self._start.network is not None:
            learner.network.load_state_dict(self._start.network)
        if self._start.scorer is not None and learner.scorer is not None:
            learner.scorer.load_state_dict(self._start.scorer)
        # Iterations, seconds and last loss of the stages.
        self.record: dict[str, float] = dict(self._start.record)

    def run(self) -> None:
        """Train until all stages are done.

        Raises:
            KeyboardInterrupt: The user pressed Ctrl-C; the checkpoint has every finished step.
        """
        stages = self.config.stages
        with deferred_interrupt() as interrupted:
            for number in range(self._start.stage, len(stages)):
                run = _StageRun(self, number, self._start)
                while run.done() < 1.0 and not interrupted():
                    run.step()
                    if run.unsaved_seconds() > self.config.checkpoint_seconds:
                        self._save(run)
                if interrupted():
                    self._save(run)
                    raise KeyboardInterrupt
                run.finish()
                self._save(run, finished=number + 1 < len(stages))

    def _save(self, run: _StageRun, *, finished: bool = False) -> None:
        """Write a checkpoint; a finished stage gives way to the next one."""
        run.saved = time.perf_counter()
        if self._file is None:
            return
        scorer = self.learner.scorer
        if finished:
            state = DenseState(run.number + 1)
        else:
            state = DenseState(run.number, run.iteration, run.spent, loss=run.loss)
            state.optimizer = run.optimizer.state_dict()
        state.network = self.learner.network.state_dict()
        state.scorer = None if scorer is None else scorer.state_dict()
        state.precision = str(self.learner.precision).removeprefix("torch.")
        state.record = self.record
        state.save(self._file, self.config)


class _StageRun:
    """One stage under way."""

    def __init__(self, trainer: DenseTrainer, number: int, start: DenseState) -> None:
        self._trainer, self.number = trainer, number
        config = trainer.config
        self.name = config.stages[number]
        self._stage = config.stage(self.name)
        parameters = trainer.learner.parameters(self.name)
        self.optimizer = torch.optim.Adam(parameters, lr=self._stage.learning_rate)
        begun = start if number == start.stage else DenseState(number)
        if begun.optimizer is not None:
            self.optimizer.load_state_dict(begun.optimizer)
        self.iteration, self.spent = begun.iteration, begun.seconds
        self._begun_iteration, self._begun_seconds = begun.iteration, begun.seconds
        self._limit = _budget(config, self.name)
        self.saved = time.perf_counter()
        self._started = self.saved - begun.seconds
        self.loss = begun.loss  # smoothed

    def done(self) -> float:
        """How much of the stage is behind, by iterations or by the clock."""
        return max(self.iteration / self._stage.iterations, self.spent / self._limit)

    def unsaved_seconds(self) -> float:
        return time.perf_counter() - self.saved

    def step(self) -> None:
        trainer, stage, seed = self._trainer, self._stage, self._trainer.config.seed
        rate = learning_rate(stage.learning_rate, stage.schedule, self.done())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images = trainer.images
        chosen = batch_indices(len(images), stage.batch_size, self.iteration, seed)
        generator = step_generator(seed, self.name, self.iteration)
        batch = augmented(
            [images[index] for index in chosen], stage.augmentation, generator, trainer.device
        )
        step = trainer.learner.loss(self.name, batch, generator)
        self.optimizer.zero_grad(set_to_none=True)
        if step.loss.requires_grad:  # not where no image of the batch has a hypothesis
            step.loss.backward()
            self.optimizer.step()
        self.iteration += 1
        self.spent = time.perf_counter() - self._started
        self._show(step)

    def _show(self, step: StepLoss) -> None:
        if step.loss.requires_grad:
            value = step.loss.item()
            first = math.isnan(self.loss)
            self.loss = value if first else _SMOOTHING * self.loss + (1 - _SMOOTHING) * value
        seconds = max(self.spent - self._begun_seconds, 1e-9)
        rate = (self.iteration - self._begun_iteration) / seconds
        detail = (
            f"iteration {self.iteration}, {rate:.1f} it/s,"
            f" loss {self.loss:.3g} {step.unit}, {step.detail}"
        )
        self._trainer.progress(_TITLES[self.name], min(self.done(), 0.9999), detail)

    def finish(self) -> None:
        """Leave the figures of the stage in the trainer's record."""
        detail = f"{self.iteration} iterations, loss {self.loss:.3g}"
        self._trainer.progress(_TITLES[self.name], 1.0, detail)
        record = self._trainer.record
        record[f"{self.name}_iterations"] = self.iteration
        record[f"{self.name}_seconds"] = round(self.spent, 1)
        if math.isfinite(self.loss):
            record[f"{self.name}_loss"] = float(f"{self.loss:.4g}")


def _budget(config: DenseMapConfig, stage: StageName) -> float:
    """Seconds that a stage may take."""
    if config.budget_seconds is None:
        return math.inf
    if "init" not in config.stages or len(config.stages) == 1:
        return config.budget_seconds / len(config.stages)
    if stage == "init":
        return _INIT_SHARE * config.budget_seconds
    return (1.0 - _INIT_SHARE) * config.budget_seconds / (len(config.stages) - 1)
