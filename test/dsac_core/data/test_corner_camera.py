# SPDX-License-Identifier: Apache-2.0
"""Cameras that count pixels from the corner."""

from __future__ import annotations

import pytest

from dsac_core.data.corner_camera import camera_of_corner, centred_camera
from dsac_core.errors import CameraError
from dsac_core.geometry.camera import Camera

PINHOLE = {"fx": 30.0, "fy": 31.0, "cx": 16.0, "cy": 12.5}


@pytest.mark.parametrize(
    ("more", "fisheye", "model", "coefficients"),
    [
        ({}, False, "none", ()),
        ({"k1": 0.0, "k6": 0.0}, False, "none", ()),
        ({"p2": 0.1}, False, "plumb_bob", (0, 0, 0, 0.1, 0)),
        ({"k1": 1, "k2": 2, "p1": 3, "p2": 4, "k3": 5}, False, "plumb_bob", (1, 2, 3, 4, 5)),
        ({"k1": 1, "k5": 7, "k6": 8}, False, "rational_polynomial", (1, 0, 0, 0, 0, 0, 7, 8)),
        ({}, True, "equidistant", (0, 0, 0, 0)),
        ({"k1": 1, "k2": 2, "k3": 3, "k4": 4}, True, "equidistant", (1, 2, 3, 4)),
    ],
)
def test_the_lens_has_the_words_of_ros(
    more: dict[str, float], fisheye: bool, model: str, coefficients: tuple[float, ...]
) -> None:
    camera = camera_of_corner(32, 24, {**PINHOLE, **more}, fisheye=fisheye)
    assert camera == Camera(32, 24, 30.0, 31.0, 15.5, 12.0, model, coefficients)


def test_the_middle_of_an_image_lies_between_its_outer_pixel_centres() -> None:
    camera = centred_camera(32, 25, 40.0)
    assert camera == Camera(32, 25, 40.0, 40.0, (0 + 31) / 2, (0 + 24) / 2)


def test_what_is_no_calibration_is_refused() -> None:
    with pytest.raises(CameraError):
        centred_camera(32, 24, 0.0)
