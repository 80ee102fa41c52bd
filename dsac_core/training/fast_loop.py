# SPDX-License-Identifier: Apache-2.0
"""The loop of fast mapping: until the iterations or the seconds are up, or somebody ends it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsac_core.progress import Progress
    from dsac_core.training.fast_map_config import FastMapConfig
    from dsac_core.training.fast_trainer import FastTrainer
    from dsac_core.training.workers import Workers

_STEPS_BETWEEN_REPORTS = 10


class FastLoop:
    """Steps of a `FastTrainer`, with checkpoints and reports in between."""

    def __init__(
        self,
        trainer: FastTrainer,
        config: FastMapConfig,
        seconds: float,
        workers: Workers,
        progress: Progress,
        *,
        save: Callable[[], None],
        watch: Callable[[float], str],
    ) -> None:
        """Prepare to go on from where the trainer stands.

        Args:
            trainer: Takes the steps.
            config: Says for how many iterations, if it does.
            seconds: How long training may take, where it does not.
            workers: The first one's clock counts; Ctrl-C in any of them ends all.
            progress: Is told how far it is.
            save: Writes a checkpoint.
            watch: Is told how far it is in [0, 1], and may have something to say.
        """
        self._trainer, self._config, self._seconds = trainer, config, seconds
        self._workers, self._progress = workers, progress
        self._save, self._watch = save, watch
        self.done = 0.0  # in [0, 1]
        self.where = ""  # how far training came, in words

    def run(self, interrupted: Callable[[], bool]) -> bool:
        """Train, and write a checkpoint at the end; returns whether it came to its end."""
        trainer, first = self._trainer, self._workers.rank == 0
        begun = time.perf_counter() - trainer.seconds
        saved = time.perf_counter()
        while True:
            own = self._clock() if first else 0.0
            self.done, stop = self._workers.largest(own, float(interrupted()))
            if self.done >= 1.0 or stop:
                break
            trainer.step(self.done)
            if first and trainer.iteration % _STEPS_BETWEEN_REPORTS == 0:
                self._report(self._watch(self.done))
            now = time.perf_counter()
            trainer.seconds = now - begun
            if first and now - saved > self._config.checkpoint_seconds:
                self._save()
                saved = time.perf_counter()
        if first:
            self._save()
        self.where = self._where()
        finished = self.done >= 1.0
        if finished:
            self._progress("training", 1.0, self._figures())
        return finished

    def _clock(self) -> float:
        if self._config.iterations is not None:
            return self._trainer.iteration / self._config.iterations
        return self._trainer.seconds / self._seconds

    def _where(self) -> str:
        if self._config.iterations is not None:
            return f"iteration {self._trainer.iteration} of {self._config.iterations}"
        return f"iteration {self._trainer.iteration}, at {self.done:.0%} of the training"

    def _report(self, remark: str) -> None:
        figures = f"{self._figures()}, {remark}" if remark else self._figures()
        self._progress("training", min(self.done, 0.999), figures)

    def _figures(self) -> str:
        trainer = self._trainer
        if math.isnan(trainer.loss):
            return f"iteration {trainer.iteration}"
        return (
            f"iteration {trainer.iteration}, loss {trainer.loss:.2f} px, {trainer.valid:.0%} valid"
        )
