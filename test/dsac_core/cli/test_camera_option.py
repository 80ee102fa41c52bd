# SPDX-License-Identifier: Apache-2.0
"""``--camera``."""

from __future__ import annotations

from pathlib import Path

import pytest
from image_files import error_of

from dsac_core.cli.camera_option import CameraOption, camera_option
from dsac_core.geometry.camera import Camera

OF_MAP = Camera(640, 480, 525.0, 520.0, 319.5, 239.5, "plumb_bob", (0.1, -0.2, 0.0, 0.0))
YAML = """\
image_width: 640
image_height: 480
camera_matrix: {rows: 3, cols: 3, data: [500, 0, 310, 0, 501, 245, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0.001, 0.002, 0.0]}
"""


def option(text: str | None, *, resized: bool = False) -> CameraOption:
    return camera_option(text, OF_MAP, resized=resized)


def test_one_number_is_a_focal_length() -> None:
    assert option("525").of(64, 48) == Camera(64, 48, 525.0, 525.0, 31.5, 23.5)


def test_four_numbers_are_a_pinhole_of_any_size() -> None:
    camera = option("525,526,320,240")
    assert camera.of(640, 480) == Camera(640, 480, 525.0, 526.0, 320.0, 240.0)
    assert camera.of(641, 480).width == 641


@pytest.mark.parametrize("distortion", [(0.1, -0.2, 0.01, 0.02), (0.1, -0.2, 0.01, 0.02, 0.3)])
def test_more_are_a_lens(distortion: tuple[float, ...]) -> None:
    text = ",".join(map(str, (525, 526, 320, 240, *distortion)))
    expected = Camera(640, 480, 525.0, 526.0, 320.0, 240.0, "plumb_bob", distortion)
    assert option(text).of(640, 480) == expected


def test_a_lens_of_zeros_is_a_pinhole() -> None:
    assert not option("525,526,320,240,0,0,0,0").of(640, 480).is_distorted


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4,5", "", "525,", ",".join("1" * 10)])
def test_other_counts_are_refused(text: str) -> None:
    message = error_of(lambda: option(text))
    assert "cannot be read" in message or "expected a focal length" in message


@pytest.mark.parametrize("text", ["-5", "0", "nan", "525,inf,320,240"])
def test_numbers_that_are_no_calibration_are_refused_at_once(text: str) -> None:
    assert "not calibrated" in error_of(lambda: option(text))


def test_a_file_of_ros(tmp_path: Path) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(YAML)
    camera = option(str(file)).of(640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500.0, 501.0, 310.0, 245.0)
    assert camera.distortion == (0.1, -0.2, 0.001, 0.002, 0.0)
    message = error_of(lambda: option(str(file)).of(320, 240))
    assert f"the image is 320x240, {file} is for 640x480" in message
    assert "cannot be read" in error_of(lambda: option(str(tmp_path / "none.yaml")))


def test_the_camera_of_the_map() -> None:
    assert option(None).of(640, 480) == OF_MAP


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 960), (213, 160)])
def test_resized_images_only_where_that_is_said(width: int, height: int) -> None:
    message = error_of(lambda: option(None).of(width, height))
    assert f"the image is {width}x{height}, the camera of the map is for 640x480" in message
    assert "--resized" in message
    assert option(None, resized=True).of(width, height) == OF_MAP.scaled(width, height)


def test_another_aspect_ratio_is_no_resizing() -> None:
    for resized in (False, True):
        message = error_of(lambda resized=resized: option(None, resized=resized).of(640, 360))
        assert "of another aspect ratio" in message
        assert "--resized" not in message


def test_numbers_know_no_size_to_resize_from() -> None:
    assert "name a YAML file" in error_of(lambda: option("525", resized=True))
