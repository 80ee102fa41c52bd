# SPDX-License-Identifier: Apache-2.0
"""What a room is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsac_core.errors import ConfigError
from dsac_core.synthetic.builder import Place


@dataclass(frozen=True)
class RoomOptions:
    """What a room is made from. The frame `map` is on the floor, in the middle of the room."""

    seed: int = 0  # layout, textures and pictures all follow from it
    length: float = 6.0  # metres along x
    width: float = 5.0  # metres along y
    height: float = 2.7  # metres

    def __post_init__(self) -> None:
        """Refuse rooms that furniture and a walk do not fit into."""
        if self.seed < 0:
            msg = f"the seed of a room must not be negative, got {self.seed}"
            raise ConfigError(msg)
        if not (4.5 <= self.length <= 12 and 4.5 <= self.width <= 12 and 2.4 <= self.height <= 4):
            msg = (
                "a room must be 4.5 to 12 m long and wide and 2.4 to 4 m high, got"
                f" {self.length} x {self.width} x {self.height}"
            )
            raise ConfigError(msg)

    @property
    def lamps(self) -> tuple[tuple[float, float], ...]:
        """Where on the ceiling the four lamps are, metres."""
        x, y = self.length / 4, self.width / 4
        return ((-x, -y), (x, -y), (-x, y), (x, y))

    def wall_length(self, number: int) -> float:
        """Length of wall 0 ... 3 in metres; wall 0 is at +y, then clockwise seen from above."""
        return self.length if number % 2 == 0 else self.width

    def wall(self, number: int) -> Place:
        """The frame of a wall: x along it to the right, y into it, from the middle of its foot."""
        yaw = -np.pi / 2 * number
        away = self.wall_length(number + 1) / 2
        return Place(-away * np.sin(yaw), away * np.cos(yaw), yaw)
