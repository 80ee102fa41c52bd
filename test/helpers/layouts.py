# SPDX-License-Identifier: Apache-2.0
"""What the tests of readers share: plain images, a pose known by hand, and words of refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from image_files import HEIGHT, WIDTH, error_of, write_values

from dsac_core.data.open_dataset import open_dataset

if TYPE_CHECKING:
    from pathlib import Path

# A camera at (1, 2, 3) that looks along x, with z up: right is -y, down is -z.
WORLD_T_CAM = np.array(
    [[0.0, 0.0, 1.0, 1.0], [-1.0, 0.0, 0.0, 2.0], [0.0, -1.0, 0.0, 3.0], [0.0, 0.0, 0.0, 1.0]]
)
# The same as cam_T_world: scalar first, and the translation -R C.
WXYZ, TRANSLATION = (0.5, 0.5, -0.5, 0.5), (2.0, 3.0, -1.0)


def write_plain_image(
    file: Path, value: int = 90, size: tuple[int, int] = (WIDTH, HEIGHT), dtype: type = np.uint8
) -> Path:
    """An image of one value; of colours its red channel, with green and blue zero."""
    image = np.full((size[1], size[0]), value, dtype)
    if dtype is np.uint8:
        zero = np.zeros_like(image)
        image = np.dstack([zero, zero, image])
    write_values(file, image)
    return file


def write_text(file: Path, text: str) -> Path:
    """As it is: no end of line is changed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


def refusal(path: Path, form: str = "auto") -> str:
    """The one line with which a recording, or a frame of it, is refused."""

    def read_all() -> None:
        dataset = open_dataset(path, format=form)
        for split in dataset.splits():
            list(dataset.frames(split, with_depth=True))

    return error_of(read_all)
