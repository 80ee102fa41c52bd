# SPDX-License-Identifier: Apache-2.0
"""Image messages to arrays, through cv_bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from cv_bridge import CvBridge

from dsac_core.errors import DsacError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sensor_msgs.msg import CompressedImage, Image

_GREY = ("mono8", "8UC1", "mono16", "16UC1")


class ImageError(DsacError):
    """An image message cannot be decoded."""


class ImageDecoder:
    """Decodes Image and CompressedImage alike."""

    def __init__(self) -> None:
        """Ready."""
        self._bridge = CvBridge()

    def decode(self, message: Image | CompressedImage) -> NDArray[np.uint8]:
        """RGB [H x W x 3], or grey [H x W].

        Raises:
            ImageError: The encoding is unknown, or the data does not fit it.
        """
        try:
            image = self._compressed(message) if hasattr(message, "format") else self._raw(message)
        # cv_bridge raises its own errors, cv2's, and those of numpy for data of the wrong length.
        except Exception as error:
            what = getattr(message, "encoding", None) or getattr(message, "format", "")
            why = " ".join(str(error).split()) or type(error).__name__
            msg = f"the image (encoding '{what}') cannot be decoded: {why}"
            raise ImageError(msg) from error
        if image is None or image.ndim not in (2, 3) or 0 in image.shape:
            msg = "the image is empty"
            raise ImageError(msg)
        return np.asarray(image, dtype=np.uint8)

    def _raw(self, message: Any) -> Any:
        grey = message.encoding in _GREY
        return self._bridge.imgmsg_to_cv2(message, "mono8" if grey else "rgb8")

    def _compressed(self, message: Any) -> Any:
        image = self._bridge.compressed_imgmsg_to_cv2(message, "passthrough")
        if image is not None and image.dtype == np.uint16:
            image = (image >> 8).astype(np.uint8)
        if image is None or image.ndim == 2:
            return image
        return np.ascontiguousarray(image[..., 2::-1])  # OpenCV decodes to BGR or BGRA
