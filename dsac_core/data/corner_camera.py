# SPDX-License-Identifier: Apache-2.0
"""Cameras of layouts in which (0, 0) is the image's corner, half a pixel from the first centre."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsac_core.geometry.camera import NO_DISTORTION, Camera

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLUMB_BOB = ("k1", "k2", "p1", "p2", "k3")
_RATIONAL = (*_PLUMB_BOB, "k4", "k5", "k6")
_EQUIDISTANT = ("k1", "k2", "k3", "k4")


def camera_of_corner(
    width: int, height: int, values: Mapping[str, float], *, fisheye: bool
) -> Camera:
    """The camera of intrinsics that count from the corner.

    Args:
        width: Pixels.
        height: Pixels.
        values: fx, fy, cx, cy, and those of k1 to k6, p1, p2 that are not zero.
        fisheye: k1 to k4 are those of an equidistant lens, else of a polynomial of OpenCV.

    Raises:
        CameraError: The values are no calibration.
        KeyError: One is missing.
    """
    model = NO_DISTORTION
    names: tuple[str, ...] = ()
    if fisheye:
        model, names = "equidistant", _EQUIDISTANT
    elif any(values.get(name) for name in _RATIONAL[len(_PLUMB_BOB) :]):
        model, names = "rational_polynomial", _RATIONAL
    elif any(values.get(name) for name in _PLUMB_BOB):
        model, names = "plumb_bob", _PLUMB_BOB
    return Camera(
        width=width,
        height=height,
        fx=values["fx"],
        fy=values["fy"],
        cx=values["cx"] - 0.5,
        cy=values["cy"] - 0.5,
        distortion_model=model,
        distortion=tuple(values.get(name, 0.0) for name in names),
    )


def centred_camera(width: int, height: int, focal: float) -> Camera:
    """The camera whose principal point is the middle of the image."""
    values = {"fx": focal, "fy": focal, "cx": width / 2, "cy": height / 2}
    return camera_of_corner(width, height, values, fisheye=False)
