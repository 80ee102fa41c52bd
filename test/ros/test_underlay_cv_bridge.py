# SPDX-License-Identifier: Apache-2.0
"""What our node relies on in cv_bridge: true of the real one and of the stand-in alike."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

BRIDGE = CvBridge()
ENCODINGS = {
    "mono8": (np.uint8, 1),
    "8UC1": (np.uint8, 1),
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "rgba8": (np.uint8, 4),
    "bgra8": (np.uint8, 4),
    "mono16": (np.uint16, 1),
    "16UC1": (np.uint16, 1),
    "32FC1": (np.float32, 1),
    "bayer_rggb8": (np.uint8, 1),
}


def picture(dtype: Any, channels: int, height: int = 5, width: int = 7) -> NDArray[Any]:
    shape = (height, width) if channels == 1 else (height, width, channels)
    values = np.random.default_rng(3).integers(0, 60000, shape)
    return (values % (256 if dtype == np.uint8 else 60000)).astype(dtype)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_there_and_back(encoding: str) -> None:
    image = picture(*ENCODINGS[encoding])
    message = BRIDGE.cv2_to_imgmsg(image, encoding)
    assert (message.encoding, message.height, message.width) == (encoding, 5, 7)
    assert message.step == len(message.data) // 5
    back = BRIDGE.imgmsg_to_cv2(message)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


def test_passthrough_names_the_opencv_type() -> None:
    assert BRIDGE.cv2_to_imgmsg(picture(np.uint8, 3)).encoding == "8UC3"
    assert BRIDGE.cv2_to_imgmsg(picture(np.uint16, 1)).encoding == "16UC1"
    assert BRIDGE.cv2_to_imgmsg(picture(np.float32, 1)).encoding == "32FC1"


def test_header_is_taken() -> None:
    header = Header(frame_id="camera")
    assert BRIDGE.cv2_to_imgmsg(picture(np.uint8, 1), "mono8", header=header).header == header


@pytest.mark.parametrize("encoding", ["mono8", "rgba8", "16UC1"])
def test_padded_rows(encoding: str) -> None:
    dtype, channels = ENCODINGS[encoding]
    image = picture(dtype, channels)
    pixel = np.dtype(dtype).itemsize * channels
    rows = image.reshape(5, -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, 2 * pixel)), constant_values=99)
    message = Image(encoding=encoding, height=5, width=7, step=9 * pixel)
    message.data = padded.tobytes()
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), image)


def test_colours_change_places() -> None:
    rgb = picture(np.uint8, 3)
    message = BRIDGE.cv2_to_imgmsg(rgb, "rgb8")
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "bgr8"), rgb[..., ::-1])
    rgba = BRIDGE.imgmsg_to_cv2(message, desired_encoding="rgba8")
    np.testing.assert_array_equal(rgba[..., :3], rgb)
    assert (rgba[..., 3] == 255).all()


def test_grey_weighs_the_colours() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    grey = BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(red, "rgb8"), "mono8")
    assert grey.shape == (4, 4)
    assert grey[0, 0] == pytest.approx(0.299 * 200, abs=1)
    back = BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(grey, "mono8"), "rgb8")
    np.testing.assert_array_equal(back, np.repeat(grey[..., None], 3, axis=2))


def test_bayer_becomes_colour() -> None:
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[::2, ::2] = 240  # rggb: the red sites
    rgb = BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(mosaic, "bayer_rggb8"), "rgb8")
    assert rgb[3:5, 3:5, 0].min() > 100
    assert rgb[3:5, 3:5, 2].max() == 0


def test_grey_depth_is_scaled() -> None:
    grey = np.array([[0, 1, 255]], np.uint8)
    deep = BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(grey, "mono8"), "mono16")
    np.testing.assert_array_equal(deep, [[0, 257, 65535]])
    back = BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(deep, "mono16"), "mono8")
    np.testing.assert_array_equal(back, grey)


def test_depth_is_not_a_colour() -> None:
    message = BRIDGE.cv2_to_imgmsg(picture(np.uint16, 1), "16UC1")
    for encoding in ("mono8", "mono16", "rgb8"):
        with pytest.raises(CvBridgeError, match="not a color format"):
            BRIDGE.imgmsg_to_cv2(message, encoding)


def test_millimetres_keep_their_values_as_floats() -> None:
    depth = picture(np.uint16, 1)
    metric = BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(depth, "16UC1"), "32FC1")
    assert metric.dtype == np.float32
    np.testing.assert_array_equal(metric, depth)


def test_unknown_encoding() -> None:
    message = Image(encoding="h264", height=1, width=1, step=1)
    message.data = b"\0"
    with pytest.raises(CvBridgeError, match="h264"):
        BRIDGE.imgmsg_to_cv2(message)


def test_encoding_that_does_not_fit_the_image() -> None:
    with pytest.raises(CvBridgeError, match="incompatible type"):
        BRIDGE.cv2_to_imgmsg(picture(np.uint8, 3), "mono8")


def test_data_that_are_too_short() -> None:
    message = BRIDGE.cv2_to_imgmsg(picture(np.uint8, 3), "rgb8")
    message.data = bytes(message.data)[:-10]
    with pytest.raises(TypeError):
        BRIDGE.imgmsg_to_cv2(message)


def test_not_an_array() -> None:
    with pytest.raises(TypeError, match="numpy"):
        BRIDGE.cv2_to_imgmsg([[1, 2], [3, 4]], "mono8")


def test_png_in_colour() -> None:
    bgr = picture(np.uint8, 3)
    message = CompressedImage(format="bgr8; png compressed bgr8")
    message.data = cv2.imencode(".png", bgr)[1].tobytes()
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message), bgr)
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message, "rgb8"), bgr[..., ::-1])


def test_png_with_16_bit_depth() -> None:
    depth = picture(np.uint16, 1)
    message = CompressedImage(format="16UC1; png compressed ")
    message.data = cv2.imencode(".png", depth)[1].tobytes()
    back = BRIDGE.compressed_imgmsg_to_cv2(message)
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, depth)


def test_jpeg_there_and_back() -> None:
    smooth = np.tile(np.arange(0, 128, dtype=np.uint8)[:, None, None], (1, 96, 3))
    message = BRIDGE.cv2_to_compressed_imgmsg(smooth)
    assert message.format == "jpg"
    assert np.abs(BRIDGE.compressed_imgmsg_to_cv2(message).astype(int) - smooth).max() <= 3
