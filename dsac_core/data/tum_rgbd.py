# SPDX-License-Identifier: Apache-2.0
"""The layout of the TUM RGB-D benchmark (Sturm et al., IROS 2012).

``rgb.txt`` and ``depth.txt`` list ``stamp file``, ``groundtruth.txt`` has ``stamp tx ty tz qx qy qz
qw``: world_T_cam of the colour camera's optical frame. Depth is registered to colour, 16 bit,
5000 to the metre, 0 is none (https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats). The
benchmark gives no calibration as a file: it follows from ``freiburg1``, ``2`` or ``3`` in the name
of the folder, or stands in a ``camera.yaml`` or ``calibration.yaml`` as ROS writes it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from dsac_core.data.frame import ALL
from dsac_core.data.posed_files import DepthFile, PosedFile, PosedFiles
from dsac_core.data.stamped_text import (
    SECOND,
    TUM,
    no_common_time,
    read_stamped_files,
    read_stamped_poses,
)
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.camera_yaml import camera_from_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

IMAGES, DEPTHS, POSES = "rgb.txt", "depth.txt", "groundtruth.txt"
CALIBRATIONS = ("camera.yaml", "calibration.yaml")
DEPTH_UNIT = 1.0 / 5000.0  # metres
MAX_DEPTH_OFFSET = SECOND // 50  # ns between an image and its depth
# https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats, "Intrinsic Camera Calibration".
CAMERAS = {
    "1": Camera(
        *(640, 480, 517.3, 516.5, 318.6, 255.3),
        distortion_model="plumb_bob",
        distortion=(0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    ),
    "2": Camera(
        *(640, 480, 520.9, 521.0, 325.1, 249.7),
        distortion_model="plumb_bob",
        distortion=(0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    ),
    "3": Camera(640, 480, 535.4, 539.2, 320.1, 247.6),
}
_SENSOR = re.compile(r"(?:^|_)(?:freiburg|fr)([123])(?:_|$)")


def recognises(path: Path) -> bool:
    """Whether the folder has the lists of images and poses of this layout."""
    return (path / IMAGES).is_file() and (path / POSES).is_file()


def open_tum_rgbd(path: Path) -> PosedFiles:
    """The images that have a pose, each with the depth nearest in time where there is one.

    Raises:
        DatasetError: A file is missing or malformed, or no image has a pose.
        CameraError: The calibration beside them is not one.
    """
    camera = _camera(path)
    images = read_stamped_files(path / IMAGES, TUM, path)
    poses = read_stamped_poses(path / POSES, TUM)
    depths: dict[int, Path] = {}
    if (path / DEPTHS).is_file():
        depths = dict(read_stamped_files(path / DEPTHS, TUM, path).values())
    stamps = list(depths)
    files = []
    for name, (stamp, file) in images.items():
        world_T_cam = poses.at(stamp)
        if world_T_cam is None:
            continue
        nearest = _nearest(stamps, stamp)
        depth = None if nearest is None else DepthFile(depths[nearest], DEPTH_UNIT)
        files.append(PosedFile(name, stamp / SECOND, file, camera, world_T_cam, depth))
    if images and not files:
        raise no_common_time(path / IMAGES, path / POSES)
    return PosedFiles(path.resolve().name, "TUM RGB-D", {ALL: files})


def _nearest(stamps: list[int], stamp: int) -> int | None:
    after = bisect_left(stamps, stamp)
    near: Iterable[int] = stamps[max(after - 1, 0) : after + 1]
    nearest = min(near, key=lambda other: abs(other - stamp), default=None)
    return None if nearest is None or abs(nearest - stamp) > MAX_DEPTH_OFFSET else nearest


def _camera(path: Path) -> Camera:
    for name in CALIBRATIONS:
        if (path / name).is_file():
            return camera_from_yaml(path / name)
    sensor = _SENSOR.search(path.resolve().name)
    if sensor is None:
        msg = (
            f"{path} has the layout of TUM RGB-D, but no calibration: add camera.yaml as ROS's"
            " camera_calibration writes it, or name the folder after its sensor, such as"
            " rgbd_dataset_freiburg1_desk"
        )
        raise DatasetError(msg)
    return CAMERAS[sensor.group(1)]
