# SPDX-License-Identifier: Apache-2.0
"""Pictures with a purpose: book spines, papers, screens, the whiteboard, the window, the door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.synthetic.materials import wood
from dsac_core.synthetic.noise import add_grain, filled, fractal_noise, pick, word
from dsac_core.synthetic.posters import INKS, PAPER, contrast, write_block, write_line

if TYPE_CHECKING:
    from dsac_core.synthetic.noise import Colour, Image

SYNTAX: tuple[Colour, ...] = (
    (220, 220, 200), (120, 190, 240), (240, 180, 100), (160, 220, 130), (220, 130, 200),
)  # fmt: skip


def book_spines(rng: np.random.Generator, rows: int, columns: int) -> Image:
    """Books side by side, each with its colour, bands, emblem and lettering along the spine."""
    picture = filled(rows, columns, (20, 18, 16))
    left = 0
    while left < columns:
        width = min(int(rng.uniform(0.09, 0.24) * rows), columns - left)
        colour = pick(rng, INKS, 26)
        ink = pick(rng, ((230, 200, 110), contrast(colour)), 12)
        spine = filled(width, rows, colour)  # lies on its side: the lettering runs along it
        for _ in range(int(rng.integers(1, 5))):
            at, thick = int(rng.integers(rows)), int(rng.integers(2, 14))
            spine[:, at : at + thick] = np.clip(pick(rng, (ink, *INKS[:4])), 0, 255)
        if width > 12:
            start = int(rng.uniform(0.08, 0.3) * rows)
            write_line(
                rng,
                spine,
                (start, int(width * 0.66)),
                int(rows * 0.6),
                max(8, int(width * rng.uniform(0.35, 0.6))),
                ink,
                rng.random() < 0.6,
            )
            cv2.circle(spine, (rows - width // 2 - 4, width // 2), width // 4, ink, 2, cv2.LINE_AA)
        rounding = 1 - 0.45 * np.linspace(-1, 1, width)[:, None, None] ** 4
        spine = (spine * rounding).astype(np.uint8)
        picture[:, left : left + width] = cv2.rotate(spine, cv2.ROTATE_90_CLOCKWISE)
        picture[:, left : left + 1] = 14
        left += width
    return add_grain(rng, picture, 5)


def paper(rng: np.random.Generator, rows: int, columns: int) -> Image:
    """A printed sheet with a heading, text, and now and then a figure."""
    sheet = filled(rows, columns, pick(rng, PAPER, 5))
    margin = columns // 10
    write_line(rng, sheet, (margin, rows // 8), columns - 2 * margin, rows // 16,
               pick(rng, INKS[:4]), True)  # fmt: skip
    write_block(rng, sheet, (margin, rows // 6, columns - margin, rows - margin),
                max(6, rows // 38), (50, 50, 56))  # fmt: skip
    if rng.random() < 0.6:
        top, height = int(rng.uniform(0.3, 0.6) * rows), rows // 4
        cv2.rectangle(sheet, (margin, top), (columns - margin, top + height), pick(rng, INKS), -1)
        cv2.circle(sheet, (int(rng.uniform(0.3, 0.7) * columns), top + height // 2), height // 3,
                   pick(rng, INKS), -1, cv2.LINE_AA)  # fmt: skip
    return add_grain(rng, sheet, 3)


def screen(rng: np.random.Generator, rows: int, columns: int) -> Image:
    """A computer screen: windows of code and tables over a wallpaper."""
    base = np.asarray(pick(rng, INKS[2:4]))
    hills = fractal_noise(rng, rows, columns, rows / 2, 4)[..., None]
    picture: Image = np.clip(base * (0.8 + 0.3 * hills), 0, 255).astype(np.uint8)
    for _ in range(3):
        left, top = int(rng.uniform(0, 0.45) * columns), int(rng.uniform(0, 0.4) * rows)
        right = min(columns - 1, left + int(rng.uniform(0.45, 0.7) * columns))
        bottom = min(rows - 1, top + int(rng.uniform(0.45, 0.7) * rows))
        dark = rng.random() < 0.6
        sheet: Colour = (34, 38, 46) if dark else (244, 244, 240)
        cv2.rectangle(picture, (left, top), (right, bottom), sheet, -1)
        cv2.rectangle(picture, (left, top), (right, top + 12), (120, 126, 140), -1)
        y = top + 26
        while y < bottom - 4:
            ink = pick(rng, SYNTAX if dark else INKS[:4], 8)
            x = left + 6 + 14 * int(rng.integers(0, 4))
            width = int(rng.uniform(0.3, 0.9) * (right - x))
            write_line(rng, picture, (x, y), max(width, 24), 8, ink)
            y += 13
    picture[-14:] = (40, 44, 56)
    return picture


def whiteboard(rng: np.random.Generator, rows: int, columns: int) -> Image:
    """A whiteboard with boxes, arrows, curves, notes and wiped traces."""
    picture = np.clip(
        238 + 5 * fractal_noise(rng, rows, columns, 120, 3)[..., None] * np.ones(3), 0, 255
    ).astype(np.uint8)
    pens: list[Colour] = [(28, 40, 130), (170, 30, 36), (20, 110, 60), (30, 30, 34)]
    for _ in range(9):
        pen = pens[int(rng.integers(4))]
        x, y = int(rng.uniform(0.03, 0.75) * columns), int(rng.uniform(0.06, 0.8) * rows)
        w, h = int(rng.uniform(0.1, 0.2) * columns), int(rng.uniform(0.1, 0.18) * rows)
        cv2.rectangle(picture, (x, y), (x + w, y + h), pen, 3, cv2.LINE_AA)
        write_line(rng, picture, (x + 8, y + h // 2 + 6), w - 16, 18, pen)
        tip = (int(rng.uniform(0.05, 0.95) * columns), int(rng.uniform(0.1, 0.9) * rows))
        cv2.arrowedLine(picture, (x + w, y + h // 2), tip, pens[int(rng.integers(4))], 3,
                        cv2.LINE_AA, tipLength=0.06)  # fmt: skip
    for _ in range(4):
        t = np.linspace(0, 1, 60)
        wave = np.sin(t * rng.uniform(4, 16) + rng.uniform(0, 6)) * rng.uniform(0.03, 0.1) * rows
        start = rng.uniform(0.0, 0.7) * columns
        curve = np.stack([start + t * columns * 0.25, rng.uniform(0.2, 0.8) * rows + wave], 1)
        cv2.polylines(picture, [curve.astype(np.int32)], False, pens[int(rng.integers(4))], 3,
                      cv2.LINE_AA)  # fmt: skip
    for _ in range(10):
        corner = (int(rng.uniform(0.03, 0.7) * columns), int(rng.uniform(0.1, 0.97) * rows))
        write_line(rng, picture, corner, columns // 4, int(rng.integers(14, 24)),
                   pens[int(rng.integers(4))])  # fmt: skip
    return picture


def window_view(rng: np.random.Generator, rows: int, columns: int) -> Image:
    """What is outside: sky with clouds, house fronts with windows, trees."""
    ramp = np.linspace(0, 1, rows)[:, None, None]
    sky = np.array([150, 190, 235]) * (1 - ramp) + np.array([225, 232, 240]) * ramp
    clouds = np.clip(fractal_noise(rng, rows, columns, columns / 4, 5), 0, 1.5)[..., None]
    picture = np.clip(sky + 30 * clouds, 0, 255).astype(np.uint8)
    left = -20
    while left < columns:
        width = int(rng.uniform(0.1, 0.24) * columns)
        top = int(rng.uniform(0.3, 0.62) * rows)
        wall = pick(rng, ((178, 150, 130), (160, 164, 170), (196, 186, 160), (150, 96, 80)))
        cv2.rectangle(picture, (left, top), (left + width, rows), wall, -1)
        step = int(rng.integers(18, 34))
        for y in range(top + 10, rows - step, step):
            for x in range(left + 8, left + width - step // 2, step):
                glass = pick(rng, ((70, 84, 104), (120, 140, 160), (210, 190, 140)))
                cv2.rectangle(picture, (x, y), (x + step // 2, y + step * 3 // 5), glass, -1)
        left += width + int(rng.integers(0, 24))
    for _ in range(26):
        x = int(rng.integers(columns))
        for _ in range(14):
            spot = (x + int(rng.normal(0, 16)), int(rows * 0.94 + rng.normal(0, 16)))
            cv2.circle(
                picture,
                spot,
                int(rng.integers(4, 11)),
                pick(rng, ((60, 100, 50), (88, 128, 60), (44, 80, 46))),
                -1,
                cv2.LINE_AA,
            )
    return picture


def door(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """A wooden door with panels, a handle, a sign and a notice."""
    panel = wood(rng, columns, rows, colour)
    picture: Image = np.asarray(cv2.rotate(panel, cv2.ROTATE_90_CLOCKWISE), np.uint8)
    for top, bottom in ((0.06, 0.42), (0.56, 0.94)):
        box = ((columns // 7, int(top * rows)), (columns * 6 // 7, int(bottom * rows)))
        cv2.rectangle(picture, *box, tuple(0.5 * c for c in colour), 5)
        cv2.rectangle(picture, *box, tuple(1.25 * c for c in colour), 1)
    cv2.rectangle(picture, (columns - 44, int(0.48 * rows)), (columns - 26, int(0.55 * rows)),
                  (190, 190, 186), -1)  # fmt: skip
    cv2.line(picture, (columns - 36, int(0.5 * rows)), (columns - 90, int(0.5 * rows)),
             (214, 214, 208), 9, cv2.LINE_AA)  # fmt: skip
    sheet = paper(rng, rows // 6, columns // 4)
    top, left = int(0.16 * rows), columns // 3
    picture[top : top + sheet.shape[0], left : left + sheet.shape[1]] = sheet
    sign = filled(rows // 22, columns // 2, (28, 60, 110))
    write_line(
        rng, sign, (8, rows // 22 - 12), columns // 2 - 16, rows // 40, (240, 240, 240), True
    )
    picture[int(0.08 * rows) :][: sign.shape[0], columns // 4 :][:, : sign.shape[1]] = sign
    return add_grain(rng, picture, 3)


def drawer_front(rng: np.random.Generator, rows: int, columns: int, surface: Image) -> Image:
    """A drawer or cabinet front on a given surface: gap, handle, label, stickers."""
    picture: Image = surface[:rows, :columns].copy()
    cv2.rectangle(picture, (2, 2), (columns - 3, rows - 3), (40, 40, 44), 2)
    middle = columns // 2
    cv2.rectangle(picture, (middle - columns // 7, rows // 2), (middle + columns // 7,
                  rows // 2 + max(5, rows // 14)), (46, 48, 54), -1)  # fmt: skip
    label = filled(max(14, rows // 5), columns // 3, (244, 240, 226))
    write_line(rng, label, (5, label.shape[0] - 5), columns // 3 - 10, label.shape[0] // 2,
               (40, 40, 60))  # fmt: skip
    picture[rows // 6 :][: label.shape[0], columns // 3 :][:, : label.shape[1]] = label
    for _ in range(int(rng.integers(0, 5))):
        spot = (int(rng.integers(10, columns - 10)), int(rng.integers(10, rows - 10)))
        cv2.circle(picture, spot, int(rng.integers(6, 16)), pick(rng, INKS), -1, cv2.LINE_AA)
        cv2.putText(picture, word(rng)[:2], (spot[0] - 9, spot[1] + 5), cv2.FONT_HERSHEY_PLAIN,
                    0.9, (250, 250, 250), 1, cv2.LINE_AA)  # fmt: skip
    return picture


def parcel(rng: np.random.Generator, rows: int, columns: int, surface: Image) -> Image:
    """The side of a cardboard box: tape, address label, stamps, arrows."""
    picture: Image = surface[:rows, :columns].copy()
    tape = rows // 2 + int(rng.normal(0, rows / 12))
    picture[tape : tape + max(6, rows // 12)] = (202, 176, 120)
    h, w = rows // 3, columns // 3
    label = paper(rng, h, w)
    top, left = int(rng.uniform(0.05, 0.6) * rows), int(rng.uniform(0.05, 0.6) * columns)
    picture[top : top + h, left : left + w] = label
    ink = pick(rng, ((150, 40, 30), (40, 40, 40), (30, 60, 120)), 6)
    write_line(rng, picture, (columns // 12, int(0.92 * rows)), columns * 2 // 3, rows // 9, ink,
               True)  # fmt: skip
    foot = (int(0.86 * columns), int(0.5 * rows))
    cv2.arrowedLine(picture, foot, (foot[0], int(0.1 * rows)), ink, max(3, rows // 40), cv2.LINE_AA,
                    tipLength=0.3)  # fmt: skip
    return picture


def corkboard(rng: np.random.Generator, rows: int, columns: int, surface: Image) -> Image:
    """A pinboard full of papers, cards and notes, some askew."""
    picture: Image = surface[:rows, :columns].copy()
    for _ in range(16):
        h = int(rng.uniform(0.16, 0.36) * rows)
        w = int(h * rng.uniform(0.6, 1.2))
        sheet = paper(rng, h, w) if rng.random() < 0.6 else filled(h, w, pick(rng, INKS))
        if rng.random() < 0.5:
            write_block(rng, sheet, (6, 6, w - 6, h - 6), max(8, h // 9), (40, 40, 46))
        turn = cv2.getRotationMatrix2D((w / 2, h / 2), float(rng.normal(0, 7)), 1.0)
        turn[:, 2] += np.array([rng.uniform(0, columns - w), rng.uniform(0, rows - h)])
        mask = cv2.warpAffine(np.full((h, w), 255, np.uint8), turn, (columns, rows))
        placed = cv2.warpAffine(sheet, turn, (columns, rows))
        picture = np.where(mask[..., None] > 127, placed, picture)
        pin = turn @ [w / 2, h * 0.08, 1.0]
        cv2.circle(picture, (int(pin[0]), int(pin[1])), 4, pick(rng, INKS[:3]), -1, cv2.LINE_AA)
    frame = max(6, rows // 40)
    cv2.rectangle(picture, (0, 0), (columns - 1, rows - 1), (120, 84, 50), frame)
    return picture


def keyboard(rng: np.random.Generator, rows: int, columns: int) -> Image:
    """Keys in five rows."""
    picture = filled(rows, columns, (40, 42, 46))
    cell = rows // 5
    for top in range(2, rows - cell + 1, cell):
        left = 3 + int(rng.integers(cell))
        while left < columns - cell:
            width = cell if rng.random() < 0.85 else 2 * cell
            cv2.rectangle(
                picture, (left, top), (left + width - 3, top + cell - 3), (86, 90, 96), -1
            )
            picture[top + cell // 3, left + cell // 3 : left + cell // 2] = 220
            left += width
    return picture
