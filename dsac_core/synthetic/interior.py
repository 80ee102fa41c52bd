# SPDX-License-Identifier: Apache-2.0
"""What stands along the walls and what hangs on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.synthetic import furniture, prints
from dsac_core.synthetic.posters import poster

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsac_core.synthetic.builder import Builder, Place

PIECES: tuple[tuple[Callable[[Builder, Place, float], float], float], ...] = (
    (furniture.bookshelf, 0.95),
    (furniture.desk, 1.5),
    (furniture.cabinet, 0.9),
    (furniture.sofa, 1.75),
    (furniture.sideboard, 1.3),
    (furniture.boxes, 0.85),
    (furniture.floor_plant, 0.6),
)
# Which pieces stand along the four walls before shuffling: indices into PIECES.
WALLS: tuple[tuple[int, ...], ...] = ((0, 1, 2, 1), (0, 4, 5), (3, 0, 1, 6), (2, 1, 0))
ROLES = ("window", "door", "whiteboard", "pinboard")  # what each wall has beside posters


def furnish(builder: Builder, place: Place, kinds: tuple[int, ...], free: float, role: str) -> None:
    """Pieces side by side along one wall, and pictures wherever the wall stays visible."""
    rng = builder.rng
    chosen = [PIECES[kind] for kind in rng.permutation(np.asarray(kinds))]
    if role == "door":
        chosen[1] = (furniture.doorway, 0.95)
    while sum(width for _, width in chosen) > free:
        chosen.pop()
    gaps = rng.dirichlet(np.full(len(chosen) + 1, 3.0))
    gaps *= free - sum(width for _, width in chosen)
    x = -free / 2
    low: list[tuple[float, float, float]] = []  # stretches of wall to hang things on
    for (piece, width), gap in zip(chosen, gaps, strict=False):
        low.append((x, x + float(gap), 0.0))
        x += float(gap)
        top = piece(builder, place.shifted(x + width / 2, -0.02), width)
        low.append((x, x + width, top))
        x += width
    low.append((x, free / 2, 0.0))
    merged = [stretch for stretch in low if stretch[2] < 1.5]
    _decorate(builder, place, merged, "" if role == "door" else role)


def _decorate(
    builder: Builder, place: Place, stretches: list[tuple[float, float, float]], special: str
) -> None:
    """Hang posters, the whiteboard, the window, and the pinboard."""
    rng = builder.rng
    kind = int(rng.integers(6))
    for left, right, top in sorted(stretches, key=lambda s: s[0] - s[1]):
        x = left + 0.06
        while right - x > 0.32:
            bottom = max(top + 0.04, 0.95)
            tall = min(float(rng.uniform(0.7, 1.05)), 2.25 - bottom)
            wide = min(float(rng.uniform(0.62, 0.8)) * tall, right - x)
            if special and right - x > 1.1:
                wide, bottom = min(1.6, right - x - 0.04), max(bottom, 1.0)
                tall = min(1.1, 2.3 - bottom)
                _hang_special(builder, place, (x, bottom, wide, tall), special)
                special = ""
                x += wide + float(rng.uniform(0.08, 0.2))
                continue
            picture = poster(rng, max(40, int(tall * 640)), max(40, int(wide * 640)), kind)
            kind += 1
            builder.add_face(
                place, (x, -0.012, bottom + tall), (wide, 0, 0), (0, 0, -tall), picture
            )
            if top < 0.2:
                _pin_papers(builder, place, x, wide, bottom)
            x += wide + float(rng.uniform(0.05, 0.2))


def _hang_special(
    builder: Builder, place: Place, box: tuple[float, float, float, float], role: str
) -> None:
    """The window, whiteboard or pinboard in the box (left, bottom, width, height)."""
    rng = builder.rng
    x, bottom, wide, tall = box
    rows, columns = int(tall * 480), int(wide * 480)
    if role == "window":
        picture = prints.window_view(rng, rows, columns)
    elif role == "whiteboard":
        picture = prints.whiteboard(rng, rows, columns)
    else:
        cork = furniture.surface_of(builder, "cardboard")
        picture = prints.corkboard(rng, rows, columns, cork)
    _frame(builder, place, box, role == "window")
    top_left = (x, -0.02, bottom + tall)
    glow = role == "window"
    builder.add_face(place, top_left, (wide, 0, 0), (0, 0, -tall), picture, glow=glow)


def _pin_papers(builder: Builder, place: Place, x: float, wide: float, below: float) -> None:
    """Single sheets under a poster, where the bare wall would be."""
    rng = builder.rng
    while wide > 0.24:
        picture = prints.paper(rng, 208, 148)
        if rng.random() < 0.5:
            picture = poster(rng, 208, 148, int(rng.integers(6)))
        top = below - float(rng.uniform(0.05, 0.3))
        builder.add_face(place, (x, -0.01, top), (0.21, 0, 0), (0, 0, -0.297), picture)
        step = float(rng.uniform(0.24, 0.4))
        x, wide = x + step, wide - step


def _frame(
    builder: Builder, place: Place, box: tuple[float, float, float, float], bars: bool
) -> None:
    """A frame of four laths, with a cross inside it for a window."""
    x, z, wide, tall = box
    laths = [(x, z + tall / 2, 0.05, tall), (x + wide, z + tall / 2, 0.05, tall),
             (x + wide / 2, z, wide, 0.05), (x + wide / 2, z + tall, wide, 0.05)]  # fmt: skip
    if bars:
        laths += [(x + wide / 2, z + tall / 2, 0.04, tall)]
    for middle, centre, across, down in laths:
        builder.add_box(place, (middle, -0.025, centre), (across, 0.05, down), "steel",
                        skip=("back",), solid=False)  # fmt: skip
    if bars:
        builder.add_box(place, (x + wide / 2, -0.08, z - 0.03), (wide + 0.1, 0.16, 0.03), "pine",
                        skip=("back",), solid=False)  # fmt: skip
