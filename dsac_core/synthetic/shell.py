# SPDX-License-Identifier: Apache-2.0
"""The empty room: floor, rug, ceiling, lamps and walls, and the stock of materials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.synthetic import materials
from dsac_core.synthetic.builder import Place
from dsac_core.synthetic.noise import fractal_noise, pick, stream, tint

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsac_core.synthetic.builder import Builder
    from dsac_core.synthetic.noise import Colour, Image
    from dsac_core.synthetic.options import RoomOptions


def add_materials(builder: Builder, seed: int) -> None:
    """The materials that furniture takes its surfaces from."""
    wood = materials.wood
    plans: tuple[tuple[str, Callable[..., Image], Colour, float], ...] = (
        ("oak", wood, (196, 152, 100), 400), ("walnut", wood, (120, 80, 54), 400),
        ("pine", wood, (220, 186, 136), 400), ("steel", materials.metal, (176, 180, 182), 400),
        ("graphite", materials.metal, (58, 60, 66), 400),
        ("blue steel", materials.metal, (70, 100, 136), 400),
        ("red cloth", materials.cloth, (150, 50, 46), 400),
        ("green cloth", materials.cloth, (64, 104, 84), 400),
        ("grey cloth", materials.cloth, (112, 114, 122), 400),
        ("ochre cloth", materials.cloth, (196, 146, 60), 400),
        ("cardboard", materials.cardboard, (182, 142, 96), 400),
        ("pages", materials.cardboard, (232, 226, 208), 400),
        ("brick pot", materials.cardboard, (170, 90, 60), 400),
        ("leaf", materials.cloth, (70, 124, 56), 500),
    )  # fmt: skip
    for name, make, colour, resolution in plans:
        rng = stream(seed, "material", name)
        builder.add_sheet(make(rng, 860, 860, pick(rng, (colour,), 10)), resolution, name)


def add_shell(builder: Builder, options: RoomOptions) -> None:
    """Floor with rug, ceiling with lamps, and the four walls with their skirting boards."""
    seed, length, width, height = options.seed, options.length, options.width, options.height
    rng = stream(seed, "shell")
    whole = Place(0.0, 0.0, 0.0)
    base = pick(rng, ((92, 98, 108), (104, 96, 92), (84, 104, 104)), 10)
    floor = materials.carpet(rng, int(width * 260), int(length * 260), base)
    builder.add_face(whole, (-length / 2, width / 2, 0), (length, 0, 0), (0, -width, 0), floor)
    rug = materials.rug(rng, 560, 800, pick(rng, ((150, 60, 50), (60, 80, 120), (90, 100, 70))))
    turned = Place(0.0, 0.0, float(rng.normal(0, 0.15)), 0.006)
    builder.add_face(turned, (-1.1, 0.75, 0), (2.2, 0, 0), (0, -1.5, 0), rug)
    above = materials.ceiling(rng, int(width * 100), int(length * 100), (222, 222, 218))
    builder.add_face(whole, (-length / 2, -width / 2, height), (length, 0, 0), (0, width, 0), above)
    for x, y in options.lamps:
        shade = 1 - 0.04 * np.abs(fractal_noise(rng, 64, 64, 16, 2))
        panel = tint((255, 252, 240), shade.astype(np.float32))
        builder.add_face(whole, (x - 0.3, y - 0.3, height - 0.01), (0.6, 0, 0), (0, 0.6, 0), panel,
                         glow=True)  # fmt: skip
    styles = (materials.plaster, materials.brick, materials.wallpaper, materials.plaster)
    colours: tuple[Colour, ...] = ((214, 206, 190), (158, 84, 66), (176, 196, 186), (188, 200, 214))
    order = rng.permutation(4)
    for number in range(4):
        along, place = options.wall_length(number), options.wall(number)
        style, colour = styles[order[number]], pick(rng, (colours[order[number]],), 8)
        wall = style(rng, int(height * 380), int(along * 380), colour)
        builder.add_face(place, (-along / 2, 0, height), (along, 0, 0), (0, 0, -height), wall)
        builder.add_box(place, (0, -0.008, 0.05), (along, 0.016, 0.1), "pine",
                        skip=("back", "bottom", "left", "right"), solid=False)  # fmt: skip
