# SPDX-License-Identifier: Apache-2.0
"""Where training on whole images stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsac_core.training.checkpoint import load_checkpoint, save_checkpoint, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from dsac_core.training.checkpoint import Settings
    from dsac_core.training.dense_config import DenseMapConfig

# What may change from one run to the next: how long to train, and how often to save.
_FREE = (
    "budget_seconds",
    "checkpoint_seconds",
    "init.iterations",
    "score.iterations",
    "e2e.iterations",
)


@dataclass
class DenseState:
    """What a checkpoint holds; what is random follows from the iteration."""

    stage: int = 0  # index into the stages
    iteration: int = 0  # finished in that stage
    seconds: float = 0.0  # spent in that stage
    network: dict[str, Any] | None = None
    scorer: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None
    loss: float = math.nan  # as it is shown, of that stage
    precision: str = "float32"  # of the stage init; another machine might choose another one
    record: dict[str, float] = field(default_factory=dict)  # of the stages before

    @classmethod
    def load(cls, file: Path, config: DenseMapConfig) -> DenseState:
        """Read a checkpoint that was made with the same settings.

        Raises:
            ConfigError: It is damaged, or its settings differ.
        """
        return load_checkpoint(file, cls, _settings(config))

    def save(self, file: Path, config: DenseMapConfig) -> None:
        """Write a checkpoint, whole or not at all."""
        save_checkpoint(file, self, _settings(config))


def _settings(config: DenseMapConfig) -> Settings:
    return settings_of(config, *_FREE)
