# SPDX-License-Identifier: Apache-2.0
"""Pixels of messages: every encoding that cameras send, and how depth is sent."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import pytest
from image_files import error_of

from dsac_core.data.bag_image import decode_colour, decode_depth, is_depth_encoding, stored_image

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GRAY = RGB[..., 1]
ALPHA = np.full((6, 8), 255, np.uint8)


@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[..., ::-1], RGB),
        ("rgba8", np.dstack([RGB, ALPHA]), RGB),
        ("bgra8", np.dstack([RGB[..., ::-1], ALPHA]), RGB),
        ("mono8", GRAY, np.dstack([GRAY] * 3)),
        ("8UC1", GRAY, np.dstack([GRAY] * 3)),
        ("8UC3", RGB[..., ::-1], RGB),
        ("8UC4", np.dstack([RGB[..., ::-1], ALPHA]), RGB),
        ("mono16", GRAY.astype(np.uint16) * 257, np.dstack([GRAY] * 3)),
    ],
)
def test_colours(encoding: str, pixels: np.ndarray, expected: np.ndarray, ros: Any) -> None:
    message = ros.image(0.0, np.ascontiguousarray(pixels), encoding)
    np.testing.assert_array_equal(decode_colour(message, "here"), expected)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_patterns(pattern: str, bits: int, ros: Any) -> None:
    """Of an image of one colour each pixel has the value of its filter."""
    colour = {"r": 200, "g": 120, "b": 40}
    tile = np.array([colour[letter] for letter in pattern]).reshape(2, 2)
    mosaic = np.tile(tile, (4, 4)).astype(np.uint8)
    if bits == 16:
        mosaic = mosaic.astype(np.uint16) * 257
    image = decode_colour(ros.image(0.0, mosaic, f"bayer_{pattern}{bits}"), "here")
    assert np.abs(image[2:-2, 2:-2].astype(int) - [200, 120, 40]).max() <= 1


@pytest.mark.parametrize(("encoding", "pixels"), [("rgb8", RGB), ("mono8", GRAY)])
def test_rows_with_padding(encoding: str, pixels: np.ndarray, ros: Any) -> None:
    message = ros.image(0.0, pixels, encoding)
    rows = np.pad(message.data.reshape(6, -1), ((0, 0), (0, 5)), constant_values=77)
    message.step, message.data = rows.shape[1], rows.ravel()
    expected = pixels if encoding == "rgb8" else np.dstack([pixels] * 3)
    np.testing.assert_array_equal(decode_colour(message, "here"), expected)


def test_depth_with_padding_and_of_another_byte_order(ros: Any) -> None:
    depth = np.arange(48, dtype=np.uint16).reshape(6, 8) * 100
    message = ros.image(0.0, depth.byteswap(), "16UC1")
    message.is_bigendian = 1
    rows = np.pad(message.data.reshape(6, -1), ((0, 0), (0, 4)))
    message.step, message.data = rows.shape[1], rows.ravel()
    np.testing.assert_allclose(decode_depth(message, "here"), depth / 1000, atol=1e-6)


def compressed(ros: Any, ending: str, pixels: np.ndarray, words: str, header: bytes = b"") -> Any:
    _, data = cv2.imencode(ending, pixels)
    content = np.frombuffer(header + data.tobytes(), np.uint8)
    return ros.CompressedImage(ros.header(0.0, "camera"), words, content)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_gray_that_was_compressed(ending: str, ros: Any) -> None:
    smooth = np.tile(np.arange(0, 240, 15, dtype=np.uint8), (16, 1))
    message = compressed(ros, ending, smooth, "mono8; compressed")
    image = decode_colour(message, "here")
    assert image.shape == (16, 16, 3)
    assert np.abs(image.astype(int) - smooth[..., None]).max() <= (0 if ending == ".png" else 4)


def test_pixels_are_as_the_camera_sent_them(ros: Any) -> None:
    """A JPEG may ask to be shown turned; the calibration is of what is stored."""
    message = compressed(ros, ".jpg", RGB, "bgr8; jpeg compressed bgr8")
    content = message.data.tobytes()
    tiff = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    turned = b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff
    message.data = np.frombuffer(content[:2] + turned + content[2:], np.uint8)
    shown = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
    assert shown.shape == (8, 6, 3)
    assert decode_colour(message, "here").shape == (6, 8, 3)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_what_can_stand_alone_as_a_file(ending: str, ros: Any) -> None:
    message = compressed(ros, ending, RGB, "bgr8; compressed")
    stored = stored_image(message)
    assert stored is not None
    assert (stored.ending, stored.content) == (ending, message.data.tobytes())


def test_what_cannot_stand_alone(ros: Any) -> None:
    assert stored_image(ros.image(0.0, RGB)) is None
    assert stored_image(compressed(ros, ".bmp", RGB, "bgr8; bmp")) is None


@pytest.mark.parametrize("words", ["16UC1; png compressed ", "16UC1; compressedDepth png"])
def test_depth_in_millimetres_that_was_compressed(words: str, ros: Any) -> None:
    depth = np.arange(48, dtype=np.uint16).reshape(6, 8) * 300
    header = struct.pack("<iff", 0, 0.0, 0.0) if "Depth" in words else b""
    message = compressed(ros, ".png", depth, words, header)
    assert is_depth_encoding(message)
    np.testing.assert_allclose(decode_depth(message, "here"), depth / 1000, atol=1e-6)


def test_inverse_depth(ros: Any) -> None:
    """As compressed_depth_image_transport quantizes metres: value = a / depth + b."""
    depth = np.linspace(0.5, 9.0, 48, dtype=np.float32).reshape(6, 8)
    a, b = 100.0 * 101.0, 1.0 - 101.0 / 10.0  # depth_quantization 100, depth_max 10
    values = np.rint(a / depth + b).astype(np.uint16)
    values[0, 0] = 0
    header = struct.pack("<iff", 0, a, b)
    message = compressed(ros, ".png", values, "32FC1; compressedDepth png", header)
    decoded = decode_depth(message, "here")
    assert decoded[0, 0] == 0.0
    np.testing.assert_allclose(decoded.ravel()[1:], depth.ravel()[1:], rtol=1e-2)


@pytest.mark.parametrize(
    "words", ["16UC1; compressedDepth rvl", "32FC1; compressedDepth png", "16UC1; png"]
)
def test_depth_that_cannot_be_read(words: str, ros: Any) -> None:
    data = np.arange(20, dtype=np.uint8)
    message = ros.CompressedImage(ros.header(0.0, "camera"), words, data)
    message_of = error_of(lambda: decode_depth(message, "bag walk, /depth"))
    assert message_of.startswith("bag walk, /depth: a depth image cannot be decoded (")
    assert ("PNG" in message_of) == ("rvl" in words)
