# SPDX-License-Identifier: Apache-2.0
"""CameraInfo (REP-104) to Camera."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from dsac_core.errors import CameraError
from dsac_core.geometry.camera_info import camera_from_info


@dataclass
class Roi:
    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0
    do_rectify: bool = False


@dataclass
class Info:
    width: int = 640
    height: int = 480
    distortion_model: str = "plumb_bob"
    d: list[float] = field(default_factory=lambda: [0.1, -0.2, 1e-3, 2e-3, 0.05])
    k: list[float] = field(default_factory=lambda: [525.0, 0, 318.0, 0, 510.0, 243.0, 0, 0, 1.0])
    p: list[float] = field(
        default_factory=lambda: [500.0, 0, 320.0, 0, 0, 501.0, 240.0, 0, 0, 0, 1.0, 0]
    )
    binning_x: int = 0
    binning_y: int = 0
    roi: Roi = field(default_factory=Roi)


def test_a_raw_image_has_k_and_d() -> None:
    camera = camera_from_info(Info())
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (525.0, 510.0, 318.0, 243.0)
    assert (camera.distortion_model, camera.distortion[1]) == ("plumb_bob", -0.2)


def test_a_rectified_image_has_p_and_no_distortion() -> None:
    camera = camera_from_info(Info(), rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500.0, 501.0, 320.0, 240.0)
    assert not camera.is_distorted


def test_binning_is_that_of_an_image_averaged_in_blocks() -> None:
    camera = camera_from_info(Info(binning_x=2, binning_y=4))
    assert (camera.width, camera.height) == (320, 120)
    y, x = np.mgrid[0:480, 0:640]
    blob = np.exp(-((x - 318.0) ** 2 + (y - 243.0) ** 2) / 800.0).astype(np.float32)
    binned = blob.reshape(120, 4, 320, 2).mean(axis=(1, 3))
    y, x = np.mgrid[0:120, 0:320]
    assert (binned * x).sum() / binned.sum() == pytest.approx(camera.cx, abs=1e-3)
    assert (binned * y).sum() / binned.sum() == pytest.approx(camera.cy, abs=1e-3)
    assert (camera.fx, camera.fy) == (262.5, 127.5)


def test_a_region_of_interest_moves_the_principal_point() -> None:
    camera = camera_from_info(Info(roi=Roi(100, 50, 320, 200)))
    assert (camera.width, camera.height) == (320, 200)
    assert (camera.fx, camera.cx, camera.cy) == (525.0, 218.0, 193.0)


def test_a_region_is_in_pixels_before_binning() -> None:
    camera = camera_from_info(Info(roi=Roi(100, 50, 320, 200), binning_x=2, binning_y=2))
    assert (camera.width, camera.height) == (160, 100)
    assert camera.cx == pytest.approx((318.0 - 100 + 0.5) / 2 - 0.5)


def test_a_crop_shows_what_the_full_image_shows() -> None:
    """A point through the distorted full image and through the crop: the offset apart."""
    point = np.array([[0.2, -0.1, 1.0]])
    pixels = []
    for info in (Info(), Info(roi=Roi(100, 50, 320, 200))):
        camera = camera_from_info(info)
        seen, _ = cv2.projectPoints(
            point, np.zeros(3), np.zeros(3), camera.matrix, np.array(camera.distortion)
        )
        pixels.append(seen[0, 0])
    np.testing.assert_allclose(pixels[0] - pixels[1], [100, 50])


@pytest.mark.parametrize("rectified", [False, True])
def test_an_uncalibrated_camera_is_refused(rectified: bool) -> None:
    info = Info(k=[0.0] * 9, p=[0.0] * 12, d=[])
    with pytest.raises(CameraError, match=r"not calibrated: .* no [KP]; run camera_calibration"):
        camera_from_info(info, rectified=rectified)


@pytest.mark.parametrize("value", [float("nan"), -525.0])
def test_a_broken_focal_length_is_refused(value: float) -> None:
    with pytest.raises(CameraError, match="not calibrated"):
        camera_from_info(Info(k=[value, 0, 318.0, 0, value, 243.0, 0, 0, 1.0]))


def test_a_size_of_zero_is_refused() -> None:
    with pytest.raises(CameraError, match="size must be positive"):
        camera_from_info(Info(width=0, height=0))


@pytest.mark.parametrize(("model", "d"), [("", []), ("", [0.0] * 5), ("plumb_bob", [0.0] * 8)])
def test_an_empty_model_is_no_distortion(model: str, d: list[float]) -> None:
    camera = camera_from_info(Info(distortion_model=model, d=d))
    assert (camera.distortion_model, camera.distortion) == ("none", ())


def test_coefficients_of_an_unknown_model_are_refused() -> None:
    with pytest.raises(CameraError, match="no distortion_model"):
        camera_from_info(Info(distortion_model=""))
    with pytest.raises(CameraError, match=r"'warp'.*plumb_bob"):
        camera_from_info(Info(distortion_model="warp"))


def test_a_fisheye_without_coefficients_stays_a_fisheye() -> None:
    camera = camera_from_info(Info(distortion_model="equidistant", d=[]))
    assert (camera.distortion_model, camera.distortion) == ("equidistant", (0.0,) * 4)


def test_an_empty_calibration_is_refused() -> None:
    with pytest.raises(CameraError, match="not calibrated"):
        camera_from_info(Info(k=[]))


@pytest.mark.parametrize("name", ["fisheye", "equidistant"])
def test_fisheye_is_another_name_of_equidistant(name: str) -> None:
    camera = camera_from_info(Info(distortion_model=name, d=[0.05, -0.01, 3e-3, -1e-3]))
    assert camera.distortion_model == "equidistant"


def test_numpy_fields_as_rosbags_delivers_them() -> None:
    info = Info()
    info.k, info.d, info.p = np.array(info.k).reshape(3, 3), np.array(info.d), np.array(info.p)
    camera = camera_from_info(info)
    assert camera == camera_from_info(Info())
    assert all(type(value) is float for value in camera.distortion)
