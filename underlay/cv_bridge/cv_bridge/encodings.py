# SPDX-License-Identifier: Apache-2.0
"""The encodings of sensor_msgs, and how to get from one to another."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_DTYPES = {
    "8U": np.uint8,
    "8S": np.int8,
    "16U": np.uint16,
    "16S": np.int16,
    "32S": np.int32,
    "32F": np.float32,
    "64F": np.float64,
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}

# Encodings with a meaning: (family, channels); the number at the end is the depth in bits.
_COLOURS = {
    "mono8": ("GRAY", 1),
    "mono16": ("GRAY", 1),
    "rgb8": ("RGB", 3),
    "rgb16": ("RGB", 3),
    "bgr8": ("BGR", 3),
    "bgr16": ("BGR", 3),
    "rgba8": ("RGBA", 4),
    "rgba16": ("RGBA", 4),
    "bgra8": ("BGRA", 4),
    "bgra16": ("BGRA", 4),
    # OpenCV names a Bayer pattern by its second row, ROS by its first.
    "bayer_rggb8": ("BayerBG", 1),
    "bayer_rggb16": ("BayerBG", 1),
    "bayer_bggr8": ("BayerRG", 1),
    "bayer_bggr16": ("BayerRG", 1),
    "bayer_gbrg8": ("BayerGR", 1),
    "bayer_gbrg16": ("BayerGR", 1),
    "bayer_grbg8": ("BayerGB", 1),
    "bayer_grbg16": ("BayerGB", 1),
}


def pixel_type(encoding: str) -> tuple[np.dtype[Any], int]:
    """The dtype and the number of channels; ValueError for an unknown encoding."""
    if encoding in _COLOURS:
        depth = np.uint16 if encoding.endswith("16") else np.uint8
        return np.dtype(depth), _COLOURS[encoding][1]
    generic = re.fullmatch(r"(8U|8S|16U|16S|32S|32F|64F)(?:C([0-9]+))?", encoding)
    if generic is None:
        raise ValueError(f"Unrecognized image encoding [{encoding}]")
    return np.dtype(_DTYPES[generic[1]]), int(generic[2] or 1)


def type_name(dtype: np.dtype[Any], channels: int) -> str:
    """OpenCV's name of a pixel type, such as 8UC3."""
    return f"{_NAMES[dtype.newbyteorder('=')]}C{channels}"


def convert(image: NDArray[Any], source: str, target: str) -> NDArray[Any]:
    """Another order of channels, number of channels or depth; ValueError where it has no sense."""
    if target == source:
        return image.copy()
    dtype, channels = pixel_type(target)
    if source not in _COLOURS or target not in _COLOURS:
        if target in _COLOURS:
            raise ValueError(
                f"[{source}] is not a color format. but [{target}] is. "
                "The conversion does not make sense"
            )
        if pixel_type(source)[1] != channels:
            raise ValueError(f"[{source}] and [{target}] do not have the same number of channel")
        return _to_depth(image, dtype)
    family, wanted = _COLOURS[source][0], _COLOURS[target][0]
    if family != wanted:
        code = getattr(cv2, f"COLOR_{family}2{wanted}", None)
        if code is None:
            raise ValueError(f"Unsupported conversion from [{source}] to [{target}]")
        image = cv2.cvtColor(image, code)
    return _to_depth(image, dtype)


def _to_depth(image: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """8 and 16 bit are scaled into each other; everything else is rounded and clipped."""
    if image.dtype == dtype:
        return image
    values = image.astype(np.float64)
    if (image.dtype, dtype) == (np.uint8, np.uint16):
        values *= 65535.0 / 255.0
    elif (image.dtype, dtype) == (np.uint16, np.uint8):
        values *= 255.0 / 65535.0
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)
