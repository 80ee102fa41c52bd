# SPDX-License-Identifier: Apache-2.0
"""A VisualSFM reconstruction (Wu, 3DV 2013): an N-View Match file, ``NVM_V3``.

After the first line, ``NVM_V3`` with or without ``FixedK fx cx fy cy r``, come models: the number
of cameras and a line for each, ``file f qw qx qy qz x y z distortion 0``, the number of points and
a line for each, ``x y z r g b n`` and n measurements ``image feature x y``. Blank lines may stand
anywhere.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_MAGIC = "NVM_V3"
_CAMERA_FIELDS = 11
_POINT_FIELDS = 7  # before the measurements
_MEASUREMENT_FIELDS = 4


def read_nvm_points(file: Path) -> NDArray[np.float64]:
    """The points [N x 3] of the first model in the file, which is the largest.

    Raises:
        DatasetError: The file is not of this format, or ends before the points do.
        OSError: It cannot be read.
    """
    with _first_model(file) as rows:
        for _ in range(int(next(rows)[0])):
            next(rows)
        points = [_point(next(rows)) for _ in range(int(next(rows, ["0"])[0]))]
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def read_nvm_focal_lengths(file: Path) -> dict[str, float]:
    """The focal length in pixels of each image of the first model, by the file's name there.

    Raises:
        DatasetError: The file is not of this format, or ends before the cameras do.
        OSError: It cannot be read.
    """
    with _first_model(file) as rows:
        lengths = [_focal_length(next(rows)) for _ in range(int(next(rows)[0]))]
    return dict(lengths)


@contextmanager
def _first_model(file: Path) -> Iterator[Iterator[list[str]]]:
    # Names of images may be in any encoding.
    with file.open(encoding="utf-8", errors="replace") as lines:
        rows = _rows(lines)
        if not next(rows, [""])[0].startswith(_MAGIC):
            msg = f"{file} does not start with {_MAGIC}: save it with VisualSFM as an N-View Match"
            raise DatasetError(msg)
        try:
            yield rows
        except (ValueError, StopIteration):
            msg = (
                f"{file} is truncated or damaged: expected cameras, then points as"
                " 'x y z r g b n' and n measurements; copy or export it again"
            )
            raise DatasetError(msg) from None


def _rows(lines: Iterator[str]) -> Iterator[list[str]]:
    for line in lines:
        fields = line.split()
        if fields and not fields[0].startswith("#"):
            yield fields


def _focal_length(fields: list[str]) -> tuple[str, float]:
    if len(fields) < _CAMERA_FIELDS:
        raise ValueError
    # A name may have blanks.
    return " ".join(fields[: -_CAMERA_FIELDS + 1]), float(fields[-_CAMERA_FIELDS + 1])


def _point(fields: list[str]) -> list[float]:
    if len(fields) < _POINT_FIELDS:
        raise ValueError
    if len(fields) != _POINT_FIELDS + _MEASUREMENT_FIELDS * int(fields[_POINT_FIELDS - 1]):
        raise ValueError
    return [float(field) for field in fields[:3]]
