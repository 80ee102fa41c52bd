# SPDX-License-Identifier: Apache-2.0
"""What readers of layouts share: rows of text, quaternions, the order of names."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.errors import CameraError, DatasetError
from dsac_core.geometry.pose import from_quaternion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".JPEG")


def lines_of(file: Path) -> list[str]:
    """All lines, without their ends; names of images may be in any encoding."""
    return file.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def numbered_rows(file: Path, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line after ``skip``, but of no blank one and no ``#`` comment."""
    for number, line in enumerate(lines_of(file), 1):
        fields = line.split()
        if number > skip and fields and not fields[0].startswith("#"):
            yield number, fields


@contextmanager
def refusing(where: str, otherwise: str) -> Iterator[None]:
    """Let a value that cannot be read, or is no camera, end in one line that says where it is.

    Raises:
        DatasetError: ``where: otherwise``, or in place of the latter what a camera lacks.
    """
    try:
        yield
    except CameraError as error:
        msg = f"{where}: {error}"
        raise DatasetError(msg) from None
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError):
        msg = f"{where}: {otherwise}"
        raise DatasetError(msg) from None


def pose_from_wxyz(translation: Sequence[float], wxyz: Sequence[float]) -> NDArray[np.float64]:
    """Pose [4 x 4] of a quaternion in the order w, x, y, z, of any length but zero.

    Raises:
        ValueError: It is zero, or a number is not finite.
    """
    if not np.isfinite([*translation, *wxyz]).all():
        raise ValueError
    w, x, y, z = wxyz
    return from_quaternion(translation, (x, y, z, w))


def in_number_order(name: str) -> list[tuple[int, str]]:
    """A key to sort names by: numbers within them by their value, so that 9 is before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
