# SPDX-License-Identifier: Apache-2.0
"""Training of the head of a fast map, one batch of cells a step."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch

from dsac_core.training.coordinate_loss import coordinate_loss
from dsac_core.training.muon import Muon
from dsac_core.training.schedule import step_generator
from dsac_core.training.workers import ALONE

if TYPE_CHECKING:
    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.training.cell_buffer import CellBuffer
    from dsac_core.training.fast_map_config import FastMapConfig
    from dsac_core.training.workers import Workers

_STEPS_BETWEEN_FIGURES = 20  # reading the loss makes a GPU wait
_COOL_DOWN_SHARE = 0.05  # of what the whole training would have taken
_LONGEST_COOL_DOWN = 5.0  # seconds


class FastTrainer:
    """A head under training; it goes on from its state as if there had been no end.

    Which cells a step draws follows from its number, so that the state needs no random numbers.
    """

    def __init__(
        self,
        head: CoordinateHead,
        cells: CellBuffer,
        config: FastMapConfig,
        precision: torch.dtype,
        workers: Workers = ALONE,
    ) -> None:
        """Begin with the weights of ``head``, which is on the device of the cells."""
        self.head = head.train().requires_grad_()
        self._cells, self._config, self._precision = cells, config, precision
        self._workers = workers
        hidden = head.hidden_matrices()
        others = [p for p in head.parameters() if not any(p is matrix for matrix in hidden)]
        self._optimizers = (
            Muon(hidden, precision=precision),
            torch.optim.AdamW(others, weight_decay=config.weight_decay),
        )
        self._highest_rates = (config.hidden_learning_rate, config.learning_rate)
        self.iteration = 0  # steps done
        self.seconds = 0.0  # spent on them, with all that was done in between
        self.loss = math.nan  # px, smoothed
        self.valid = math.nan  # share of the cells, of late

    def step(self, done: float) -> None:
        """Take one step, with the learning rate and the clamp of ``done`` in [0, 1]."""
        config, device = self._config, self.head.feature_mean.device
        generator = step_generator(config.seed, "fast", self.iteration, self._workers.rank)
        varied = done < config.varied_until
        batch = self._cells.draw(config.batch_size, generator, varied=varied)
        with torch.autocast(device.type, self._precision, enabled=not self._in_full_precision):
            predicted = self.head(batch.features_BC)
        loss, valid = coordinate_loss(predicted, batch, config.loss, done)
        loss.backward()
        self._workers.average_gradients(self.head)
        warmup = min(1.0, (self.iteration + 1) / config.warmup_iterations)
        schedule = warmup * 0.5 * (1.0 + math.cos(math.pi * done))
        for optimizer, highest in zip(self._optimizers, self._highest_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = highest * schedule
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.iteration += 1
        if self.iteration % _STEPS_BETWEEN_FIGURES == 0:
            value = loss.item()
            self.loss = value if math.isnan(self.loss) else 0.9 * self.loss + 0.1 * value
            self.valid = valid.item()

    def cool_down(self, done: float) -> None:
        """Run through the rest of the schedule in a few seconds.

        Weights in the middle of training jitter with the learning rate; as it falls, they rest.

        Args:
            done: How far training came, in [0, 1].
        """
        whole = self.seconds / max(done, 1e-3)
        length = min(_COOL_DOWN_SHARE * whole, _LONGEST_COOL_DOWN)
        begin = time.perf_counter()
        share = 0.0
        while share < 1.0:
            self.step(done + share * (1.0 - done))
            (share,) = self._workers.largest((time.perf_counter() - begin) / max(length, 1e-3))

    @property
    def _in_full_precision(self) -> bool:
        return self._precision == torch.float32

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, and the figures that are shown."""
        return {
            "head": self.head.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "iteration": self.iteration,
            "seconds": self.seconds,
            "loss": self.loss,
            "valid": self.valid,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another trainer stood."""
        self.head.load_state_dict(state["head"])
        for optimizer, kept in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.iteration, self.seconds = state["iteration"], state["seconds"]
        self.loss, self.valid = state["loss"], state["valid"]
