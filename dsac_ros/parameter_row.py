# SPDX-License-Identifier: Apache-2.0
"""One parameter of the node: what a field of ``Settings`` says of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from dsac_core.errors import ConfigError

Value = bool | int | float | str | tuple[str, ...]


def setting(
    default: Value,
    description: str,
    *,
    between: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    fixed: bool = False,
) -> Any:  # as dataclasses.field
    """A row of the table. ``fixed`` parameters are read-only once the node has started."""
    metadata = {
        "description": description,
        "between": between,
        "choices": choices,
        "fixed": fixed,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Row:
    """A parameter."""

    name: str
    default: Value
    description: str
    between: tuple[float, float] | None
    choices: tuple[str, ...]
    fixed: bool

    def check(self, value: Value) -> None:
        """Refuse a value that is not among the choices, or out of the range.

        Raises:
            ConfigError: Says what it must be.
        """
        if self.choices and value not in self.choices:
            msg = f"parameter {self.name} must be one of {', '.join(self.choices)}, got {value!r}"
            raise ConfigError(msg)
        if self.between is None:
            return
        low, high = self.between
        if not (isinstance(value, (int, float)) and low <= value <= high):
            msg = f"parameter {self.name} must lie between {low:g} and {high:g}, got {value!r}"
            raise ConfigError(msg)
