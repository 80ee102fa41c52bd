# SPDX-License-Identifier: Apache-2.0
"""The cameras and images of a COLMAP reconstruction (Schönberger and Frahm, CVPR 2016).

The layouts are those of https://colmap.github.io/format.html. Text: ``#`` starts a comment;
``cameras.txt`` has a line ``CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]`` each, ``images.txt`` two lines
``IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME`` and ``POINTS2D[]`` as ``X Y POINT3D_ID``, which
may be empty. Binary, little endian: a count (uint64), then for each camera its id (uint32), model
(int32), width and height (uint64) and parameters (double); for each image its id (uint32),
quaternion and translation (double), camera (uint32), name (ends with a zero), the number of points
(uint64) and X, Y (double), id (uint64) of each. Models are numbered and their parameters ordered
as in COLMAP's ``src/colmap/sensor/models.h``. The pose maps the world into the camera; the corner
of an image is (0, 0).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsac_core.data.corner_camera import camera_of_corner
from dsac_core.data.layout_text import lines_of, numbered_rows, pose_from_wxyz, refusing
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import invert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera

MODEL_PLACES = ("", "sparse", "sparse/0")  # within the folder that a user names
_MODELS = {
    "SIMPLE_PINHOLE": (0, "f cx cy"),
    "PINHOLE": (1, "fx fy cx cy"),
    "SIMPLE_RADIAL": (2, "f cx cy k1"),
    "RADIAL": (3, "f cx cy k1 k2"),
    "OPENCV": (4, "fx fy cx cy k1 k2 p1 p2"),
    "OPENCV_FISHEYE": (5, "fx fy cx cy k1 k2 k3 k4"),
    "FULL_OPENCV": (6, "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
    "SIMPLE_RADIAL_FISHEYE": (8, "f cx cy k1"),
    "RADIAL_FISHEYE": (9, "f cx cy k1 k2"),
    "SIMPLE_FISHEYE": (14, "f cx cy"),
    "FISHEYE": (15, "fx fy cx cy"),
}
_NUMBERED = {number: model for model, (number, _) in _MODELS.items()}
COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<Ii2Q")
_IMAGE = struct.Struct("<I7dI")
_POINT_SIZE = 24  # bytes: x, y, id
_IMAGE_FIELDS = 10


@dataclass(frozen=True)
class ColmapImage:
    """One registered image."""

    name: str  # path below the folder of images
    camera: int  # key of the cameras
    world_T_cam: NDArray[np.float64]  # 4 x 4


class ColmapBinary:
    """A binary file of COLMAP, read from its start on.

    Raises:
        DatasetError: By each method: the file is too short.
    """

    def __init__(self, file: Path) -> None:
        """Read all of it."""
        self.file = file
        self._data, self._offset = file.read_bytes(), 0

    def take(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The values that come next."""
        start = self._offset
        self.skip(layout.size)
        return layout.unpack_from(self._data, start)

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        self._offset += size
        if self._offset > len(self._data):
            msg = (
                f"{self.file} is truncated, or not a {self.file.name} of COLMAP: copy or export it"
                " again"
            )
            raise DatasetError(msg)

    def text(self) -> str:
        """The name that comes next."""
        start, end = self._offset, self._data.find(b"\0", self._offset)
        self.skip(end + 1 - start if end >= 0 else len(self._data))
        return self._data[start:end].decode(errors="replace")


def find_colmap_file(folder: Path, stem: str) -> Path | None:
    """``stem``.bin, else ``stem``.txt, of a folder or of the models in it."""
    files = (folder / place / (stem + end) for place in MODEL_PLACES for end in (".bin", ".txt"))
    return next((file for file in files if file.is_file()), None)


def read_colmap_cameras(file: Path) -> dict[int, Camera]:
    """The cameras of a ``cameras.bin`` or ``cameras.txt`` by their number.

    Raises:
        DatasetError: The file is damaged, or a camera has a model that ROS has no word for.
    """
    if file.suffix == ".bin":
        return _binary_cameras(ColmapBinary(file))
    cameras = {}
    for number, fields in numbered_rows(file):
        where = f"{file}, line {number}"
        with refusing(where, "expected 'id model width height parameters': export it again"):
            key, width, height = int(fields[0]), int(fields[2]), int(fields[3])
            parameters = [float(field) for field in fields[4:]]
            cameras[key] = _camera(where, fields[1], width, height, parameters)
    return cameras


def _binary_cameras(data: ColmapBinary) -> dict[int, Camera]:
    cameras = {}
    for _ in range(data.take(COUNT)[0]):
        key, number, width, height = data.take(_CAMERA)
        model, where = _NUMBERED.get(number, f"number {number}"), f"{data.file}, camera {key}"
        count = len(_MODELS[model][1].split()) if model in _MODELS else 0
        parameters = data.take(struct.Struct(f"<{count}d"))
        with refusing(where, "it is damaged: export it again"):
            cameras[key] = _camera(where, model, width, height, parameters)
    return cameras


def _camera(where: str, model: str, width: int, height: int, parameters: Sequence[float]) -> Camera:
    if model not in _MODELS:
        msg = (
            f"{where}: camera model {model} cannot be used, only {', '.join(_MODELS)}: run"
            " 'colmap image_undistorter' and open what it writes"
        )
        raise DatasetError(msg)
    values = dict(zip(_MODELS[model][1].split(), parameters, strict=True))
    if "f" in values:
        values["fx"] = values["fy"] = values["f"]
    return camera_of_corner(width, height, values, fisheye="FISHEYE" in model)


def read_colmap_images(file: Path) -> list[ColmapImage]:
    """The images of an ``images.bin`` or ``images.txt``, as they stand there.

    Raises:
        DatasetError: The file is damaged.
    """
    return _binary_images(ColmapBinary(file)) if file.suffix == ".bin" else _text_images(file)


def _binary_images(data: ColmapBinary) -> list[ColmapImage]:
    images = []
    for _ in range(data.take(COUNT)[0]):
        key, *pose, camera = data.take(_IMAGE)
        name = data.text()
        data.skip(_POINT_SIZE * data.take(COUNT)[0])
        with refusing(f"{data.file}, image {key}", "its pose is damaged: export it again"):
            images.append(ColmapImage(name, camera, _world_T_cam(pose)))
    return images


def _text_images(file: Path) -> list[ColmapImage]:
    images: list[ColmapImage] = []
    points_next = False  # the second of two lines, even where it is empty
    for number, line in enumerate(lines_of(file), 1):
        where = f"{file}, line {number}"
        if points_next:
            points_next = False
            if len(line.split()) % 3:
                msg = (
                    f"{where}: expected 'x y id' of points, or an empty line, after each image:"
                    " export it again"
                )
                raise DatasetError(msg)
        elif line.strip() and not line.lstrip().startswith("#"):
            points_next = True
            fields = line.split(maxsplit=_IMAGE_FIELDS - 1)
            with refusing(where, "expected 'id qw qx qy qz tx ty tz camera name': export it again"):
                int(fields[0])
                pose, camera = [float(field) for field in fields[1:8]], int(fields[8])
                images.append(ColmapImage(fields[9].strip(), camera, _world_T_cam(pose)))
    return images


def _world_T_cam(qvec_tvec: Sequence[float]) -> NDArray[np.float64]:
    return invert(pose_from_wxyz(qvec_tvec[4:], qvec_tvec[:4]))
