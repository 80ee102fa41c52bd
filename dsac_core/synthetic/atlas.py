# SPDX-License-Identifier: Apache-2.0
"""All textures with their mip levels in one picture, so that a frame takes two look-ups.

A sheet is one texture. Level l of a sheet is half as wide and high as level l - 1 (area filtered).
Each level lies in the atlas with a margin of repeated border texels, so that bilinear look-ups at
its edge see no neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.synthetic.noise import Image

LEVELS = 8  # mip levels kept of each sheet
MARGIN = 2  # repeated border texels around each level
WIDTH = 8192  # of the atlas, texels; OpenCV's look-up takes at most 32767


@dataclass(frozen=True)
class Atlas:
    """The packed picture, and where the levels of each sheet lie in it."""

    picture: Image  # height x WIDTH x 3, RGB
    corners: NDArray[np.float32]  # sheets x LEVELS x 2: (x, y) of the first texel of the level
    sizes: NDArray[np.float32]  # sheets x LEVELS x 2: (width, height) of the level, texels


def pack(sheets: Sequence[Image]) -> Atlas:
    """Pack sheets (uint8 [rows x columns x 3], at most WIDTH - 2 MARGIN columns) row by row."""
    corners = np.zeros((len(sheets), LEVELS, 2), np.float32)
    sizes = np.zeros((len(sheets), LEVELS, 2), np.float32)
    levels: list[tuple[int, int, Image]] = []
    for index, sheet in enumerate(sheets):
        image = sheet
        for level in range(LEVELS):
            if level:
                rows, columns = image.shape[:2]
                half = (max(1, columns // 2), max(1, rows // 2))
                image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
            levels.append((index, level, image))
            sizes[index, level] = image.shape[1], image.shape[0]
    levels.sort(key=lambda entry: -entry[2].shape[0])
    x = y = shelf = 0
    for index, level, image in levels:
        rows, columns = image.shape[0] + 2 * MARGIN, image.shape[1] + 2 * MARGIN
        if x + columns > WIDTH:
            x, y, shelf = 0, y + shelf, 0
        corners[index, level] = x + MARGIN, y + MARGIN
        x, shelf = x + columns, max(shelf, rows)
    picture = np.zeros((y + shelf, WIDTH, 3), np.uint8)
    for index, level, image in levels:
        left, top = (corners[index, level] - MARGIN).astype(int)
        framed = cv2.copyMakeBorder(image, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
        picture[top : top + framed.shape[0], left : left + framed.shape[1]] = framed
    return Atlas(picture, corners, sizes)
