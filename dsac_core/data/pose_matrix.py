# SPDX-License-Identifier: Apache-2.0
"""A pose in a text file of its own: four rows of four numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import is_rigid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_pose_text(file: Path) -> str:
    """What the file holds.

    Raises:
        DatasetError: It is missing or unreadable.
    """
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        msg = (
            f"{file} cannot be read ({error.strerror}): mapping and evaluation need a pose for"
            " each image; restore it, or remove the image"
        )
        raise DatasetError(msg) from None


def is_lost(text: str) -> bool:
    """Whether there are infinities or NaN in place of numbers, also as Windows writes them."""
    lower = text.lower()
    return any(word in lower for word in ("inf", "nan", "#ind"))


def pose_matrix(text: str, file: Path) -> NDArray[np.float64]:
    """The camera-to-world matrix [4 x 4] of a text; ``file`` is for the error.

    Raises:
        DatasetError: It is not a rigid matrix.
    """
    try:
        rows = [line.split() for line in text.splitlines() if line.strip()]
        world_T_cam = np.array(rows, dtype=np.float64)
    except ValueError:
        world_T_cam = np.empty(0)
    if not is_rigid(world_T_cam):
        msg = f"{file} does not hold a 4x4 rigid camera-to-world matrix"
        raise DatasetError(msg)
    return world_T_cam
