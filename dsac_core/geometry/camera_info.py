# SPDX-License-Identifier: Apache-2.0
"""The camera behind a ``sensor_msgs/CameraInfo`` (REP-104), of rclpy or of a bag reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dsac_core.errors import CameraError
from dsac_core.geometry.camera import NO_DISTORTION, Camera

_FISHEYE_NAMES = {"equidistant", "fisheye"}


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
    k, p = [float(value) for value in info.k], [float(value) for value in info.p]
    fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if rectified else (k[0], k[4], k[2], k[5])
    if fx <= 0 or fy <= 0:
        matrix = "P" if rectified else "K"
        msg = (
            f"camera is not calibrated: {matrix} of its CameraInfo is zero;"
            " run camera_calibration and load the result into the driver"
        )
        raise CameraError(msg)
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
    coefficients = tuple(float(value) for value in info.d)
    if info.distortion_model in _FISHEYE_NAMES:
        return "equidistant", coefficients
    if not any(coefficients):
        return NO_DISTORTION, ()
    return info.distortion_model, coefficients
