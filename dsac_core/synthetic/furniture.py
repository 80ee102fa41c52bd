# SPDX-License-Identifier: Apache-2.0
"""The pieces that stand along a wall, in its frame: x right, y into the wall (y = 0), z up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.synthetic import prints
from dsac_core.synthetic.noise import pick
from dsac_core.synthetic.posters import poster

if TYPE_CHECKING:
    from dsac_core.synthetic.builder import Builder, Place
    from dsac_core.synthetic.noise import Image

WOODS = ("oak", "walnut", "pine")
METALS = ("steel", "graphite", "blue steel")
CLOTHS = ("red cloth", "green cloth", "grey cloth", "ochre cloth")


def one(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    """One of the names."""
    return names[int(rng.integers(len(names)))]


def surface_of(builder: Builder, material: str) -> Image:
    """The texture of a material, to draw on; a different part of it each time."""
    sheet = builder.sheets[builder.materials[material]]
    shift = (int(builder.rng.integers(sheet.shape[0])), int(builder.rng.integers(sheet.shape[1])))
    return np.roll(sheet, shift, axis=(0, 1))


def bookshelf(builder: Builder, place: Place, width: float) -> float:
    """Boards with rows of books, folders and ornaments; returns its height in metres."""
    rng, material = builder.rng, one(builder.rng, WOODS)
    depth, height, board = 0.30, float(rng.uniform(1.85, 2.1)), 0.025
    for side in (-1, 1):
        builder.add_box(place, (side * (width - board) / 2, -depth / 2, height / 2),
                        (board, depth, height), material)  # fmt: skip
    builder.add_box(place, (0, -0.008, height / 2), (width, 0.016, height), material,
                    skip=("back", "bottom"))  # fmt: skip
    shelves = 6
    gap = (height - 0.08 - board / 2) / (shelves - 1)
    for shelf in range(shelves):
        z = 0.08 + shelf * gap
        builder.add_box(place, (0, -depth / 2, z), (width - 2 * board, depth, board), material,
                        skip=("back", "left", "right"))  # fmt: skip
        if shelf < shelves - 1:
            _fill_shelf(builder, place.shifted(0, 0, z + board / 2), width - 2 * board, depth, gap)
    return height


def _fill_shelf(builder: Builder, place: Place, width: float, depth: float, gap: float) -> None:
    rng = builder.rng
    x = -width / 2 + 0.005
    while x < width / 2 - 0.06:
        run = min(float(rng.uniform(0.10, 0.30)), width / 2 - x - 0.005)
        tall = float(rng.uniform(0.6, 0.88)) * (gap - 0.03)
        deep = float(rng.uniform(0.6, 0.9)) * depth
        if rng.random() < 0.8:
            picture = prints.book_spines(rng, int(tall * 650), int(run * 650))
            builder.add_box(
                place,
                (x + run / 2, -deep / 2 - 0.02, tall / 2),
                (run, deep, tall),
                "pages",
                {"front": picture},
                skip=("back", "bottom"),
                solid=False,
            )
        elif rng.random() < 0.6:
            tall *= 0.6
            picture = prints.parcel(
                rng,
                int(tall * 500),
                int(run * 500),
                surface_of(builder, one(rng, ("cardboard", *CLOTHS))),
            )
            builder.add_box(place, (x + run / 2, -deep / 2 - 0.03, tall / 2), (run, deep, tall),
                            one(rng, CLOTHS), {"front": picture}, skip=("back", "bottom"),
                            solid=False)  # fmt: skip
        x += run + float(rng.choice([0.002, 0.002, 0.05]))


def desk(builder: Builder, place: Place, width: float) -> float:
    """A desk with screens, papers and odds and ends, and a chair before it."""
    rng, material = builder.rng, one(builder.rng, WOODS)
    depth, height = 0.72, 0.74
    builder.add_box(place, (0, -depth / 2, height - 0.015), (width, depth, 0.03), material, skip=())
    drawers = 0.42
    side = float(rng.choice([-1.0, 1.0]))
    front = prints.drawer_front(rng, 140, 168, surface_of(builder, material))
    for drawer in range(4):
        builder.add_box(
            place,
            (side * (width - drawers) / 2, -depth / 2, 0.03 + 0.17 * (drawer + 0.5)),
            (drawers, depth - 0.06, 0.168),
            material,
            {"front": front if drawer else prints.drawer_front(rng, 70, 168, front)},
            skip=("back", "bottom", "top"),
        )
    builder.add_box(place, (-side * (width - 0.03) / 2, -depth / 2, (height - 0.03) / 2),
                    (0.03, depth - 0.06, height - 0.03), material)  # fmt: skip
    builder.add_box(place, (0, -0.04, 0.45), (width, 0.02, 0.5), material)
    _desk_top(builder, place.shifted(0, 0, height), width)
    chair_x = -side * float(rng.uniform(0.1, 0.25))
    turn = float(rng.normal(0, 0.35))
    chair(builder, place.shifted(chair_x, 0.12 - depth, 0.0, turn))
    return height + 0.5


def _desk_top(builder: Builder, place: Place, width: float) -> None:
    rng = builder.rng
    screens = 2 if width > 1.4 else 1
    for number in range(screens):
        x = (number - (screens - 1) / 2) * 0.62
        stand = place.shifted(x, -0.24, 0.0, float(rng.normal(0, 0.1) - 0.2 * np.sign(x)))
        picture = prints.screen(rng, 300, 500)
        builder.add_box(stand, (0, 0, 0.31), (0.56, 0.03, 0.35), "graphite", skip=())
        builder.add_face(stand, (-0.265, -0.017, 0.47), (0.53, 0, 0), (0, 0, -0.31), picture,
                         glow=True)  # fmt: skip
        builder.add_box(stand, (0, 0.03, 0.08), (0.06, 0.03, 0.16), "graphite")
        builder.add_box(stand, (0, 0, 0.006), (0.22, 0.16, 0.012), "graphite")
    builder.add_box(place, (0, -0.56, 0.012), (0.42, 0.14, 0.024), "graphite",
                    {"top": prints.keyboard(rng, 70, 210)}, solid=False)  # fmt: skip
    for side in (-1, 1):
        spot = place.shifted(side * (width / 2 - 0.2), -0.5, 0.0, float(rng.normal(0, 0.3)))
        sheet = prints.paper(rng, 150, 106)
        builder.add_face(spot, (-0.105, 0.15, 0.003), (0.21, 0, 0), (0, -0.297, 0), sheet)
    clutter(builder, place.shifted(-width / 2 + 0.14, -0.2), 3)
    clutter(builder, place.shifted(width / 2 - 0.14, -0.2), 2)


def clutter(builder: Builder, place: Place, count: int) -> None:
    """Books lying on each other, a mug on them: a stack of ``count`` things."""
    rng = builder.rng
    z = 0.0
    for _ in range(count):
        width, deep, thick = rng.uniform([0.15, 0.13, 0.02], [0.24, 0.2, 0.05]).tolist()
        spot = place.shifted(0, 0, z, float(rng.normal(0, 0.3)))
        spine = np.rot90(prints.book_spines(rng, int(width * 700), int(thick * 700)))
        cover = poster(rng, int(deep * 600), int(width * 600), int(rng.integers(6)))
        builder.add_box(
            spot,
            (0, 0, thick / 2),
            (width, deep, thick),
            "pages",
            {"front": np.ascontiguousarray(spine), "top": cover},
            solid=False,
        )
        z += thick
    builder.add_box(place, (0.01, 0, z + 0.05), (0.075, 0.075, 0.1), one(rng, CLOTHS),
                    {"front": poster(rng, 80, 60, 0)}, solid=False)  # fmt: skip


def chair(builder: Builder, place: Place) -> None:
    """An office chair whose back is turned to the room (its sitter faces the wall)."""
    cloth = one(builder.rng, CLOTHS)
    builder.add_box(place, (0, 0, 0.45), (0.46, 0.44, 0.09), cloth, skip=())
    builder.add_box(place, (0, -0.22, 0.76), (0.42, 0.06, 0.42), cloth, skip=())
    builder.add_box(place, (0, -0.22, 0.5), (0.06, 0.04, 0.2), "graphite")
    builder.add_box(place, (0, 0, 0.24), (0.05, 0.05, 0.36), "graphite")
    for spoke in range(3):
        builder.add_box(place.shifted(0, 0, 0, spoke * np.pi / 3 + 0.2), (0, 0, 0.05),
                        (0.52, 0.045, 0.03), "graphite")  # fmt: skip
    for side in (-1, 1):
        builder.add_box(place, (side * 0.25, -0.02, 0.64), (0.05, 0.26, 0.03), "graphite", skip=())
        builder.add_box(place, (side * 0.25, -0.1, 0.55), (0.03, 0.05, 0.18), "graphite")


def cabinet(builder: Builder, place: Place, width: float) -> float:
    """Filing drawers with labels, and boxes and books on top."""
    rng, material = builder.rng, one(builder.rng, METALS)
    depth, drawers = 0.5, int(rng.integers(3, 5))
    height = drawers * 0.3
    columns = 2 if width > 0.7 else 1
    part = width / columns
    for column in range(columns):
        for drawer in range(drawers):
            face = prints.drawer_front(rng, 145, int(part * 480), surface_of(builder, material))
            x = (column + 0.5) * part - width / 2
            builder.add_box(place, (x, -depth / 2, 0.3 * (drawer + 0.5)), (part, depth, 0.3),
                            material, {"front": face}, skip=("back", "bottom"))  # fmt: skip
    parcels(builder, place.shifted(0, -0.25, height), width, int(rng.integers(1, 3)))
    return height + 0.3


def parcels(builder: Builder, place: Place, width: float, rows: int) -> None:
    """Cardboard boxes beside and on each other."""
    rng = builder.rng
    z = 0.0
    for _ in range(rows):
        x, highest = -width / 2, 0.0
        while x < width / 2 - 0.2:
            run = min(float(rng.uniform(0.24, 0.42)), width / 2 - x)
            deep, tall = rng.uniform([0.24, 0.18], [0.36, 0.34]).tolist()
            faces: dict[str, str | Image] = {
                name: prints.parcel(rng, int(tall * 450), int(size * 450),
                                    surface_of(builder, "cardboard"))
                for name, size in (("front", run), ("left", deep), ("right", deep))
            }  # fmt: skip
            spot = place.shifted(x + run / 2, 0, z, float(rng.normal(0, 0.1)))
            builder.add_box(spot, (0, 0, tall / 2), (run - 0.03, deep, tall), "cardboard", faces)
            highest = max(highest, tall)
            x += run
        z += 0.18
        width *= 0.5
        if highest > 0.2:
            z = highest if width < 0.3 else z + highest - 0.18


def sofa(builder: Builder, place: Place, width: float) -> float:
    """A sofa with patterned cushions."""
    rng, material = builder.rng, one(builder.rng, CLOTHS)
    depth = 0.78
    builder.add_box(place, (0, -depth / 2, 0.2), (width, depth, 0.36), material)
    builder.add_box(place, (0, -0.1, 0.58), (width, 0.2, 0.44), material)
    for side in (-1, 1):
        builder.add_box(place, (side * (width - 0.16) / 2, -depth / 2, 0.48), (0.16, depth, 0.24),
                        material)  # fmt: skip
    seats = 2
    seat = (width - 0.34) / seats
    for number in range(seats):
        x = (number + 0.5) * seat - (width - 0.34) / 2
        builder.add_box(place, (x, -0.47, 0.43), (seat - 0.01, 0.56, 0.12), material)
        cushion = place.shifted(
            x + float(rng.normal(0, 0.12)), -0.3, 0.49, float(rng.normal(0, 0.2))
        )
        builder.add_box(cushion, (0, 0, 0.2), (0.42, 0.13, 0.40), one(rng, CLOTHS),
                        {"front": poster(rng, 210, 220, int(rng.choice([0, 3])))})  # fmt: skip
    return 0.85


def sideboard(builder: Builder, place: Place, width: float) -> float:
    """A low cupboard with a plant, a stack of books and a printer on it."""
    rng, material = builder.rng, one(builder.rng, WOODS)
    depth, height = 0.42, 0.78
    doors = 3
    part = width / doors
    for number in range(doors):
        face = prints.drawer_front(rng, int(height * 420), int(part * 420),
                                   surface_of(builder, material))  # fmt: skip
        builder.add_box(
            place,
            ((number + 0.5) * part - width / 2, -depth / 2, height / 2),
            (part, depth, height),
            material,
            {"front": face},
            skip=("back", "bottom"),
        )
    top = place.shifted(0, -depth / 2, height)
    plant(builder, top.shifted(-width / 2 + 0.2, 0), 0.45)
    clutter(builder, top.shifted(width / 2 - 0.2, 0), 3)
    printer = prints.drawer_front(rng, 90, 210, surface_of(builder, "steel"))
    builder.add_box(top, (0, 0.02, 0.11), (0.42, 0.34, 0.22), "steel", {"front": printer})
    return height + 0.5


def plant(builder: Builder, place: Place, height: float) -> None:
    """A pot with leaves: long diamonds that hang from their stalks."""
    rng = builder.rng
    pot = 0.3 * height
    builder.add_box(place, (0, 0, pot / 2), (pot, pot, pot), one(rng, ("brick pot", "blue steel")))
    for _ in range(34):
        turn = float(rng.uniform(0, 2 * np.pi))
        lift = float(rng.uniform(0.2, 1.4))
        length, broad = height * float(rng.uniform(0.25, 0.5)), height * 0.09
        out = np.array([np.cos(turn) * np.cos(lift), np.sin(turn) * np.cos(lift), np.sin(lift)])
        across = np.array([-np.sin(turn), np.cos(turn), float(rng.normal(0, 0.3))]) * broad
        stalk = out * float(rng.uniform(0.1, 0.6)) * height * 0.6 + [0, 0, pot]
        edge = out * length / 2
        builder.add_face(place, stalk, edge + across, edge - across, "leaf", two_sided=True)


def floor_plant(builder: Builder, place: Place, width: float) -> float:
    """A large plant on the floor."""
    plant(builder, place.shifted(0, -0.32), min(1.1, 2.2 * width))
    return 1.3


def doorway(builder: Builder, place: Place, width: float) -> float:
    """A closed door with its frame; nothing hangs above it."""
    rng = builder.rng
    leaf, height = width - 0.1, 2.04
    picture = prints.door(rng, 820, int(400 * leaf), pick(rng, ((150, 104, 66), (104, 124, 140))))
    builder.add_face(place, (-leaf / 2, 0.0, height), (leaf, 0, 0), (0, 0, -height), picture)
    for side in (-1, 1):
        builder.add_box(place, (side * (leaf + 0.07) / 2, 0.0, height / 2), (0.07, 0.05, height),
                        "pine", skip=("back", "bottom"), solid=False)  # fmt: skip
    builder.add_box(place, (0, 0.0, height + 0.035), (leaf + 0.14, 0.05, 0.07), "pine",
                    skip=("back",), solid=False)  # fmt: skip
    return 2.1


def boxes(builder: Builder, place: Place, width: float) -> float:
    """Parcels piled on the floor."""
    parcels(builder, place.shifted(0, -0.28), width, 3)
    return 0.9
