# SPDX-License-Identifier: Apache-2.0
"""The camera of each image, from the newest CameraInfo; built anew when that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.errors import CameraError
from dsac_core.geometry.camera_info import camera_from_info

if TYPE_CHECKING:
    from dsac_core.geometry.camera import Camera
    from dsac_core.geometry.camera_info import CameraInfo


class CameraCache:
    """Builds a camera once per calibration."""

    def __init__(self) -> None:
        """Nothing cached."""
        self._key: tuple[object, ...] | None = None
        self._camera: Camera | None = None

    def get(self, info: CameraInfo, width: int, height: int, *, rectified: bool) -> Camera:
        """The camera of an image of ``width`` x ``height`` pixels.

        Args:
            info: The calibration message.
            width: Pixels of the image that the calibration shall describe.
            height: The same.
            rectified: Whether the image was rectified: then P counts, and no distortion is left.

        Raises:
            CameraError: The camera is uncalibrated, its model is unknown, or the sizes do not fit.
        """
        key = (*_content(info), rectified)
        if self._camera is None or key != self._key:
            self._camera = camera_from_info(info, rectified=rectified)
            self._key = key
        camera = self._camera
        if (camera.width, camera.height) != (width, height):
            msg = (
                f"the camera_info describes images of {camera.width}x{camera.height} pixels, but"
                f" the image has {width}x{height}; publish the one that belongs to the image"
            )
            raise CameraError(msg)
        return camera


def _content(info: CameraInfo) -> tuple[object, ...]:
    """Everything of the message that the camera depends on, comparable."""
    roi = info.roi
    return (
        info.width,
        info.height,
        info.distortion_model,
        *(np.asarray(values, dtype=np.float64).tobytes() for values in (info.d, info.k, info.p)),
        info.binning_x,
        info.binning_y,
        *(roi.x_offset, roi.y_offset, roi.width, roi.height),
    )
