# SPDX-License-Identifier: Apache-2.0
"""Rectified images against OpenCV's."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from posed import pattern, pixel_grid

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.rectify import rectify

PINHOLE = Camera(200, 150, 160.0, 175.0, 92.0, 81.0)
LENSES = {
    "plumb_bob": ("plumb_bob", (-0.25, 0.08, 1e-3, -5e-4, 0.01)),
    "pincushion": ("plumb_bob", (0.15, -0.05, -2e-3, 1e-3)),
    "rational": ("rational_polynomial", (0.6, -2.4, 7e-4, -4e-4, 1.3, 0.5, -2.2, 1.2)),
    "fisheye": ("equidistant", (0.05, -0.01, 3e-3, -1e-3)),
    "plain fisheye": ("equidistant", (0.0, 0.0, 0.0, 0.0)),
}
SHAPE = (PINHOLE.height, PINHOLE.width)
PIXELS = pixel_grid(PINHOLE.width, PINHOLE.height)
PICTURE = np.rint(pattern(PIXELS)).astype(np.uint8).reshape(SHAPE)


def lens(name: str) -> Camera:
    model, coefficients = LENSES[name]
    return replace(PINHOLE, distortion_model=model, distortion=coefficients)


def where_opencv_looks(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The distorted pixel of each ideal one, by OpenCV's own maps (x, y)."""
    given = (camera.matrix, np.array(camera.distortion), np.eye(3), camera.matrix)
    size = (camera.width, camera.height)
    is_fisheye = camera.distortion_model == "equidistant"
    made = cv2.fisheye.initUndistortRectifyMap if is_fisheye else cv2.initUndistortRectifyMap
    map_x, map_y = made(*given, size, cv2.CV_32FC1)
    return map_x, map_y


def is_between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray((values > low) & (values < high))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LENSES)
def test_it_is_the_image_that_opencv_makes(name: str, channels: int) -> None:
    camera = lens(name)
    image = PICTURE if channels == 1 else np.dstack([PICTURE, 255 - PICTURE, PICTURE // 2])
    rectified, ideal, seen = rectify(image, camera)
    if camera.distortion_model == "equidistant":
        expected = cv2.fisheye.undistortImage(
            image, camera.matrix, np.array(camera.distortion), Knew=camera.matrix
        )
    else:
        expected = cv2.undistort(image, camera.matrix, np.array(camera.distortion))
    assert seen is not None
    interior = cv2.erode(seen.astype(np.uint8), np.ones((5, 5)), borderValue=0) > 0
    assert interior.mean() > 0.7
    difference = np.abs(rectified.astype(int) - expected.astype(int))[interior]
    assert difference.max() <= 2
    assert np.abs(rectified.astype(int) - image.astype(int))[interior].max() > 12
    assert rectified.shape == image.shape
    np.testing.assert_array_equal(ideal.matrix, camera.matrix)
    assert (ideal.width, ideal.height) == (camera.width, camera.height)
    assert not ideal.is_distorted
    assert ideal.distortion == ()


@pytest.mark.parametrize("name", LENSES)
def test_the_mask_is_where_the_lens_looked(name: str) -> None:
    camera = lens(name)
    image = np.full(SHAPE, 200, np.uint8)
    rectified, _, seen = rectify(image, camera)
    map_x, map_y = where_opencv_looks(camera)
    within = is_between(map_x, -0.49, 199.49) & is_between(map_y, -0.49, 149.49)
    without = ~(is_between(map_x, -0.51, 199.51) & is_between(map_y, -0.51, 149.51))
    assert seen is not None
    assert seen[within].all()
    assert not seen[without].any()
    assert not rectified[~seen].any()
    whole = is_between(map_x, 0, 199) & is_between(map_y, 0, 149)
    assert (rectified[whole] == 200).all()


def test_what_the_lens_saw_is_in_its_pixel() -> None:
    """Without OpenCV: the smooth pattern at the distorted position, by the formula."""
    camera = lens("plumb_bob")
    k1, k2, p1, p2, k3 = camera.distortion
    x, y = ((PIXELS - [camera.cx, camera.cy]) / [camera.fx, camera.fy]).T
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = camera.fx * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + camera.cx
    v = camera.fy * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + camera.cy
    rectified, _, seen = rectify(PICTURE, camera)
    assert seen is not None
    inner = (is_between(u, 1, 198) & is_between(v, 1, 148)).reshape(SHAPE) & seen
    expected = pattern(np.column_stack([u, v])).reshape(SHAPE)
    assert np.abs(rectified[inner] - expected[inner]).max() < 2.0


def test_where_the_polynomial_folds_back_nothing_is_seen() -> None:
    """With x (1 + k x^2) the farthest ray is that of x = sqrt(-1 / 3k); beyond, pixels repeat."""
    k = -0.6
    camera = Camera(400, 300, 120.0, 120.0, 199.5, 149.5, "plumb_bob", (k, 0.0, 0.0, 0.0))
    rectified, _, seen = rectify(np.full((300, 400), 200, np.uint8), camera)
    assert seen is not None
    pixels = pixel_grid(400, 300).reshape(300, 400, 2)
    radius = np.linalg.norm(pixels - 199.5 * np.array([1, 149.5 / 199.5]), axis=-1) / 120.0
    turning = np.sqrt(-1 / (3 * k))
    assert seen[radius < 0.97 * turning].all()
    folded = radius > 1.03 * turning
    distorted = camera.distort(pixels[folded])
    lands = (distorted > 0).all(axis=1) & (distorted < [399, 299]).all(axis=1)
    assert lands.mean() > 0.9  # each has a pixel, but it is that of another ray
    assert not seen[folded].any()
    assert not rectified[folded].any()


@pytest.mark.parametrize("name", LENSES)
def test_depth_is_taken_and_not_mixed(name: str) -> None:
    """A checkerboard of near and far has no value between, and each is that of its pixel."""
    camera = lens(name)
    depth = np.where((PIXELS // 5).sum(axis=1) % 2 == 0, 1.0, 4.0).astype(np.float32)
    depth = depth.reshape(SHAPE)
    rectified, _, seen = rectify(depth, camera, nearest=True)
    assert seen is not None
    assert rectified.dtype == np.float32
    assert set(np.unique(rectified)) <= {0.0, 1.0, 4.0}
    assert (rectified[~seen] == 0).all()
    assert (rectified[seen] > 0).all()
    map_x, map_y = where_opencv_looks(camera)
    near_centre = (np.abs(map_x - np.rint(map_x)) < 0.45) & (np.abs(map_y - np.rint(map_y)) < 0.45)
    at = near_centre & seen
    expected = depth[np.rint(map_y[at]).astype(int), np.rint(map_x[at]).astype(int)]
    np.testing.assert_array_equal(rectified[at], expected)


@pytest.mark.parametrize(
    "camera",
    [PINHOLE, replace(PINHOLE, distortion_model="plumb_bob", distortion=(0.0,) * 5)],
    ids=["none", "zeros"],
)
def test_an_image_without_distortion_is_handed_back(camera: Camera) -> None:
    rectified, same, seen = rectify(PICTURE, camera)
    assert rectified is PICTURE
    assert same is camera
    assert seen is None


def test_the_image_that_came_in_stays_as_it_is() -> None:
    before = PICTURE.copy()
    for name in LENSES:
        rectify(PICTURE, lens(name))
    np.testing.assert_array_equal(PICTURE, before)
