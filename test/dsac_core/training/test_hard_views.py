# SPDX-License-Identifier: Apache-2.0
"""Harder views of a frame: what is seen changes, the pose of the camera does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsac_core.data.frame import Frame
from dsac_core.geometry.camera import Camera
from dsac_core.training.hard_views import cropped, dimmed, half_hidden, hard_view, mirrored

CAMERA = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)


def frame() -> Frame:
    """The colour and the depth of a pixel tell where it was."""
    row, column = np.mgrid[:120, :160].astype(np.uint8)
    image = np.stack([row, column, row], axis=-1)
    depth = (1.0 + np.mgrid[:120, :160][1] / 100).astype(np.float32)
    return Frame("a", 0.0, image, CAMERA, np.eye(4), depth)


def test_a_mirror_image_and_its_camera() -> None:
    """A pixel at column u comes to 159 - u, and the principal point with it."""
    seen = replace(frame(), camera=replace(CAMERA, cx=60.0))
    turned = mirrored(seen)
    np.testing.assert_array_equal(turned.image[:, 159 - 5], seen.image[:, 5])
    assert turned.camera.cx == 99.0
    np.testing.assert_array_equal(mirrored(turned).image, seen.image)


@pytest.mark.parametrize("share", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_rays_through_a_crop_see_what_they_saw(share: float, seed: int) -> None:
    window = cropped(frame(), share, seed)
    camera = window.camera
    assert window.image.shape == (camera.height, camera.width, 3)
    assert (camera.width, camera.height) == (round(share * 160), round(share * 120))
    row, column = 7, 11
    was_row, was_column = window.image[row, column, :2]
    ray = (column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy
    before = (was_column - CAMERA.cx) / CAMERA.fx, (was_row - CAMERA.cy) / CAMERA.fy
    assert ray == pytest.approx(before)
    assert window.depth is not None
    assert window.depth[row, column] == pytest.approx(1.0 + was_column / 100)


def test_a_crop_takes_the_same_part_of_smaller_depth() -> None:
    small = replace(frame(), depth=frame().depth[::2, ::2])  # type: ignore[index]
    window = cropped(small, 0.5)
    assert window.depth is not None
    assert window.depth.shape == (30, 40)
    left = window.image[0, 0, 1]
    assert window.depth[0, 0] == pytest.approx(1.0 + left / 100, abs=0.011)


def test_a_crop_is_never_too_small_to_encode() -> None:
    assert cropped(frame(), 0.01).image.shape == (32, 32, 3)


def test_little_light_has_little_contrast_and_noise() -> None:
    dark = dimmed(frame(), 0.2).image.astype(float)
    assert dark.mean() < 0.35 * frame().image.mean()
    flat = replace(frame(), image=np.full((120, 160), 100, np.uint8))
    assert dimmed(flat, 0.5).image.std() == pytest.approx(8.0, abs=1.0)


def test_what_is_hidden_is_the_reflection() -> None:
    seen = frame()
    hidden = half_hidden(seen, 0.75).image
    np.testing.assert_array_equal(hidden[:, :120], seen.image[:, ::-1][:, :120])
    np.testing.assert_array_equal(hidden[:, 120:], seen.image[:, 120:])


def test_hard_views_keep_the_pose_and_differ_from_frame_to_frame() -> None:
    seen = frame()
    views = [hard_view(seen, index) for index in range(9)]
    for view in views:
        assert view.world_T_cam is seen.world_T_cam
        assert view.image.shape[:2] == (view.camera.height, view.camera.width)
    assert len({view.image.tobytes() for view in views}) == 9
    again = hard_view(seen, 4)
    np.testing.assert_array_equal(again.image, views[4].image)  # nothing is left to chance
