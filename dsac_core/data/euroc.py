# SPDX-License-Identifier: Apache-2.0
"""The layout of the EuRoC MAV datasets (Burri et al., IJRR 2016): the ASL dataset format.

``mav0/cam0/data.csv`` lists ``stamp,file`` of the images in ``mav0/cam0/data``, and
``mav0/cam0/sensor.yaml`` has the calibration: T_BS (body_T_cam, 4 x 4), resolution,
camera_model (pinhole), intrinsics (fu, fv, cu, cv), distortion_model (radial-tangential k1, k2,
p1, p2 or equidistant k1 to k4) and distortion_coefficients.
``mav0/state_groundtruth_estimate0/data.csv`` has world_T_body, as
``stamp,p_RS_R (3),q_RS (w, x, y, z)`` and more. Stamps are in nanoseconds. The other camera is left
aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.frame import ALL
from dsac_core.data.layout_text import refusing
from dsac_core.data.posed_files import PosedFile, PosedFiles
from dsac_core.data.stamped_text import (
    EUROC,
    SECOND,
    no_common_time,
    read_stamped_files,
    read_stamped_poses,
)
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import NO_DISTORTION, Camera
from dsac_core.geometry.camera_yaml import read_yaml
from dsac_core.geometry.pose import is_rigid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CAMERA, POSES = "cam0", "state_groundtruth_estimate0"
_LIST, _SENSOR = "data.csv", "sensor.yaml"
_MODELS = {
    "radial-tangential": "plumb_bob",
    "radtan": "plumb_bob",  # Kalibr's name
    "equidistant": "equidistant",
    "none": NO_DISTORTION,
}


def recognises(path: Path) -> bool:
    """Whether the folder, or ``mav0`` in it, has the list of images of the first camera."""
    return (_mav(path) / CAMERA / _LIST).is_file()


def open_euroc(path: Path) -> PosedFiles:
    """The images of the first camera that have a pose.

    Raises:
        DatasetError: A file is missing or malformed, or no image has a pose.
        CameraError: The calibration cannot be read.
    """
    folder = _mav(path) / CAMERA
    camera, body_T_cam = _read_sensor(folder / _SENSOR)
    images = read_stamped_files(folder / _LIST, EUROC, folder / "data")
    poses_file = _mav(path) / POSES / _LIST
    poses = read_stamped_poses(poses_file, EUROC)
    files = []
    for name, (stamp, file) in images.items():
        world_T_body = poses.at(stamp)
        if world_T_body is not None:
            pose = world_T_body @ body_T_cam
            files.append(PosedFile(name, stamp / SECOND, file, camera, pose))
    if images and not files:
        raise no_common_time(folder / _LIST, poses_file)
    whole = path.resolve()
    name = whole.parent.name if whole.name == "mav0" else whole.name
    return PosedFiles(name, "EuRoC", {ALL: files})


def _mav(path: Path) -> Path:
    return path / "mav0" if (path / "mav0").is_dir() else path


def _read_sensor(file: Path) -> tuple[Camera, NDArray[np.float64]]:
    content = read_yaml(file)
    needed = (
        "not a sensor.yaml of a camera, which has T_BS: data, resolution, intrinsics,"
        " camera_model, distortion_model and distortion_coefficients; copy it again"
    )
    with refusing(str(file), needed):
        body_T_cam = np.array(content["T_BS"]["data"], dtype=np.float64).reshape(4, 4)
        width, height = (int(value) for value in content["resolution"])
        fx, fy, cx, cy = (float(value) for value in content["intrinsics"])
        projection, model = str(content["camera_model"]), str(content["distortion_model"])
        distortion = tuple(float(value) for value in content["distortion_coefficients"] or ())
    if projection != "pinhole" or model not in _MODELS:
        msg = (
            f"{file}: camera_model '{projection}' with distortion_model '{model}' is unknown:"
            f" calibrate as pinhole with one of {', '.join(_MODELS)}"
        )
        raise DatasetError(msg)
    if not is_rigid(body_T_cam):
        msg = f"{file}: T_BS is not a rigid 4x4 matrix: correct it"
        raise DatasetError(msg)
    if _MODELS[model] == NO_DISTORTION:
        distortion = ()
    with refusing(str(file), needed):
        return Camera(width, height, fx, fy, cx, cy, _MODELS[model], distortion), body_T_cam
