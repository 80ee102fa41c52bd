# SPDX-License-Identifier: Apache-2.0
"""Unfinished training on disk, so that a kill costs a minute at most."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from dsac_core.errors import ConfigError
from dsac_core.files import replacing_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Settings = dict[str, Any]  # as JSON has them
_State = TypeVar("_State")

# What reading a file comes to that is not what was written.
_DAMAGE = (
    OSError, RuntimeError, pickle.UnpicklingError, EOFError, TypeError, ValueError, LookupError,
    AttributeError,
)  # fmt: skip


def checkpoint_beside(folder: Path) -> Path:
    """Where the unfinished training of the scene map in ``folder`` is kept."""
    folder = folder.resolve()  # "." has no name
    return folder.with_name(f"{folder.name}.training.pt")


def when_written(file: Path) -> int:
    """Tells one checkpoint from the next; 0 where there is none."""
    return file.stat().st_mtime_ns if file.is_file() else 0


def settings_of(config: Any, *free: str) -> Settings:
    """The fields of a settings dataclass, without those that another run may have otherwise.

    Args:
        config: The dataclass.
        free: Names of these fields, dotted where they are fields of fields.
    """
    settings: Settings = json.loads(json.dumps(asdict(config)))
    for name in free:
        inner = settings
        *path, last = name.split(".")
        for part in path:
            inner = inner[part]
        del inner[last]
    return settings


def save_checkpoint(file: Path, state: object, settings: Settings) -> None:
    """Write the attributes of ``state``, whole or not at all."""
    with replacing_file(file) as unfinished:
        torch.save({"settings": json.dumps(settings), **vars(state)}, unfinished)


def load_checkpoint(file: Path, make: Callable[..., _State], settings: Settings) -> _State:
    """Give the attributes that were saved to ``make``; they are of training with these settings.

    Raises:
        ConfigError: The file is damaged, or its settings differ.
    """
    before, state = _read(file, make)
    difference = _difference(before, settings)
    if difference:
        msg = (
            f"{file} was made with other settings ({difference}): go on with the same ones, or"
            " remove it to start again"
        )
        raise ConfigError(msg)
    return state


def saved_settings(file: Path) -> Settings:
    """The settings that a checkpoint was made with.

    Raises:
        ConfigError: The file is damaged.
    """
    return _read(file, dict)[0]


def _read(file: Path, make: Callable[..., _State]) -> tuple[Settings, _State]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        settings: Settings = dict(json.loads(content.pop("settings")))
        return settings, make(**content)
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        msg = f"{file} is damaged ({reason}): remove it and train from the start"
        raise ConfigError(msg) from error


def _difference(before: Settings, now: Settings, prefix: str = "") -> str:
    """The first setting that differs, in words; the network before all others."""
    for name in sorted({*before, *now}, key=lambda name: (name != "network", name)):
        old, new = _numbered(before.get(name)), _numbered(now.get(name))
        if isinstance(old, dict) and isinstance(new, dict):
            inner = _difference(old, new, f"{prefix}{name}.")
            if inner:
                return inner
        elif old != new:
            return f"{prefix}{name} was {old}, is {new}"
    return ""


def _numbered(value: Any) -> Any:
    """A list of objects as an object, so that the one that differs can be named."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {str(number): entry for number, entry in enumerate(value, start=1)}
    return value
