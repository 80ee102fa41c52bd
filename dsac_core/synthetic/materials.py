# SPDX-License-Identifier: Apache-2.0
"""Materials without pictures on them: wood, plaster, brick, carpet, cloth, metal, cardboard.

Each returns an RGB picture [rows x columns x 3] with unevenness at several scales, so that a
feature network finds something from half a metre and from five.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.synthetic.noise import add_grain, filled, fractal_noise, pick, smooth_noise, tint

if TYPE_CHECKING:
    from dsac_core.synthetic.noise import Colour, Image


def plaster(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Painted plaster: trowel marks, stains, scuffs and specks that never repeat."""
    shade = 1.0 + 0.03 * fractal_noise(rng, rows, columns, 160, 3)
    shade += 0.030 * smooth_noise(rng, rows, columns, 9) + 0.022 * smooth_noise(
        rng, rows, columns, 2
    )
    picture = tint(colour, shade)
    for _ in range(rows * columns // 9000):
        x, y = int(rng.integers(columns)), int(rng.integers(rows))
        dark = tuple(float(c) * float(rng.uniform(0.62, 1.12)) for c in colour)
        if rng.random() < 0.5:
            turn, length = rng.uniform(0, np.pi), rng.uniform(4, 26)
            end = (int(x + length * np.cos(turn)), int(y + length * np.sin(turn)))
            cv2.line(picture, (x, y), end, dark, 1, cv2.LINE_AA)
        else:
            cv2.circle(picture, (x, y), int(rng.integers(1, 4)), dark, -1, cv2.LINE_AA)
    return picture


def wallpaper(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Wallpaper of scattered leaves and blossoms, each drawn anew."""
    picture = plaster(rng, rows, columns, colour)
    inks = [tuple(float(c) * f for c in colour) for f in (0.62, 0.78, 0.88, 1.15)]
    for _ in range(rows * columns // 2300):
        centre = (int(rng.integers(columns)), int(rng.integers(rows)))
        ink = inks[int(rng.integers(len(inks)))]
        size, turn = rng.uniform(6, 22), float(rng.uniform(0, 360))
        petals = int(rng.integers(2, 7))
        spread = float(rng.choice([25.0, 45.0, 360.0 / petals]))
        for petal in range(petals):
            angle = np.radians(turn + petal * spread)
            middle = (
                int(centre[0] + 0.7 * size * np.cos(angle)),
                int(centre[1] + 0.7 * size * np.sin(angle)),
            )
            axes = (max(1, int(0.6 * size)), max(1, int(0.2 * size)))
            degrees = float(np.degrees(angle))
            cv2.ellipse(picture, middle, axes, degrees, 0, 360, ink, -1, cv2.LINE_AA)
    return picture


def brick(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Brickwork with bricks of many shades; ``rows`` at about 400 texels a metre."""
    mortar = tint((176, 168, 158), 1 + 0.08 * smooth_noise(rng, rows, columns, 3))
    height, width, joint = 30, 92, 4
    for course, top in enumerate(range(0, rows, height)):
        for left in range(-(course % 2) * width // 2, columns, width):
            shade = float(rng.normal(1.0, 0.16))
            red, green, blue = colour
            ink = (red * shade, green * shade * rng.normal(1, 0.05), blue * shade)
            y0, y1 = top + joint // 2, min(top + height - joint // 2, rows)
            x0, x1 = max(left + joint // 2, 0), min(left + width - joint // 2, columns)
            if y1 > y0 and x1 > x0:
                mortar[y0:y1, x0:x1] = np.clip(ink, 0, 255)
    rough = (
        1
        + 0.08 * fractal_noise(rng, rows, columns, 24, 4)
        + 0.05 * smooth_noise(rng, rows, columns, 1.5)
    )
    return np.clip(mortar * rough[..., None], 0, 255).astype(np.uint8)


def carpet(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Carpet tiles of 120 texels, each with its own shade, strokes and pile direction."""
    picture = np.empty((rows, columns, 3), np.float32)
    tile = 120
    accents = [np.asarray(c, float) for c in ((196, 142, 70), (70, 128, 150), (150, 70, 66))]
    for top in range(0, rows, tile):
        for left in range(0, columns, tile):
            shade = rng.normal(1.0, 0.10)
            base = np.asarray(colour) * shade
            if rng.random() < 0.12:
                base = 0.55 * base + 0.45 * accents[int(rng.integers(len(accents)))] * shade
            patch = np.full((tile, tile, 3), base, np.float32)
            for _ in range(int(rng.integers(10, 26))):
                stroke = np.asarray(base * rng.uniform(0.6, 1.5)).tolist()
                x, y = int(rng.integers(tile)), int(rng.integers(tile))
                length, thick = int(rng.integers(8, 60)), int(rng.integers(1, 5))
                cv2.line(patch, (x, y), (x + length, y), stroke, thick)
            if rng.random() < 0.5:
                patch = patch.transpose(1, 0, 2)
            picture[top : top + tile, left : left + tile] = patch[: rows - top, : columns - left]
    pile = (
        1
        + 0.10 * smooth_noise(rng, rows, columns, 1.5)
        + 0.06 * smooth_noise(rng, rows, columns, 7)
    )
    wear = 1 + 0.05 * fractal_noise(rng, rows, columns, 300, 3)
    return np.asarray(np.clip(picture * (pile * wear)[..., None], 0, 255), np.uint8)


def wood(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Planks with grain along the columns, and knots."""
    warp = 26 * smooth_noise(rng, rows, columns, (70, 420))
    y = np.arange(rows, dtype=np.float32)[:, None]
    for _ in range(max(1, rows * columns // 60000)):
        knot_x, knot_y = rng.uniform(0, columns), rng.uniform(0, rows)
        x = np.arange(columns, dtype=np.float32)[None, :]
        reach = np.hypot((x - knot_x) / 3.0, y - knot_y)
        warp += 30.0 * np.exp(-reach / 16.0, dtype=np.float32) * np.sign(y - knot_y)
    rings = np.sin((y + warp) * 0.42) * 0.5 + np.sin((y + 1.7 * warp) * 0.13)
    fibre = smooth_noise(rng, rows, columns, (1.3, 34))
    shade = 1 + 0.085 * rings + 0.07 * fibre + 0.05 * smooth_noise(rng, rows, columns, (30, 300))
    shade = np.asarray(shade, np.float32)
    top = 0
    while top < rows:
        height = int(rng.integers(90, 170))
        shade[top : top + height] *= float(rng.normal(1.0, 0.07))
        shade[top : top + 2] *= 0.72
        top += height
    return tint(colour, shade)


def cloth(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Woven cloth: warp and weft with knots, a check of faint stripes, creases."""
    shade = (
        1
        + 0.10 * smooth_noise(rng, rows, columns, (1.5, 6))
        + 0.10 * smooth_noise(rng, rows, columns, (6, 1.5))
    )
    shade += 0.08 * fractal_noise(rng, rows, columns, 60, 3)
    for axis in (0, 1):
        position = 0
        length = (rows, columns)[axis]
        while position < length:
            width = int(rng.integers(3, 16))
            stripe = float(rng.normal(1.0, 0.08))
            if axis == 0:
                shade[position : position + width] *= stripe
            else:
                shade[:, position : position + width] *= stripe
            position += width + int(rng.integers(6, 40))
    return tint(colour, np.asarray(shade, np.float32))


def metal(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Powder-coated sheet: nearly even, with scratches and specks."""
    shade = (
        1
        + 0.02 * smooth_noise(rng, rows, columns, 90)
        + 0.02 * smooth_noise(rng, rows, columns, 1.5)
    )
    picture = tint(colour, np.asarray(shade, np.float32))
    for _ in range(rows * columns // 5000):
        x, y = int(rng.integers(columns)), int(rng.integers(rows))
        ink = tuple(float(c) * float(rng.uniform(0.7, 1.25)) for c in colour)
        end = (x + int(rng.normal(0, 14)), y + int(rng.normal(0, 14)))
        cv2.line(picture, (x, y), end, ink, 1, cv2.LINE_AA)
    return picture


def cardboard(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Corrugated cardboard."""
    shade = (
        1
        + 0.04 * smooth_noise(rng, rows, columns, (300, 4))
        + 0.05 * fractal_noise(rng, rows, columns, 50, 4)
    )
    return tint(colour, np.asarray(shade, np.float32))


def ceiling(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """Mineral-fibre tiles of 60 texels with pinholes, for 100 texels a metre."""
    picture = filled(rows, columns, colour)
    for _ in range(rows * columns // 40):
        picture[int(rng.integers(rows)), int(rng.integers(columns))] = 150
    for top in range(0, rows, 60):
        for left in range(0, columns, 60):
            patch = picture[top : top + 60, left : left + 60]
            patch[:] = np.clip(patch * rng.normal(1.0, 0.03), 0, 255).astype(np.uint8)
    picture[::60] = picture[1::60] = 120
    picture[:, ::60] = picture[:, 1::60] = 120
    return add_grain(rng, picture, 3)


def rug(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """A woven rug: bands of borders around a field of medallions, no two alike."""
    inks = [
        pick(rng, [colour, (206, 180, 130), (44, 58, 92), (150, 44, 40), (86, 110, 84)], 18)
        for _ in range(7)
    ]
    picture = filled(rows, columns, inks[0])
    inset = 0
    for band in range(5):
        cv2.rectangle(
            picture, (inset, inset), (columns - inset - 1, rows - inset - 1), inks[band % 7], -1
        )
        inset += int(rng.integers(8, 26))
    for _ in range(130):
        centre = (
            int(rng.uniform(inset, columns - inset)),
            int(rng.uniform(inset, rows - inset)),
        )
        size = int(rng.integers(14, 70))
        ink = inks[int(rng.integers(7))]
        points = np.array([(0, -size), (size // 2, 0), (0, size), (-size // 2, 0)]) + centre
        if rng.random() < 0.5:
            cv2.fillPoly(picture, [points.astype(np.int32)], ink, cv2.LINE_AA)
            cv2.circle(picture, centre, size // 4, inks[int(rng.integers(7))], -1, cv2.LINE_AA)
        else:
            cv2.circle(picture, centre, size // 2, ink, int(rng.integers(3, 14)), cv2.LINE_AA)
    weave = (
        1
        + 0.10 * smooth_noise(rng, rows, columns, (1.5, 4))
        + 0.05 * fractal_noise(rng, rows, columns, 40, 3)
    )
    return np.clip(picture * weave[..., None], 0, 255).astype(np.uint8)
