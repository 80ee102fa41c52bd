# SPDX-License-Identifier: Apache-2.0
"""What ``transforms.json`` has no keys for, or not exactly: stamps, and cameras of ROS.

Other readers pass over keys that they do not know. For them a camera is written in nerfstudio's
keys too, as far as it has words for the lens: of a rational polynomial it has none.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dsac_core.geometry.camera import NO_DISTORTION, Camera

if TYPE_CHECKING:
    from collections.abc import Mapping

STAMP = "stamp"  # seconds
CAMERA = "ros_camera"  # the fields of Camera
_MODELS = {
    NO_DISTORTION: ("PINHOLE", ()),
    "plumb_bob": ("OPENCV", ("k1", "k2", "p1", "p2", "k3")),
    "equidistant": ("OPENCV_FISHEYE", ("k1", "k2", "k3", "k4")),
}


def camera_keys(camera: Camera) -> dict[str, Any]:
    """A camera in nerfstudio's keys, and as it is."""
    model, names = _MODELS.get(camera.distortion_model, (camera.distortion_model, ()))
    return {
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx + 0.5,  # from the image's corner
        "cy": camera.cy + 0.5,
        "camera_model": model,
        **dict(zip(names, camera.distortion, strict=False)),
        CAMERA: asdict(camera),
    }


def own_camera(keys: Mapping[str, Any]) -> Camera | None:
    """The camera that `camera_keys` wrote, if it did.

    Raises:
        CameraError, TypeError: The values are no calibration.
    """
    fields = keys.get(CAMERA)
    if fields is None:
        return None
    return Camera(**{**fields, "distortion": tuple(fields["distortion"])})
