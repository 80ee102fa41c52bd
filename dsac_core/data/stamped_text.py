# SPDX-License-Identifier: Apache-2.0
"""Text files whose rows begin with a stamp: lists of images, and poses.

``#`` starts a comment, and blank lines may stand anywhere. In the formats of TUM RGB-D
(https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats) fields are separated by blanks, as
``stamp file`` and ``stamp tx ty tz qx qy qz qw`` in seconds; in those of EuRoC (Burri et al.,
IJRR 2016) by commas, as ``stamp,file`` and ``stamp,px,py,pz,qw,qx,qy,qz`` and more (velocity,
biases) in nanoseconds. Both poses are world_T_body in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from dsac_core.data.layout_text import lines_of, refusing
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import from_quaternion
from dsac_core.geometry.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SECOND = 1_000_000_000  # ns
MAX_POSE_GAP = SECOND // 10  # ns; motion capture and the like is far denser, but where it was lost
_POSE_FIELDS = 8
_LENGTH_TOLERANCE = 0.05  # of a quaternion; rounding to four digits is 1e-4


@dataclass(frozen=True)
class StampedFormat:
    """How rows are written."""

    separator: str | None  # None: blanks
    stamp_unit: int  # ns
    pose_row: str  # in words
    xyzw_columns: tuple[int, int, int, int]
    more_columns: bool  # may follow a pose


TUM = StampedFormat(None, SECOND, "stamp tx ty tz qx qy qz qw", (4, 5, 6, 7), False)
EUROC = StampedFormat(",", 1, "stamp,px,py,pz,qw,qx,qy,qz", (5, 6, 7, 4), True)


def read_stamped_files(file: Path, form: StampedFormat, root: Path) -> dict[str, tuple[int, Path]]:
    """Stamp in nanoseconds and path of each file of a list, by its name there, in order of time.

    Args:
        file: The list.
        form: Of the list.
        root: What the names are relative to.

    Raises:
        DatasetError: The list cannot be read, a row is malformed, or a file is missing.
    """
    found: dict[str, tuple[int, Path]] = {}
    for number, fields in _rows(file, form):
        if len(fields) != 2 or not fields[1]:
            row = f"stamp{form.separator or ' '}file"
            msg = f"{file}, line {number}: {_expected(row)}"
            raise DatasetError(msg)
        stamp, name = _stamp(file, number, fields, form), fields[1]
        if not (root / name).is_file():
            msg = f"{file}, line {number}: {root / name} is missing: restore it or remove the line"
            raise DatasetError(msg)
        found[name] = (stamp, root / name)
    return dict(sorted(found.items(), key=lambda item: item[1][0]))


def read_stamped_poses(file: Path, form: StampedFormat) -> Trajectory:
    """The poses of a file; rows of NaN or of a zero quaternion, where tracking was lost, are none.

    Raises:
        DatasetError: The file cannot be read, a row is malformed, or there is no pose.
    """
    samples = []
    for number, fields in _rows(file, form):
        if len(fields) < _POSE_FIELDS or (len(fields) > _POSE_FIELDS and not form.more_columns):
            msg = f"{file}, line {number}: {_expected(form.pose_row)}"
            raise DatasetError(msg)
        stamp = _stamp(file, number, fields, form)
        with refusing(f"{file}, line {number}", _expected(form.pose_row)):
            values = [float(field) for field in fields[:_POSE_FIELDS]]
        world_T_body = _pose(values, form, f"{file}, line {number}")
        if world_T_body is not None:
            samples.append((stamp, world_T_body))
    if not samples:
        msg = f"{file} has no pose: expected lines '{form.pose_row}'; export it again"
        raise DatasetError(msg)
    return Trajectory(samples, MAX_POSE_GAP)


def no_common_time(images: Path, poses: Path) -> DatasetError:
    """The error of a list of images none of which has a pose."""
    return DatasetError(
        f"no image of {images} lies between two poses of {poses} that are at most 0.1 s apart:"
        " both need stamps of one clock, in the unit of the layout"
    )


def _pose(values: list[float], form: StampedFormat, place: str) -> NDArray[np.float64] | None:
    xyzw = [values[column] for column in form.xyzw_columns]
    length = math.hypot(*xyzw)
    if length == 0 or not all(math.isfinite(value) for value in values):
        return None
    if abs(length - 1) > _LENGTH_TOLERANCE:
        msg = (
            f"{place}: the quaternion has length {length:.3g}, not 1: the order of columns must be"
            f" '{form.pose_row}'"
        )
        raise DatasetError(msg)
    return from_quaternion(values[1:4], xyzw)


def _rows(file: Path, form: StampedFormat) -> Iterator[tuple[int, list[str]]]:
    try:
        lines = lines_of(file)
    except OSError as error:
        msg = f"{file} cannot be read ({error.strerror}): the layout needs it, copy it again"
        raise DatasetError(msg) from None
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, [field.strip() for field in line.strip().split(form.separator)]


def _stamp(file: Path, number: int, fields: list[str], form: StampedFormat) -> int:
    try:
        return int(Decimal(fields[0]) * form.stamp_unit)
    except (ValueError, ArithmeticError):
        unit = "seconds" if form.stamp_unit == SECOND else "nanoseconds"
        msg = f"{file}, line {number}: '{fields[0]}' is not a stamp in {unit}: correct the line"
        raise DatasetError(msg) from None


def _expected(row: str) -> str:
    return f"expected '{row}'; the file is damaged, export it again"
