# SPDX-License-Identifier: Apache-2.0
"""The camera of an image, from sensor_msgs/CameraInfo as REP-104 defines it.

The calibration is given for the full sensor. ROI offsets count full-resolution pixels, binning
comes after the ROI, a zero ROI is the whole image, and a binning of 0 means 1. A rectified image
has the camera of P and no distortion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from dsac_core.errors import CameraError
from dsac_core.geometry.camera import NO_DISTORTION, Camera

if TYPE_CHECKING:
    from collections.abc import Sequence

# Older drivers' names for the models.
_ALIASES = {"fisheye": "equidistant", "Kannala Brandt4": "equidistant", "none": NO_DISTORTION}
_POLYNOMIAL = ("plumb_bob", "rational_polynomial")  # without coefficients they bend nothing


class RegionOfInterest(Protocol):
    """sensor_msgs/RegionOfInterest."""

    x_offset: int
    y_offset: int
    height: int
    width: int


class CameraInfo(Protocol):
    """sensor_msgs/CameraInfo."""

    height: int
    width: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: RegionOfInterest


def camera_from_info(info: CameraInfo, width: int, height: int, *, rectified: bool) -> Camera:
    """The camera of an image of ``width`` x ``height`` pixels.

    Args:
        info: The calibration message.
        width: Pixels of the image that the calibration shall describe.
        height: The same.
        rectified: Whether the image was rectified: then P counts, and no distortion is left.

    Raises:
        CameraError: The camera is uncalibrated, its model is unknown, or the sizes do not fit.
    """
    matrix = (
        np.asarray(info.p, dtype=np.float64).reshape(-1)[:12]
        if rectified
        else np.asarray(info.k, dtype=np.float64).reshape(-1)[:9]
    )
    name = "P" if rectified else "K"
    if matrix.size != (12 if rectified else 9) or not np.isfinite(matrix).all() or matrix[0] == 0:
        msg = f"uncalibrated: the camera_info has no {name}; calibrate the camera"
        raise CameraError(msg)
    columns = 4 if rectified else 3
    fx, cx = matrix[0], matrix[2]
    fy, cy = matrix[columns + 1], matrix[columns + 2]

    x_offset, y_offset, roi_width, roi_height = _region(info)
    bin_x, bin_y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    binned = (roi_width // bin_x, roi_height // bin_y)
    if binned != (width, height):
        msg = (
            f"the camera_info describes images of {binned[0]}x{binned[1]} pixels, but the image has"
            f" {width}x{height}; publish the camera_info that belongs to the image"
        )
        raise CameraError(msg)
    model, coefficients = (NO_DISTORTION, ()) if rectified else _distortion(info)
    # The first pixel of a binned image is the mean of the first bin, whose centre is not at 0.
    return Camera(
        width=width,
        height=height,
        fx=float(fx) / bin_x,
        fy=float(fy) / bin_y,
        cx=float((cx - x_offset + 0.5) / bin_x - 0.5),
        cy=float((cy - y_offset + 0.5) / bin_y - 0.5),
        distortion_model=model,
        distortion=coefficients,
    )


class CameraCache:
    """Builds a camera once per calibration, and again when any of its content changes."""

    def __init__(self) -> None:
        """Nothing cached."""
        self._key: tuple[object, ...] | None = None
        self._camera: Camera | None = None

    def get(self, info: CameraInfo, width: int, height: int, *, rectified: bool) -> Camera:
        """As ``camera_from_info``; raises the same."""
        key = (_content(info), width, height, rectified)
        if self._camera is None or key != self._key:
            self._camera = camera_from_info(info, width, height, rectified=rectified)
            self._key = key
        return self._camera


def _region(info: CameraInfo) -> tuple[int, int, int, int]:
    roi = info.roi
    if roi.width == 0 or roi.height == 0:
        return 0, 0, int(info.width), int(info.height)
    return int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)


def _distortion(info: CameraInfo) -> tuple[str, tuple[float, ...]]:
    coefficients = tuple(float(coefficient) for coefficient in np.asarray(info.d).reshape(-1))
    model = _ALIASES.get(info.distortion_model, info.distortion_model)
    if model == "equidistant" and not coefficients:
        return model, (0.0,) * 4  # a fisheye without coefficients is no pinhole
    if not any(coefficients) and model in ("", NO_DISTORTION, *_POLYNOMIAL):
        return NO_DISTORTION, ()
    if not model:
        msg = (
            f"the camera_info has {len(coefficients)} distortion coefficients and no"
            " distortion_model; publish the model's name (plumb_bob, rational_polynomial, …)"
        )
        raise CameraError(msg)
    return model, coefficients


def _content(info: CameraInfo) -> tuple[object, ...]:
    """Everything of the message that the camera depends on, comparable."""
    return (
        info.width,
        info.height,
        info.distortion_model,
        np.asarray(info.d, dtype=np.float64).tobytes(),
        np.asarray(info.k, dtype=np.float64).tobytes(),
        np.asarray(info.p, dtype=np.float64).tobytes(),
        info.binning_x,
        info.binning_y,
        _region(info),
    )
