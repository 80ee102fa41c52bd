# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs images to numpy arrays and back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from cv_bridge.encodings import convert, pixel_type, type_name


class CvBridgeError(TypeError):
    """An encoding is unknown, does not fit the image, or cannot be converted."""


class CvBridge:
    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> NDArray[Any]:
        """The image as [height, width] or [height, width, channels], in native byte order."""
        dtype, channels = _pixel_type(img_msg.encoding)
        dtype = dtype.newbyteorder(">" if img_msg.is_bigendian else "<")
        pixel = dtype.itemsize * channels
        if img_msg.step < img_msg.width * pixel:
            raise CvBridgeError(
                f"step {img_msg.step} is too short for {img_msg.width} pixels of {img_msg.encoding}"
            )
        if len(img_msg.data) < img_msg.step * img_msg.height:
            raise CvBridgeError(
                f"{len(img_msg.data)} bytes are too few for {img_msg.height} rows of {img_msg.step}"
            )
        image: NDArray[Any] = np.ndarray(
            (img_msg.height, img_msg.width, channels),
            dtype,
            buffer=img_msg.data,
            strides=(img_msg.step, pixel, dtype.itemsize),  # rows may be padded
        )
        if channels == 1:
            image = image[:, :, 0]
        image = np.ascontiguousarray(image, dtype=dtype.newbyteorder("="))
        if desired_encoding == "passthrough":
            return image
        return _convert(image, img_msg.encoding, desired_encoding)

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> NDArray[Any]:
        """The decoded image; with a desired encoding, colour images only."""
        data = np.frombuffer(cmprs_img_msg.data, dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if desired_encoding == "passthrough":
            return image
        return _convert(image, "bgr8", desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: NDArray[Any], encoding: str = "passthrough", header: Any = None
    ) -> Image:
        """The message for an image of [height, width] or [height, width, channels]."""
        if not isinstance(cvim, (np.ndarray, np.generic)):
            raise TypeError("Your input type is not a numpy array")
        channels = 1 if cvim.ndim < 3 else cvim.shape[2]
        actual = type_name(cvim.dtype, channels)
        if encoding == "passthrough":
            encoding = actual
        elif type_name(*_pixel_type(encoding)) != actual:
            raise CvBridgeError(
                f"encoding specified as {encoding}, but image has incompatible type {actual}"
            )
        message = Image(encoding=encoding, height=cvim.shape[0], width=cvim.shape[1])
        if header is not None:
            message.header = header
        message.is_bigendian = int(cvim.dtype.byteorder == ">")
        message.data.frombytes(cvim.tobytes())
        message.step = len(message.data) // message.height
        return message

    def cv2_to_compressed_imgmsg(
        self, cvim: NDArray[Any], dst_format: str = "jpg"
    ) -> CompressedImage:
        """The message for a bgr8, mono8 or (png) 16 bit image."""
        if not isinstance(cvim, (np.ndarray, np.generic)):
            raise TypeError("Your input type is not a numpy array")
        message = CompressedImage(format=dst_format)
        message.data.frombytes(cv2.imencode("." + dst_format, cvim)[1].tobytes())
        return message


def _pixel_type(encoding: str) -> tuple[np.dtype[Any], int]:
    try:
        return pixel_type(encoding)
    except ValueError as error:
        raise CvBridgeError(error) from error


def _convert(image: NDArray[Any], source: str, target: str) -> NDArray[Any]:
    try:
        return convert(image, source, target)
    except (ValueError, cv2.error) as error:
        raise CvBridgeError(error) from error
