# SPDX-License-Identifier: Apache-2.0
"""CameraInfo after REP-104, with plain objects in place of the messages."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dsac_core.errors import CameraError
from dsac_ros.camera_info import CameraCache, camera_from_info

K = (600.0, 0.0, 330.0, 0.0, 610.0, 250.0, 0.0, 0.0, 1.0)
P = (580.0, 0.0, 325.0, 0.0, 0.0, 585.0, 245.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass
class Roi:
    x_offset: int = 0
    y_offset: int = 0
    height: int = 0
    width: int = 0
    do_rectify: bool = False


@dataclass
class Info:
    width: int = 640
    height: int = 480
    distortion_model: str = "plumb_bob"
    d: Any = (0.1, -0.2, 0.001, 0.002, 0.05)
    k: Any = K
    p: Any = P
    binning_x: int = 0
    binning_y: int = 0
    roi: Roi = field(default_factory=Roi)


@pytest.mark.parametrize(
    "k", [K, list(K), array("d", K), np.array(K), np.array(K).reshape(3, 3), np.float32(K)]
)
def test_k_of_any_shape(k: Any) -> None:
    camera = camera_from_info(Info(k=k), 640, 480, rectified=False)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == pytest.approx((600, 610, 330, 250))
    assert camera.distortion == (0.1, -0.2, 0.001, 0.002, 0.05)


@pytest.mark.parametrize(
    ("model", "count", "expected"),
    [
        ("plumb_bob", 4, "plumb_bob"),
        ("plumb_bob", 5, "plumb_bob"),
        ("rational_polynomial", 8, "rational_polynomial"),
        ("rational_polynomial", 14, "rational_polynomial"),
        ("equidistant", 4, "equidistant"),
        ("fisheye", 4, "equidistant"),
    ],
)
def test_models(model: str, count: int, expected: str) -> None:
    d = np.linspace(0.01, 0.02, count)
    camera = camera_from_info(Info(distortion_model=model, d=d), 640, 480, rectified=False)
    assert camera.distortion_model == expected
    assert camera.distortion == pytest.approx(tuple(d))


@pytest.mark.parametrize(("model", "d"), [("", ()), ("plumb_bob", ()), ("plumb_bob", (0.0,) * 5)])
def test_nothing_bends(model: str, d: tuple[float, ...]) -> None:
    camera = camera_from_info(Info(distortion_model=model, d=d), 640, 480, rectified=False)
    assert camera.distortion_model == "none"


def test_a_fisheye_without_coefficients_stays_a_fisheye() -> None:
    info = Info(distortion_model="equidistant", d=())
    camera = camera_from_info(info, 640, 480, rectified=False)
    assert (camera.distortion_model, camera.distortion) == ("equidistant", (0.0,) * 4)


def test_rectified_images_use_p() -> None:
    camera = camera_from_info(Info(), 640, 480, rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (580.0, 585.0, 325.0, 245.0)
    assert camera.distortion_model == "none"


def test_binning_averages_pixels() -> None:
    """A point that projects to full-resolution pixel u lies in bin (u + 0.5) / 2 - 0.5."""
    camera = camera_from_info(Info(binning_x=2, binning_y=4), 320, 120, rectified=False)
    point = np.array([0.2, -0.1, 1.5])
    full = np.array([600 * point[0] / 1.5 + 330, 610 * point[1] / 1.5 + 250])
    binned = (full + 0.5) / [2, 4] - 0.5
    projected = camera.matrix @ point / point[2]
    np.testing.assert_allclose(projected[:2], binned)


def test_region_of_interest_moves_the_principal_point_before_binning() -> None:
    roi = Roi(x_offset=100, y_offset=40, width=400, height=200)
    camera = camera_from_info(Info(roi=roi), 400, 200, rectified=False)
    assert (camera.cx, camera.cy, camera.fx) == (230.0, 210.0, 600.0)
    both = camera_from_info(Info(roi=roi, binning_x=2, binning_y=2), 200, 100, rectified=False)
    assert (both.cx, both.cy, both.fx) == (114.75, 104.75, 300.0)


@pytest.mark.parametrize("k", [(0.0,) * 9, (), (float("nan"),) * 9])
def test_an_uncalibrated_camera_is_refused(k: tuple[float, ...]) -> None:
    with pytest.raises(CameraError, match=r"uncalibrated.*calibrate"):
        camera_from_info(Info(k=k), 640, 480, rectified=False)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CameraError, match=r"'warp'.*plumb_bob"):
        camera_from_info(Info(distortion_model="warp"), 640, 480, rectified=False)
    with pytest.raises(CameraError, match="no distortion_model"):
        camera_from_info(Info(distortion_model=""), 640, 480, rectified=False)


def test_the_calibration_of_another_image_size_is_refused() -> None:
    with pytest.raises(CameraError, match=r"640x480 .* 320x240"):
        camera_from_info(Info(), 320, 240, rectified=False)


def test_the_cache_follows_a_calibration_that_changes() -> None:
    cache = CameraCache()
    first = cache.get(Info(), 640, 480, rectified=False)
    assert cache.get(Info(), 640, 480, rectified=False) is first
    changed = cache.get(Info(d=(0.2, -0.2, 0.001, 0.002, 0.05)), 640, 480, rectified=False)
    assert changed.distortion[0] == 0.2
    with pytest.raises(CameraError):
        cache.get(Info(k=(0.0,) * 9), 640, 480, rectified=False)
    assert cache.get(Info(), 640, 480, rectified=False) == first
