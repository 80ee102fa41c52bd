# SPDX-License-Identifier: Apache-2.0
"""Calibrations as ROS's camera_calibration writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from image_files import error_of

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.camera_yaml import camera_from_yaml

CALIBRATION = """image_width: 640
image_height: 480
camera_name: head_camera
camera_matrix:
  rows: 3
  cols: 3
  data: [438.78, 0, 305.59, 0, 437.35, 243.74, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.36, 0.1, 0.001, -0.002, 0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [393.65, 0, 322.8, 0, 0, 393.65, 241.09, 0, 0, 0, 1, 0]
"""


@pytest.mark.parametrize("start", ["", "%YAML:1.0\n---\n", "\ufeff"])
def test_the_unrectified_camera(tmp_path: Path, start: str) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(start + CALIBRATION)
    distortion = (-0.36, 0.1, 0.001, -0.002, 0.0)
    expected = Camera(640, 480, 438.78, 437.35, 305.59, 243.74, "plumb_bob", distortion)
    assert camera_from_yaml(file) == expected


def test_no_distortion(tmp_path: Path) -> None:
    file = tmp_path / "camera.yaml"
    start, end = CALIBRATION.index("distortion_model"), CALIBRATION.index("rectification")
    file.write_text(CALIBRATION[:start] + CALIBRATION[end:])
    assert camera_from_yaml(file).distortion_model == "none"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("image_width: 640\n", "", "image_width"),
        ("image_width: 640\n", "image_width: 0\n", "size must be positive"),
        ("image_width: 640\n", "image_width: .inf\n", "image_width"),
        ("  data: [438.78, 0,", "  data: [438.78,", "no K"),
        ("  data: [438.78, 0,", "  data: [a, 0,", "camera_matrix"),
        ("  data: [438.78, 0,", "  data: [0, 0,", "not calibrated"),
        ("plumb_bob", "thin_prism", "unknown distortion model 'thin_prism'"),
        ("-0.002, 0]", "-0.002, 0", ", line 1"),
        (CALIBRATION, "", "camera_calibration"),
        (CALIBRATION, "text", "camera_calibration"),
        (CALIBRATION, "[1, 2]", "camera_calibration"),
    ],
)
def test_a_bad_calibration_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in CALIBRATION
    file = tmp_path / "camera.yaml"
    file.write_text(CALIBRATION.replace(old, new))
    message = error_of(lambda: camera_from_yaml(file))
    assert str(file) in message
    assert said in message


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\x01"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "camera.yaml"
    if content is not None:
        file.write_bytes(content)
    assert "camera.yaml cannot be read" in error_of(lambda: camera_from_yaml(file))
