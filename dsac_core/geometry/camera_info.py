# SPDX-License-Identifier: Apache-2.0
"""The camera behind a ``sensor_msgs/CameraInfo`` (REP-104), of rclpy or of a bag reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dsac_core.errors import CameraError
from dsac_core.geometry.camera import NO_DISTORTION, Camera

# Names that some drivers give to the models.
_ALIASES = {"fisheye": "equidistant", "Kannala Brandt4": "equidistant"}
_POLYNOMIALS = ("", NO_DISTORTION, "plumb_bob", "rational_polynomial")


class RegionOfInterest(Protocol):
    """``sensor_msgs/RegionOfInterest``, in full-resolution pixels; all zero is the full image."""

    x_offset: int
    y_offset: int
    width: int
    height: int


class CameraInfo(Protocol):
    """The fields of ``sensor_msgs/CameraInfo`` that a pinhole camera needs."""

    width: int
    height: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: RegionOfInterest


def camera_from_info(info: CameraInfo, *, rectified: bool = False) -> Camera:
    """The camera of the image as it is sent, with binning and region of interest applied.

    Args:
        info: The message; K and P are those of the full, unbinned image.
        rectified: The image is rectified (``image_rect``): P holds, and no distortion remains.

    Raises:
        CameraError: The camera is not calibrated (K or P is zero), or its distortion is unknown.
    """
    name, values = ("P", info.p) if rectified else ("K", info.k)
    matrix = np.asarray(values, dtype=np.float64).reshape(-1).tolist()
    row = 4 if rectified else 3
    if len(matrix) != 3 * row or not matrix[0] > 0 or not matrix[row + 1] > 0:
        msg = (
            f"camera is not calibrated: its CameraInfo has no {name};"
            " run camera_calibration and load the result into the driver"
        )
        raise CameraError(msg)
    fx, cx, fy, cy = matrix[0], matrix[2], matrix[row + 1], matrix[row + 2]
    bin_x, bin_y = max(info.binning_x, 1), max(info.binning_y, 1)
    roi = info.roi
    full = roi.width == 0 or roi.height == 0
    width, height = (info.width, info.height) if full else (roi.width, roi.height)
    x_offset, y_offset = (0, 0) if full else (roi.x_offset, roi.y_offset)
    model, coefficients = (NO_DISTORTION, ()) if rectified else _distortion(info)
    return Camera(
        width=width // bin_x,
        height=height // bin_y,
        fx=fx / bin_x,
        fy=fy / bin_y,
        # Pixel centres are at whole numbers, so the image's edge, at -0.5, is what scales.
        cx=(cx - x_offset + 0.5) / bin_x - 0.5,
        cy=(cy - y_offset + 0.5) / bin_y - 0.5,
        distortion_model=model,
        distortion=coefficients,
    )


def _distortion(info: CameraInfo) -> tuple[str, tuple[float, ...]]:
    coefficients = tuple(np.asarray(info.d, dtype=np.float64).reshape(-1).tolist())
    model = _ALIASES.get(info.distortion_model, info.distortion_model)
    if model == "equidistant":
        return model, coefficients or (0.0,) * 4  # a fisheye without coefficients is no pinhole
    if model in _POLYNOMIALS and not any(coefficients):
        return NO_DISTORTION, ()
    if not model:
        msg = (
            f"camera: its CameraInfo has {len(coefficients)} distortion coefficients and no"
            " distortion_model; publish the model's name (plumb_bob, rational_polynomial, ...)"
        )
        raise CameraError(msg)
    return model, coefficients
