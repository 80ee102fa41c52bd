# SPDX-License-Identifier: Apache-2.0
"""The office: four walls with furniture along them and pictures above it, drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from dsac_core.synthetic.atlas import Atlas, pack
from dsac_core.synthetic.builder import Box, Builder
from dsac_core.synthetic.interior import ROLES, WALLS, furnish
from dsac_core.synthetic.lighting import LightMap, bake
from dsac_core.synthetic.noise import stream
from dsac_core.synthetic.options import RoomOptions
from dsac_core.synthetic.shape import Shape, shape_of
from dsac_core.synthetic.shell import add_materials, add_shell

DEEPEST = 0.8  # metres: no piece (chairs aside) reaches further into the room


@dataclass(frozen=True)
class Room:
    """Everything the ray caster needs, and the solids for whoever plans a path."""

    options: RoomOptions
    shape: Shape
    atlas: Atlas
    light: LightMap
    boxes: tuple[Box, ...]


@lru_cache(maxsize=3)
def office(seed: int = 0) -> Room:
    """The office of a seed at its usual size. Built once per process (a few seconds)."""
    return make_room(RoomOptions(seed))


def make_room(options: RoomOptions) -> Room:
    """Build a room: the same options give the same room, byte for byte."""
    builder = Builder(stream(options.seed, "room"))
    add_materials(builder, options.seed)
    add_shell(builder, options)
    order, shift = builder.rng.permutation(4), int(builder.rng.integers(4))
    for number in range(4):
        is_long = number % 2 == 0
        # Along the short walls the corners belong to the furniture of the long ones.
        free = options.wall_length(number) - (0.1 if is_long else 2 * DEEPEST + 0.1)
        kind = int(order[number])
        if is_long != (kind % 2 == 0):
            kind = (kind + 1) % 4
        furnish(builder, options.wall(number), WALLS[kind], free, ROLES[(number + shift) % 4])
    atlas = pack(builder.sheets)
    boxes = tuple(builder.boxes)
    light = bake(builder.surfaces, boxes, options)
    return Room(options, shape_of(builder.surfaces, atlas), atlas, light, boxes)
