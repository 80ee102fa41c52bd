# SPDX-License-Identifier: Apache-2.0
"""Pixels of the image messages of a bag, without ROS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rosbags.image import ImageError, message_to_cvimage

from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What damaged data and unknown encodings raise, assertions of the decoder included.
_DECODING_ERRORS = (ImageError, ValueError, TypeError, AssertionError, cv2.error)
_DEPTH_ENCODINGS = ("16uc1", "mono16", "32fc1")


def is_depth_encoding(message: Any) -> bool:
    """Whether an Image or CompressedImage holds depth (REP-118) rather than colour or gray."""
    described = getattr(message, "encoding", None) or message.format
    return str(described).lower().startswith(_DEPTH_ENCODINGS)


def decode_colour(message: Any, where: str) -> NDArray[np.uint8]:
    """RGB pixels [H x W x 3] of an Image or CompressedImage.

    Raises:
        DatasetError: The encoding is unknown, or the data are damaged; ``where`` names the topic.
    """
    try:
        return np.asarray(message_to_cvimage(message, "rgb8"), dtype=np.uint8)
    except _DECODING_ERRORS as error:
        msg = f"{where}: an image cannot be decoded ({_first_line(error)})"
        raise DatasetError(msg) from error


def decode_depth(message: Any, where: str) -> NDArray[np.float32]:
    """Depth [H x W] in metres, 0 where there is none: 16UC1 in millimetres, 32FC1 in metres.

    0, NaN and infinities are no reading (REP-117, REP-118).

    Raises:
        DatasetError: The message does not hold depth of a known form.
    """
    try:
        raw = np.asarray(message_to_cvimage(message))
    except _DECODING_ERRORS as error:
        msg = f"{where}: a depth image cannot be decoded ({_first_line(error)})"
        raise DatasetError(msg) from error
    if raw.dtype == np.uint16:
        return np.asarray(raw * np.float32(0.001), dtype=np.float32)
    if raw.dtype == np.float32:
        usable = np.isfinite(raw) & (raw > 0)
        return np.asarray(np.where(usable, raw, np.float32(0.0)), dtype=np.float32)
    msg = f"{where}: depth must be 16UC1 (mm) or 32FC1 (m), got {raw.dtype}"
    raise DatasetError(msg)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["damaged data"])[0]
