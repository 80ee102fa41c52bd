# SPDX-License-Identifier: Apache-2.0
"""A camera from the YAML file of ROS's ``camera_calibration``.

The keys are those that ``camera_calibration_parsers`` reads: image_width, image_height,
camera_matrix (rows, cols, data), distortion_model, distortion_coefficients (rows, cols, data), and
projection_matrix, which holds for rectified images only.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import yaml

from dsac_core.errors import CameraError
from dsac_core.geometry.camera_info import camera_from_info

if TYPE_CHECKING:
    from pathlib import Path

    from dsac_core.geometry.camera import Camera


def camera_from_yaml(file: Path) -> Camera:
    """The camera of the unrectified image.

    Raises:
        CameraError: The file is unreadable, or lacks what a calibration needs.
    """
    content = read_yaml(file)
    try:
        info = SimpleNamespace(
            width=int(content["image_width"]),
            height=int(content["image_height"]),
            k=[float(value) for value in content["camera_matrix"]["data"]],
            d=[float(value) for value in _coefficients(content)],
            distortion_model=str(content.get("distortion_model", "")),
            p=(),
            binning_x=0,
            binning_y=0,
            roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        msg = (
            f"{file} is not a calibration as ROS's camera_calibration writes it: it needs"
            " image_width, image_height, camera_matrix: data, distortion_model and"
            " distortion_coefficients: data"
        )
        raise CameraError(msg) from None
    try:
        return camera_from_info(info)
    except CameraError as error:
        msg = f"{file}: {error}"
        raise CameraError(msg) from None


def read_yaml(file: Path) -> Any:
    """What a YAML file holds; OpenCV's first line, ``%YAML:1.0``, is passed over.

    Raises:
        CameraError: The file cannot be read, or is no YAML.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file} cannot be read ({getattr(error, 'strerror', 'not text')}): copy it again"
        raise CameraError(msg) from None
    lines = text.splitlines()
    if lines and lines[0].startswith("%YAML:"):
        lines[0] = ""
    try:
        return yaml.safe_load("\n".join(lines))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}"
        msg = f"{file}{place}: not readable as YAML: correct it, or write it again"
        raise CameraError(msg) from None


def _coefficients(content: Any) -> Any:
    given = content.get("distortion_coefficients")
    return [] if given is None else given["data"]
