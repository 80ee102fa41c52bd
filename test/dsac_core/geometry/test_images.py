# SPDX-License-Identifier: Apache-2.0
"""Images and depth in other sizes, against sums written out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from posed import pattern, pixel_grid

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.images import depth_at, resize, resize_to_focal_length, to_gray

CAMERA = Camera(160, 120, 150.0, 170.0, 71.0, 66.0)
PICTURE = np.rint(pattern(pixel_grid(160, 120))).astype(np.uint8).reshape(120, 160)


def test_gray_is_the_luma_of_rgb() -> None:
    """Rec. 601: 0.299 R + 0.587 G + 0.114 B."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    gray = to_gray(image)
    assert gray.dtype == np.uint8
    assert np.abs(gray - image @ [0.299, 0.587, 0.114]).max() <= 1.0


def test_a_gray_image_stays_the_same_object() -> None:
    assert to_gray(PICTURE) is PICTURE


def test_what_shrinks_is_averaged() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80), dtype=np.uint8)
    small = resize(image, 20, 15)
    blocks = image.reshape(15, 4, 20, 4).mean(axis=(1, 3))
    assert np.abs(small - blocks).max() <= 0.5


def test_what_grows_keeps_its_place() -> None:
    """Pixel x of the larger image is at (x + 0.5) / 2 - 0.5 of the smaller one."""
    large = resize(PICTURE, 320, 240)
    assert large.shape == (240, 320)
    at = (pixel_grid(320, 240) + 0.5) / 2 - 0.5
    inner = ((at > 1) & (at < [158, 118])).all(axis=1)
    assert np.abs(large.ravel()[inner] - pattern(at[inner])).max() < 2.0


def test_an_image_of_that_size_stays_the_same_object() -> None:
    assert resize(PICTURE, 160, 120) is PICTURE


def test_colours_are_resized_one_by_one() -> None:
    image = np.dstack([PICTURE, 255 - PICTURE, PICTURE // 2])
    small = resize(image, 80, 60)
    assert small.shape == (60, 80, 3)
    np.testing.assert_array_equal(small[..., 0], resize(PICTURE, 80, 60))


@pytest.mark.parametrize("factor", [0.5, 1.06, 1.5])
def test_the_image_comes_to_the_focal_length_of_the_reference(factor: float) -> None:
    """The mean of fx and fy decides, and the camera is that of the image."""
    reference = Camera(640, 480, 160.0 * factor, 160.0 * factor, 319.5, 239.5)
    image, camera = resize_to_focal_length(PICTURE, CAMERA, reference)
    assert (camera.fx + camera.fy) / 2 == pytest.approx(160.0 * factor, rel=0.005)
    assert image.shape == (camera.height, camera.width)
    assert camera.fx / camera.fy == pytest.approx(150 / 170, rel=0.01)
    rays = np.array([[-0.2, 0.1, 1.0], [0.3, -0.2, 1.0], [0.0, 0.0, 1.0]])
    now, before = (rays @ camera.matrix.T)[:, :2], (rays @ CAMERA.matrix.T)[:, :2]
    place = cv2.getRectSubPix
    values = [place(image, (1, 1), (float(x), float(y)))[0, 0] for x, y in now]
    np.testing.assert_allclose(values, pattern(before), atol=6.0)


@pytest.mark.parametrize("factor", [0.96, 1.0, 1.04])
def test_a_focal_length_within_five_percent_is_left_alone(factor: float) -> None:
    reference = Camera(640, 480, 160.0 * factor, 160.0 * factor, 319.5, 239.5)
    image, camera = resize_to_focal_length(PICTURE, CAMERA, reference)
    assert image is PICTURE
    assert camera is CAMERA


def test_an_image_does_not_vanish() -> None:
    """Not even where a telephoto camera meets the map of a wide one."""
    reference = Camera(640, 480, 1.0, 1.0, 319.5, 239.5)
    image, camera = resize_to_focal_length(PICTURE, CAMERA, reference)
    assert image.shape == (camera.height, camera.width) == (32, 32)


def test_depth_is_that_of_the_nearest_pixel() -> None:
    depth = np.arange(120 * 160, dtype=np.float32).reshape(120, 160) + 1
    pixels = np.array([[0.0, 0.0], [3.4, 7.6], [158.6, 118.7], [-0.4, 10.4], [159.4, 119.4]])
    rows, columns = [0, 8, 119, 10, 119], [0, 3, 159, 0, 159]
    np.testing.assert_array_equal(depth_at(depth, pixels, CAMERA), depth[rows, columns])


@pytest.mark.parametrize("scales", [(0.25, 0.25), (0.5, 2.0), (2.0, 1.0), (3.0, 3.0)])
def test_depth_of_another_size_than_the_image(scales: tuple[float, float]) -> None:
    """The nearest reading is at most half a reading away, counted between centres."""
    width, height = int(160 * scales[0]), int(120 * scales[1])
    place = pixel_grid(width, height)
    pixels = np.random.default_rng(0).uniform(-0.5, [159.5, 119.5], (300, 2))
    for axis, scale in enumerate(scales):
        depth = (place[:, axis] + 1).astype(np.float32).reshape(height, width)
        found = depth_at(depth, pixels, CAMERA) - 1  # the column or row that was taken
        centre = (found + 0.5) / scale - 0.5
        assert np.abs(centre - pixels[:, axis]).max() <= 0.5 / scale + 1e-6


def test_no_depth_is_invented_between_near_and_far() -> None:
    depth = np.where(pixel_grid(80, 60)[:, 0] < 37, 1.0, 5.0).astype(np.float32).reshape(60, 80)
    depth[::7] = 0.0
    pixels = np.random.default_rng(0).uniform(-5, [165, 125], (2000, 2))
    found = depth_at(depth, pixels, CAMERA)
    assert found.dtype == np.float32
    assert set(found.tolist()) == {0.0, 1.0, 5.0}


def test_outside_of_the_image_there_is_no_depth() -> None:
    depth = np.full((60, 80), 2.0, np.float32)
    beyond = [[-0.6, 5.0], [5.0, -0.6], [159.6, 5.0], [5.0, 119.6], [1e9, 5.0], [np.nan, 5.0]]
    assert not depth_at(depth, np.array(beyond), CAMERA).any()
    assert len(depth_at(depth, np.empty((0, 2)), CAMERA)) == 0
