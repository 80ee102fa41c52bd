# SPDX-License-Identifier: Apache-2.0
"""Unfinished training on disk, so that a kill costs a minute at most."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from dsac_core.errors import ConfigError
from dsac_core.files import replacing_file

if TYPE_CHECKING:
    from pathlib import Path

    from dsac_core.training.dense_config import DenseMapConfig

# What may change from one run to the next: how long to train, and how often to save.
_FREE = {"budget_seconds", "checkpoint_seconds"}
# What reading a file comes to that is not what was written.
_DAMAGE = (
    OSError, RuntimeError, pickle.UnpicklingError, EOFError, TypeError, ValueError, LookupError,
    AttributeError,
)  # fmt: skip


@dataclass
class Checkpoint:
    """Where training stands; what is random follows from the iteration."""

    stage: int = 0  # index into the stages
    iteration: int = 0  # finished in that stage
    seconds: float = 0.0  # spent in that stage
    network: dict[str, Any] | None = None
    scorer: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None
    loss: float = math.nan  # as it is shown, of that stage
    precision: str = "float32"  # of the stage init; another machine might choose another one
    record: dict[str, float] = field(default_factory=dict)  # of the stages before


def save_checkpoint(file: Path, checkpoint: Checkpoint, config: DenseMapConfig) -> None:
    """Write it, whole or not at all."""
    with replacing_file(file) as unfinished:
        torch.save({"settings": _settings(config), **vars(checkpoint)}, unfinished)


def load_checkpoint(file: Path, config: DenseMapConfig) -> Checkpoint:
    """Read one that was made with the same settings.

    Raises:
        ConfigError: It is damaged, or its settings differ.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        settings = json.loads(content.pop("settings"))
        checkpoint = Checkpoint(**content)
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        msg = f"{file} is damaged ({reason}): remove it and train from the start"
        raise ConfigError(msg) from error
    difference = _difference(settings, json.loads(_settings(config)))
    if difference:
        msg = (
            f"{file} was made with other settings ({difference}): go on with the same ones, or"
            " remove it to start again"
        )
        raise ConfigError(msg)
    return checkpoint


def _settings(config: DenseMapConfig) -> str:
    settings = {name: value for name, value in asdict(config).items() if name not in _FREE}
    for stage in ("init", "score", "e2e"):
        del settings[stage]["iterations"]
    return json.dumps(settings, sort_keys=True)


def _difference(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str:
    """The first setting that differs, in words."""
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = _difference(old, new, f"{prefix}{name}.")
            if inner:
                return inner
        elif old != new:
            return f"{prefix}{name} was {old}, is {new}"
    return ""
