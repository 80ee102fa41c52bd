# SPDX-License-Identifier: Apache-2.0
"""The layout of the 12-Scenes dataset (Valentin et al., 3DV 2016).

``data/frame-NNNNNN`` has ``.color.jpg``, ``.depth.png`` (16 bit, 0 is none) and ``.pose.txt``
(4 x 4, camera to world, metres; infinities where tracking was lost, and such frames are left out).
``info.txt`` has lines ``m_colorWidth = 1296``, the same with colorHeight, depthWidth, depthHeight
and depthShift (readings to the metre), and ``m_calibrationColorIntrinsic``, ``ColorExtrinsic``,
``DepthIntrinsic``, ``DepthExtrinsic``: 16 numbers, a 4 x 4 matrix row by row. The extrinsics are
the identity: depth has other intrinsics than colour, but is seen from the same place.
``split.txt`` has a line ``sequence0 [frames=357]  [start=0 ; end=356]`` for each sequence; as in
the papers the first is for testing and the others are for training.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.frame import ALL
from dsac_core.data.layout_text import lines_of, numbered_rows, refusing
from dsac_core.data.pose_matrix import is_lost, pose_matrix, read_pose_text
from dsac_core.data.posed_files import DepthFile, PosedFile, PosedFiles
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera

if TYPE_CHECKING:
    from pathlib import Path

INFO, SPLIT = "info.txt", "split.txt"
FRAME_RATE = 30.0  # of the sensor, for stamps from frame numbers
_COLOUR_FILE = re.compile(r"frame-(\d+)\.color\.(?:jpg|png)$")
_SEQUENCE = re.compile(
    r"sequence\d+\s*\[\s*frames\s*=\s*\d+\s*\]"
    r"\s*\[\s*start\s*=\s*(\d+)\s*;\s*end\s*=\s*(\d+)\s*\]$"
)


def recognises(path: Path) -> bool:
    """Whether the folder has images and one of the two text files of this layout."""
    described = (path / INFO).is_file() or (path / SPLIT).is_file()
    return described and any(path.glob("data/frame-*.color.*"))


def open_twelve_scenes(path: Path) -> PosedFiles:
    """The frames of both splits, or all of them where there is no ``split.txt``.

    Raises:
        DatasetError: A file is missing or malformed, or no frame has a pose.
    """
    info = _Info(path / INFO)
    colour, depth_camera = info.camera("Color"), info.camera("Depth")
    unit = 1.0 / info.positive("m_depthShift")
    by_number = _colour_files(path)
    splits: dict[str, list[PosedFile]] = {}
    for split, numbers in _split_numbers(path / SPLIT, list(by_number)).items():
        files = splits.setdefault(split, [])
        for number in numbers:
            image = by_number[number]
            stem = image.name.split(".")[0]
            pose_file = image.with_name(f"{stem}.pose.txt")
            text = read_pose_text(pose_file)
            if is_lost(text):
                continue
            depth_file = image.with_name(f"{stem}.depth.png")
            depth = DepthFile(depth_file, unit, depth_camera) if depth_file.is_file() else None
            pose, stamp = pose_matrix(text, pose_file), number / FRAME_RATE
            files.append(PosedFile(stem, stamp, image, colour, pose, depth))
    return PosedFiles(path.resolve().name, "12-Scenes", splits)


def _colour_files(path: Path) -> dict[int, Path]:
    found = {}
    for file in sorted(path.glob("data/frame-*.color.*")):
        match = _COLOUR_FILE.match(file.name)
        if match:
            found[int(match.group(1))] = file
    if not found:
        msg = f"{path / 'data'} has no frame-NNNNNN.color.jpg: unpack the images of the scene there"
        raise DatasetError(msg)
    return dict(sorted(found.items()))


def _split_numbers(split_file: Path, numbers: list[int]) -> dict[str, list[int]]:
    """The frame numbers of each split."""
    if not split_file.is_file():
        return {ALL: numbers}
    splits: dict[str, list[int]] = {"train": [], "test": []}
    seen: set[int] = set()
    for line_number, fields in numbered_rows(split_file):
        place, line = f"{split_file}, line {line_number}", " ".join(fields)
        match = _SEQUENCE.match(line)
        if match is None:
            msg = (
                f"{place}: expected a line such as"
                f" 'sequence0 [frames=357]  [start=0 ; end=356]', got '{line}'"
            )
            raise DatasetError(msg)
        start, end = (int(group) for group in match.groups())
        if start > end or seen.intersection(range(start, end + 1)):
            msg = f"{place}: frames {start} to {end} are none, or not new ones: correct the line"
            raise DatasetError(msg)
        members = [number for number in numbers if start <= number <= end]
        if not members:
            msg = f"{place}: data has none of the frames {start} to {end}: unpack all of the scene"
            raise DatasetError(msg)
        splits["train" if seen else "test"] += members
        seen.update(range(start, end + 1))
    if not seen:
        msg = (
            f"{split_file} names no sequence: copy it again, or remove it to use all frames as one"
        )
        raise DatasetError(msg)
    return splits


class _Info:
    """``info.txt``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            lines = lines_of(file)
        except OSError as error:
            msg = f"{file} cannot be read ({error.strerror}): it has the calibration, copy it again"
            raise DatasetError(msg) from None
        pairs = (line.split("=", 1) for line in lines if "=" in line)
        self._values = {key.strip(): value.split() for key, value in pairs}

    def positive(self, key: str) -> float:
        (value,) = self._numbers(key, 1)
        if not value > 0:
            msg = f"{self._file}: {key} must be positive, got {value:g}: copy the file again"
            raise DatasetError(msg)
        return value

    def camera(self, which: str) -> Camera:
        """Of ``Color`` or ``Depth``."""
        extrinsic = self._numbers(f"m_calibration{which}Extrinsic", 16)
        if not np.allclose(np.reshape(extrinsic, (4, 4)), np.eye(4), atol=1e-6):
            msg = (
                f"{self._file}: m_calibration{which}Extrinsic is not the identity, and the layout"
                " does not say what else it means: register depth to colour, and set the identity"
            )
            raise DatasetError(msg)
        matrix = self._numbers(f"m_calibration{which}Intrinsic", 16)
        width = int(self.positive(f"m_{which.lower()}Width"))
        height = int(self.positive(f"m_{which.lower()}Height"))
        with refusing(f"{self._file}, m_calibration{which}Intrinsic", "copy the file again"):
            return Camera(width, height, matrix[0], matrix[5], matrix[2], matrix[6])

    def _numbers(self, key: str, count: int) -> list[float]:
        try:
            numbers = [float(value) for value in self._values[key]]
        except (KeyError, ValueError):
            numbers = []
        if len(numbers) != count or not np.isfinite(numbers).all():
            what = "a number" if count == 1 else f"{count} numbers"
            msg = f"{self._file}: expected a line '{key} = ' and {what}; copy the file again"
            raise DatasetError(msg)
        return numbers
