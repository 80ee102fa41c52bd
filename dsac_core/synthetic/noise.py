# SPDX-License-Identifier: Apache-2.0
"""Random streams and smooth noise: the ground under every procedural picture."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Image = NDArray[np.uint8]
    FloatImage = NDArray[np.float32]

Colour = tuple[float, float, float]  # red, green, blue, 0 ... 255

SYLLABLES = (
    "ka", "lo", "mi", "ra", "ten", "sor", "vi", "nu", "po", "el", "dra", "qui", "ser", "an", "to",
    "be", "gra", "fi", "lu", "mo", "ris", "ta", "ven", "ix", "or", "ham", "pel",
)  # fmt: skip


def stream(seed: int, *names: object) -> np.random.Generator:
    """A random generator of its own for each name, so that one change does not move all others."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, names)).encode())])


def smooth_noise(
    rng: np.random.Generator, rows: int, columns: int, cell: float | tuple[float, float]
) -> FloatImage:
    """Noise [rows x columns] of unit-order amplitude whose blobs are about ``cell`` texels wide.

    ``cell`` may be a pair (down, across) for streaks.
    """
    down, across = cell if isinstance(cell, tuple) else (cell, cell)
    grid_shape = (max(2, round(rows / down) + 2), max(2, round(columns / across) + 2))
    grid = rng.standard_normal(grid_shape, dtype=np.float32)
    return np.asarray(cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)


def fractal_noise(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    cell: float | tuple[float, float],
    octaves: int = 4,
    gain: float = 0.6,
) -> FloatImage:
    """Sum of ``octaves`` of smooth noise, each half as coarse and ``gain`` times as strong."""
    down, across = cell if isinstance(cell, tuple) else (cell, cell)
    total = np.zeros((rows, columns), np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        cell_now = (max(down, 1.0), max(across, 1.0))
        total += amplitude * smooth_noise(rng, rows, columns, cell_now)
        down, across, amplitude = down / 2, across / 2, amplitude * gain
    return total


def tint(colour: Colour, brightness: FloatImage) -> Image:
    """Picture [rows x columns x 3] of one colour times ``brightness`` (1 = as is)."""
    picture = brightness[..., None] * np.asarray(colour, np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def filled(rows: int, columns: int, colour: Colour) -> Image:
    """A picture of one colour."""
    return np.full((rows, columns, 3), np.clip(colour, 0, 255), np.uint8)


def add_grain(rng: np.random.Generator, picture: Image, strength: float = 4.0) -> Image:
    """The picture with the fine and middling unevenness of paper and paint, in grey levels."""
    rows, columns = picture.shape[:2]
    grain = smooth_noise(rng, rows, columns, 1.6) + 0.8 * smooth_noise(rng, rows, columns, 14.0)
    return np.clip(picture + strength * grain[..., None], 0, 255).astype(np.uint8)


def pick(rng: np.random.Generator, colours: Sequence[Colour], jitter: float = 14.0) -> Colour:
    """One of the colours, moved a little: no two things have exactly the same."""
    colour = np.asarray(colours[int(rng.integers(len(colours)))], float)
    red, green, blue = np.clip(colour + rng.normal(0.0, jitter, 3), 8, 250).tolist()
    return red, green, blue


def word(rng: np.random.Generator, capital: bool = False) -> str:
    """A word that nobody knows."""
    text = "".join(rng.choice(SYLLABLES, size=int(rng.integers(2, 5))))
    return text.upper() if capital else text
