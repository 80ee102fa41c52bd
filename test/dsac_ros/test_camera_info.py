# SPDX-License-Identifier: Apache-2.0
"""The cache of cameras; what a CameraInfo means is tested in dsac_core."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dsac_core.errors import CameraError
from dsac_ros.camera_info import CameraCache

K = (600.0, 0.0, 330.0, 0.0, 610.0, 250.0, 0.0, 0.0, 1.0)
P = (580.0, 0.0, 325.0, 0.0, 0.0, 585.0, 245.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def camera_info(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "width": 640,
        "height": 480,
        "distortion_model": "plumb_bob",
        "d": (0.1, -0.2, 0.001, 0.002, 0.05),
        "k": K,
        "p": P,
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }
    return SimpleNamespace(**{**fields, **changes})


def test_the_calibration_of_another_image_size_is_refused() -> None:
    cache = CameraCache()
    with pytest.raises(CameraError, match=r"640x480 .* 320x240"):
        cache.get(camera_info(), 320, 240, rectified=False)
    binned = cache.get(camera_info(binning_x=2, binning_y=2), 320, 240, rectified=False)
    assert binned.fx == 300.0


def test_rectified_and_raw_are_two_cameras() -> None:
    cache = CameraCache()
    assert cache.get(camera_info(), 640, 480, rectified=False).fx == 600.0
    assert cache.get(camera_info(), 640, 480, rectified=True).fx == 580.0


def test_the_cache_follows_a_calibration_that_changes() -> None:
    cache = CameraCache()
    first = cache.get(camera_info(), 640, 480, rectified=False)
    assert cache.get(camera_info(), 640, 480, rectified=False) is first
    changed = cache.get(camera_info(d=(0.2, -0.2, 0.0, 0.0, 0.05)), 640, 480, rectified=False)
    assert changed.distortion[0] == 0.2
    with pytest.raises(CameraError):
        cache.get(camera_info(k=(0.0,) * 9), 640, 480, rectified=False)
    assert cache.get(camera_info(), 640, 480, rectified=False) == first
