# SPDX-License-Identifier: Apache-2.0
"""Pixels of the image messages of a bag, without ROS."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rosbags.image import ImageError, message_to_cvimage
from rosbags.image.image import to_cvtype

from dsac_core.data.stored_frame import StoredImage
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What damaged data and unknown encodings raise, assertions of the decoder included.
_DECODING_ERRORS = (ImageError, ValueError, TypeError, AssertionError, cv2.error, struct.error)
_DEPTH_ENCODINGS = ("16uc1", "mono16", "32fc1")
# OpenCV's names say no colours: as cv_bridge has it, they are OpenCV's own order.
_COLOURS = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}
_MAGIC = {b"\xff\xd8": ".jpg", b"\x89PNG\r\n\x1a\n": ".png"}
_COMPRESSED_DEPTH = "compressedDepth"
_COMPRESSED_DEPTH_HEADER = "<iff"


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
        if hasattr(message, "format"):
            flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            bgr = cv2.imdecode(np.frombuffer(message.data, np.uint8), flags)
            if bgr is None:
                raise ValueError
            return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        packed = _without_padding(message)
        packed = replace(packed, encoding=_COLOURS.get(packed.encoding, packed.encoding))
        return np.asarray(message_to_cvimage(packed, "rgb8"), dtype=np.uint8)
    except _DECODING_ERRORS as error:
        msg = f"{where}: an image cannot be decoded ({_first_line(error)})"
        raise DatasetError(msg) from error


def stored_image(message: Any) -> StoredImage | None:
    """The JPEG or PNG file in a CompressedImage; None of other images."""
    if not hasattr(message, "format"):
        return None
    content = bytes(message.data)
    endings = (ending for magic, ending in _MAGIC.items() if content.startswith(magic))
    ending = next(endings, None)
    return None if ending is None else StoredImage(ending, content)


def decode_depth(message: Any, where: str) -> NDArray[np.float32]:
    """Depth [H x W] in metres, 0 where there is none: 16UC1 in millimetres, 32FC1 in metres.

    0, NaN and infinities are no reading (REP-117, REP-118). Compressed is a PNG, or what
    compressed_depth_image_transport makes of it.

    Raises:
        DatasetError: The message does not hold depth of a known form.
    """
    try:
        raw = (
            _compressed_depth(message)
            if hasattr(message, "format")
            else np.asarray(message_to_cvimage(_without_padding(message)))
        )
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


def _compressed_depth(message: Any) -> NDArray[Any]:
    """16 bit, or 32 bit floats.

    Of compressed_depth_image_transport, which puts 12 bytes before the PNG: a float is there as
    ``depth = a / (value - b)``, with a and b in these bytes and 0 for none.
    """
    data = bytes(message.data)
    with_header = _COMPRESSED_DEPTH in message.format
    size = struct.calcsize(_COMPRESSED_DEPTH_HEADER)
    content = np.frombuffer(data[size:] if with_header else data, np.uint8)
    if "rvl" in message.format.lower():
        msg = "RVL is not read, PNG is"
        raise ValueError(msg)
    values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2:
        raise ValueError
    if not (with_header and message.format.lower().startswith("32fc1")):
        return values
    _, a, b = struct.unpack_from(_COMPRESSED_DEPTH_HEADER, data)
    divisor = values - np.float32(b)
    there = (values > 0) & (divisor > 0)
    return np.where(there, a / np.where(there, divisor, 1), 0).astype(np.float32)


def _without_padding(message: Any) -> Any:
    """The Image with rows that follow one another: drivers may align them, as ``step`` says."""
    bits, _, _, channels = to_cvtype(message.encoding)
    row = message.width * channels * bits // 8
    if message.step <= row:
        return message
    rows = np.asarray(message.data)[: message.step * message.height].reshape(-1, message.step)
    return replace(message, step=row, data=np.ascontiguousarray(rows[:, :row]).reshape(-1))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["damaged data"])[0] or "damaged data"
