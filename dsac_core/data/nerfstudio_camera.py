# SPDX-License-Identifier: Apache-2.0
"""The camera of a frame of ``transforms.json``: what its keys mean is in `nerfstudio`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dsac_core.data.corner_camera import camera_of_corner
from dsac_core.data.image_header import size_in_header
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dsac_core.geometry.camera import Camera

_FISHEYE = "OPENCV_FISHEYE"
_MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", _FISHEYE)
_COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2")


def nerfstudio_camera(keys: Mapping[str, Any], image: Path, where: str) -> Camera:
    """The camera of an image.

    Args:
        keys: Of the frame, and of the file for what the frame does not have.
        image: Its size is read where the keys do not give it.
        where: File and frame, for errors.

    Raises:
        CameraError, TypeError, ValueError: The values are no calibration.
        DatasetError: The focal length is missing, or the lens has no word in ROS.
    """
    width, height = _size(keys, image)
    fx = _focal(keys, "x", width)
    if fx is None:
        msg = f"{where}: there is no 'fl_x' and no 'camera_angle_x': add the focal length in pixels"
        raise DatasetError(msg)
    fy = _focal(keys, "y", height)
    values = {name: float(keys.get(name, 0.0)) for name in _COEFFICIENTS}
    values |= {
        "fx": fx,
        "fy": fx if fy is None else fy,
        "cx": float(keys.get("cx", width / 2)),
        "cy": float(keys.get("cy", height / 2)),
    }
    model = keys.get("camera_model", _FISHEYE if keys.get("is_fisheye") else "OPENCV")
    fisheye = model == _FISHEYE
    # nerfstudio's k4 is of the eighth power, of which OpenCV's polynomial has none.
    beyond = ("p1", "p2") if fisheye else ("k4",)
    if model not in _MODELS or any(values[name] for name in beyond):
        what = f"{model} with {beyond[0]}" if model in _MODELS else str(model)
        msg = f"{where}: a lens of model {what} cannot be used: undistort the images"
        raise DatasetError(msg)
    return camera_of_corner(width, height, values, fisheye=fisheye)


def _size(keys: Mapping[str, Any], image: Path) -> tuple[int, int]:
    if "w" in keys and "h" in keys:
        return int(keys["w"]), int(keys["h"])
    return size_in_header(image)


def _focal(keys: Mapping[str, Any], axis: str, pixels: int) -> float | None:
    if f"fl_{axis}" in keys:
        return float(keys[f"fl_{axis}"])
    if f"camera_angle_{axis}" in keys:
        return 0.5 * pixels / math.tan(0.5 * float(keys[f"camera_angle_{axis}"]))
    return None
