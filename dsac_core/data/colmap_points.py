# SPDX-License-Identifier: Apache-2.0
"""The points of a COLMAP reconstruction (Schönberger and Frahm, CVPR 2016).

The layouts are those of https://colmap.github.io/format.html. Text: one point a line,
``POINT3D_ID X Y Z R G B ERROR TRACK[]``, the track as pairs; ``#`` starts a comment. Binary, little
endian: the number of points (uint64), then for each point its id (uint64), X Y Z (double), R G B
(uint8), error (double), the length of its track (uint64) and as many pairs of uint32.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.colmap_files import COUNT, ColmapBinary, find_colmap_file
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BINARY, TEXT = "points3D.bin", "points3D.txt"
_POINT = struct.Struct("<Q3d3BdQ")
_TRACK_ELEMENT = 8  # bytes: image id, index of the point in the image
_TEXT_FIELDS = 8  # before the track


def find_colmap_points(folder: Path) -> Path | None:
    """The file of points in a folder or the models in it, the binary one where both are there."""
    return find_colmap_file(folder, "points3D")


def read_colmap_points(file: Path) -> NDArray[np.float64]:
    """The points [N x 3] of a ``points3D.bin`` or, with any other name, of a ``points3D.txt``.

    Raises:
        DatasetError: The file is damaged.
        OSError: It cannot be read.
    """
    return _read_binary(file) if file.suffix.lower() == ".bin" else _read_text(file)


def _read_text(file: Path) -> NDArray[np.float64]:
    points: list[list[float]] = []
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.split()
            if not fields or fields[0].startswith("#"):
                continue
            try:
                if len(fields) < _TEXT_FIELDS or (len(fields) - _TEXT_FIELDS) % 2:
                    raise ValueError
                points.append([float(field) for field in fields[1:4]])
            except ValueError:
                msg = (
                    f"{file}, line {number}: expected 'id x y z r g b error' and pairs, as COLMAP"
                    " writes it; the file is damaged, export it again"
                )
                raise DatasetError(msg) from None
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def _read_binary(file: Path) -> NDArray[np.float64]:
    data = ColmapBinary(file)
    points: list[tuple[float, float, float]] = []
    for _ in range(data.take(COUNT)[0]):
        _, x, y, z, _, _, _, _, track_length = data.take(_POINT)
        data.skip(_TRACK_ELEMENT * track_length)
        points.append((x, y, z))
    return np.array(points, dtype=np.float64).reshape(-1, 3)
