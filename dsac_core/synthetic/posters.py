# SPDX-License-Identifier: Apache-2.0
"""Posters: seven kinds of picture, each drawn anew from the random stream it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.synthetic.noise import add_grain, filled, fractal_noise, pick, smooth_noise, word

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsac_core.synthetic.noise import Colour, Image

INKS: tuple[Colour, ...] = (
    (206, 60, 48), (232, 160, 40), (40, 96, 150), (36, 128, 100), (246, 226, 180), (24, 30, 44),
    (150, 70, 130), (236, 236, 228), (110, 170, 200), (240, 120, 90), (90, 110, 60), (70, 50, 40),
)  # fmt: skip
PAPER: tuple[Colour, ...] = ((242, 238, 226), (250, 248, 244), (222, 228, 232), (240, 224, 196))


def contrast(colour: Colour) -> Colour:
    """A dark ink on light colours, a light one on dark colours."""
    return (26, 28, 36) if sum(colour) > 380 else (240, 238, 230)


def write_line(
    rng: np.random.Generator,
    picture: Image,
    corner: tuple[int, int],
    width: int,
    height: int,
    ink: Colour,
    capital: bool = False,
) -> None:
    """Words from ``corner`` (left, base line) for ``width`` texels, letters ``height`` tall."""
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX,
                           cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX]))  # fmt: skip
    scale = height / 22.0
    thick = max(1, round(height / 11))
    text = word(rng, capital)
    while True:
        longer = f"{text} {word(rng, capital)}"
        if cv2.getTextSize(longer, font, scale, thick)[0][0] > width:
            break
        text = longer
    actual = cv2.getTextSize(text, font, scale, thick)[0][0]
    scale *= min(1.0, width / max(actual, 1))
    cv2.putText(picture, text, corner, font, scale, ink, thick, cv2.LINE_AA)


def write_block(
    rng: np.random.Generator, picture: Image, box: tuple[int, int, int, int], height: int,
    ink: Colour,
) -> None:  # fmt: skip
    """Lines of text in the box (left, top, right, bottom) with letters ``height`` tall."""
    left, top, right, bottom = box
    for base in range(top + height, bottom, int(height * 1.75)):
        share = 1.0 if rng.random() < 0.8 else float(rng.uniform(0.3, 0.9))
        write_line(rng, picture, (left, base), int((right - left) * share), height, ink)


def _shapes(rng: np.random.Generator, rows: int, columns: int) -> Image:
    background = pick(rng, INKS)
    picture = filled(rows, columns, background)
    for _ in range(int(rng.integers(14, 30))):
        ink = pick(rng, INKS)
        x, y = int(rng.integers(columns)), int(rng.integers(rows))
        size = int(rng.uniform(0.04, 0.28) * columns)
        kind = int(rng.integers(4))
        if kind == 0:
            cv2.circle(picture, (x, y), size, ink, -1, cv2.LINE_AA)
        elif kind == 1:
            cv2.circle(picture, (x, y), size, ink, max(2, size // 5), cv2.LINE_AA)
        elif kind == 2:
            points = np.array([x, y]) + rng.normal(0, size, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(picture, [points.astype(np.int32)], ink, cv2.LINE_AA)
        else:
            end = (x + int(rng.normal(0, 2 * size)), y + int(rng.normal(0, 2 * size)))
            cv2.line(picture, (x, y), end, ink, int(rng.integers(3, 22)), cv2.LINE_AA)
    band = rows // 7
    picture[-band:] = np.clip(contrast(background), 0, 255)
    write_line(rng, picture, (columns // 12, rows - band // 3), columns * 5 // 6, band // 2,
               background, capital=True)  # fmt: skip
    return picture


def _landscape(rng: np.random.Generator, rows: int, columns: int) -> Image:
    top, low = np.asarray(pick(rng, INKS)), np.asarray(pick(rng, INKS))
    ramp = np.linspace(0, 1, rows)[:, None, None]
    picture = np.broadcast_to(top * (1 - ramp) + low * ramp, (rows, columns, 3)).astype(np.uint8)
    picture = np.ascontiguousarray(picture)
    sun = (int(rng.uniform(0.2, 0.8) * columns), int(rng.uniform(0.15, 0.4) * rows))
    cv2.circle(picture, sun, columns // 9, pick(rng, INKS), -1, cv2.LINE_AA)
    x = np.arange(columns)
    for layer in range(6):
        ridge = fractal_noise(rng, 2, columns, columns / (2 + layer), 6)[0] * rows * 0.05
        level = rows * (0.4 + 0.1 * layer) + ridge
        outline = np.concatenate([np.stack([x, level], 1), [[columns, rows], [0, rows]]]).astype(
            np.int32
        )
        ink = pick(rng, INKS)
        cv2.fillPoly(picture, [outline], ink, cv2.LINE_AA)
        for _ in range(26):
            place = int(rng.integers(columns))
            height = int(rng.uniform(0.01, 0.05) * rows * (1 + layer / 3))
            foot = int(level[place]) + int(rng.integers(0, rows // 12))
            tree = np.array([[place, foot - height], [place - height // 3, foot],
                             [place + height // 3, foot]], np.int32)  # fmt: skip
            cv2.fillPoly(picture, [tree], tuple(0.6 * c for c in ink), cv2.LINE_AA)
    write_line(rng, picture, (columns // 10, rows // 9), columns * 4 // 5, rows // 16,
               contrast((float(top[0]), float(top[1]), float(top[2]))), capital=True)  # fmt: skip
    return picture


def _article(rng: np.random.Generator, rows: int, columns: int) -> Image:
    paper = pick(rng, PAPER, 5)
    picture = filled(rows, columns, paper)
    ink = contrast(paper)
    margin = columns // 14
    write_line(rng, picture, (margin, rows // 9), columns - 2 * margin, rows // 15,
               pick(rng, INKS[:4]), capital=True)  # fmt: skip
    write_line(rng, picture, (margin, rows // 6), columns - 2 * margin, rows // 32, ink)
    half = columns // 2
    letter = max(8, columns // 50)
    for left, right in ((margin, half - margin // 2), (half + margin // 2, columns - margin)):
        top = rows // 5
        while top < rows - margin:
            height = int(rng.uniform(0.12, 0.26) * rows)
            bottom = min(top + height, rows - margin)
            if rng.random() < 0.5:
                write_block(rng, picture, (left, top, right, bottom), letter, ink)
            elif bottom - top > 30:
                figure = _FIGURES[int(rng.integers(len(_FIGURES)))]
                picture[top:bottom, left:right] = figure(rng, bottom - top, right - left)
            top = bottom + margin // 2
    return picture


def _chart(rng: np.random.Generator, rows: int, columns: int) -> Image:
    picture = filled(rows, columns, pick(rng, PAPER, 6))
    bars = int(rng.integers(5, 12))
    for bar in range(bars):
        height = int(rng.uniform(0.15, 0.85) * rows)
        left, right = int((bar + 0.15) * columns / bars), int((bar + 0.85) * columns / bars)
        cv2.rectangle(picture, (left, rows - height), (right, rows), pick(rng, INKS), -1)
    for _ in range(2):
        y = np.cumsum(rng.normal(0, 0.08, 24)) * rows + rows * rng.uniform(0.3, 0.6)
        line = np.stack([np.linspace(0, columns, 24), y], 1).astype(np.int32)
        cv2.polylines(picture, [line], False, pick(rng, INKS[:4]), 3, cv2.LINE_AA)
    return picture


def _cells(rng: np.random.Generator, rows: int, columns: int) -> Image:
    count = int(rng.integers(60, 130))
    sites = rng.uniform(0, 1, (count, 2)) * [rows, columns]
    coarse = 3
    y, x = np.mgrid[0:rows:coarse, 0:columns:coarse].astype(np.float32)
    y += 9 * smooth_noise(rng, y.shape[0], y.shape[1], 12)
    distance = (y[..., None] - sites[:, 0]) ** 2 + (x[..., None] - sites[:, 1]) ** 2
    nearest = cv2.resize(
        distance.argmin(-1).astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST
    )
    palette = np.array([pick(rng, INKS) for _ in range(count)], np.uint8)
    picture = palette[nearest]
    edges = cv2.morphologyEx(nearest, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    picture[edges] = 30
    return np.ascontiguousarray(picture)


def _map(rng: np.random.Generator, rows: int, columns: int) -> Image:
    height = fractal_noise(rng, rows, columns, columns / 4, 5)
    sea, land = np.asarray(pick(rng, ((96, 150, 190),))), np.asarray(pick(rng, ((214, 200, 150),)))
    picture = np.where(height[..., None] > 0, land + 20 * height[..., None], sea).clip(0, 255)
    picture = np.ascontiguousarray(picture.astype(np.uint8))
    contours = (np.abs((height * 3) % 1 - 0.5) < 0.04) & (height > 0)
    picture[contours] = (120, 90, 60)
    for _ in range(16):
        place = (int(rng.integers(columns * 7 // 8)), int(rng.integers(rows)))
        cv2.circle(picture, place, max(3, columns // 120), (180, 30, 30), -1, cv2.LINE_AA)
        write_line(
            rng, picture, (place[0] + 8, place[1]), columns // 7, columns // 40, (30, 30, 40)
        )
    step = columns // 6
    picture[::step] = picture[:, ::step] = 90
    return picture


def _grid(rng: np.random.Generator, rows: int, columns: int) -> Image:
    picture = filled(rows, columns, pick(rng, PAPER, 6))
    across = int(rng.integers(5, 9))
    cell = columns // across
    for top in range(cell // 4, rows - cell, cell):
        for left in range((columns - across * cell) // 2, columns - cell + 1, cell):
            if rng.random() < 0.12:
                continue
            ink = pick(rng, INKS)
            cv2.rectangle(picture, (left + 3, top + 3), (left + cell - 4, top + cell - 4), ink, -1)
            letters = word(rng)[:2].capitalize()
            cv2.putText(picture, letters, (left + cell // 6, top + cell * 2 // 3),
                        cv2.FONT_HERSHEY_DUPLEX, cell / 46, contrast(ink), max(1, cell // 30),
                        cv2.LINE_AA)  # fmt: skip
            number = str(int(rng.integers(1, 200)))
            cv2.putText(
                picture,
                number,
                (left + cell // 8, top + cell // 4),
                cv2.FONT_HERSHEY_PLAIN,
                cell / 80,
                contrast(ink),
                1,
                cv2.LINE_AA,
            )
    return picture


_FIGURES: tuple[Callable[[np.random.Generator, int, int], Image], ...] = (_chart, _cells, _chart)
_KINDS = (_shapes, _landscape, _article, _cells, _map, _grid)


def poster(rng: np.random.Generator, rows: int, columns: int, kind: int) -> Image:
    """A poster of one of the kinds (``kind`` modulo their number), printed on uneven paper."""
    picture = _KINDS[kind % len(_KINDS)](rng, rows, columns)
    border = max(4, columns // 40)
    picture[:border] = picture[-border:] = 246
    picture[:, :border] = picture[:, -border:] = 246
    return add_grain(rng, picture, 4.0)
