# SPDX-License-Identifier: Apache-2.0
"""Training images and their cameras, on recordings in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from posed import (
    CAMERA,
    camera_pose,
    on_wall,
    pattern,
    pixel_grid,
    wall_image,
)
from recordings import Recording

from dsac_core.data.frame import ALL, Frame
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera
from dsac_core.progress import silent
from dsac_core.training.dense_config import DenseMapConfig
from dsac_core.training.posed_images import PosedImages, at_height, load_images, prepare

LANDSCAPE = Camera(160, 120, 150.0, 170.0, 71.0, 66.0)
PORTRAIT = Camera(120, 160, 150.0, 170.0, 55.0, 85.0)
LENS = replace(
    Camera(320, 240, 250.0, 280.0, 150.0, 126.0),
    distortion_model="plumb_bob",
    distortion=(-0.25, 0.08, 1e-3, -5e-4),
)


def frame(index: int = 0, camera: Camera = CAMERA, depth: np.ndarray | None = None) -> Frame:
    """A view of the wall with its pattern, in colours of one gray value."""
    gray = pattern(pixel_grid(camera.width, camera.height)).reshape(camera.height, camera.width)
    image = np.dstack([np.rint(gray).astype(np.uint8)] * 3)
    return Frame(f"{index}", index / 15, image, camera, camera_pose(index), depth)


def wall_depth(camera: Camera, seed: int = 0) -> np.ndarray:
    flat = on_wall(camera, camera_pose(seed), pixel_grid(camera.width, camera.height))
    return flat.astype(np.float32).reshape(camera.height, camera.width)


def load(frames: list[Frame], config: DenseMapConfig) -> PosedImages:
    return load_images(Recording(frames), ALL, config, silent)


@pytest.mark.parametrize("height", [60, 120, 200])
@pytest.mark.parametrize("camera", [LANDSCAPE, PORTRAIT], ids=["landscape", "portrait"])
def test_images_have_the_height_of_training_and_their_proportions(
    camera: Camera, height: int
) -> None:
    """The public code scales the shorter side, and the focal length as if it were the height."""
    image = prepare(frame(camera=camera), height)
    assert tuple(image.gray_HW.shape) == (height, round(camera.width * height / camera.height))
    assert image.gray_HW.dtype == torch.uint8
    factor = height / camera.height
    assert image.camera.fy == pytest.approx(camera.fy * factor)
    assert image.camera.fx == pytest.approx(camera.fx * factor, rel=1 / image.camera.width)
    assert (image.camera.height, image.camera.width) == tuple(image.gray_HW.shape)
    assert image.depth_HW is None
    assert image.seen_HW is None
    np.testing.assert_array_equal(image.world_T_cam, camera_pose(0))


@pytest.mark.parametrize("camera", [LANDSCAPE, PORTRAIT], ids=["landscape", "portrait"])
def test_the_content_is_where_the_camera_says(camera: Camera) -> None:
    """Along each ray, the training image has what the recorded one has."""
    image = prepare(frame(camera=camera), 100)
    pixels = pixel_grid(image.camera.width, 100)
    now = image.camera
    planar = (pixels - [now.cx, now.cy]) / [now.fx, now.fy]
    before = planar * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    difference = image.gray_HW.numpy().ravel() - pattern(before)
    assert np.abs(difference).max() < 4.0
    assert abs(difference.mean()) < 0.2


def test_a_wide_image_does_not_lose_its_width() -> None:
    assert at_height(Camera(4, 4000, 500.0, 500.0, 2.0, 2000.0), 480).width == 8
    assert at_height(Camera(1920, 1080, 900.0, 900.0, 960.0, 540.0), 480).width == 853


def test_the_camera_of_a_distorted_image_is_ideal_and_the_image_too() -> None:
    image = prepare(frame(camera=LENS), 120)
    assert not image.camera.is_distorted
    np.testing.assert_allclose(image.camera.matrix[:2, :2], LENS.matrix[:2, :2] / 2)
    assert image.seen_HW is not None
    assert image.seen_HW.dtype == torch.bool
    assert image.seen_HW.shape == image.gray_HW.shape
    ideal = (pixel_grid(160, 120) + 0.5) * 2 - 0.5
    lens_sees = LENS.distort(ideal)
    margin = np.minimum(lens_sees, [319, 239] - lens_sees).min(axis=1)
    seen = image.seen_HW.numpy().ravel()
    assert seen[margin > 1].all()
    assert not seen[margin < -2].any()
    deep = margin > 4
    difference = image.gray_HW.numpy().ravel()[deep] - pattern(lens_sees[deep])
    assert np.abs(difference).max() < 4.0


def test_an_empty_border_stays_one() -> None:
    """A lens that sees less than its pinhole has it: the mask is false there, the depth 0."""
    pincushion = replace(LENS, distortion=(0.3, 0.0, 0.0, 0.0))
    depth = np.full((240, 320), 2.0, np.float32)
    image = prepare(frame(camera=pincushion, depth=depth), 120)
    assert image.seen_HW is not None
    assert image.depth_HW is not None
    assert 0.5 < image.seen_HW.float().mean() < 0.95
    at_edge = image.seen_HW != (image.depth_HW > 0)
    assert at_edge.float().mean() < 0.01
    assert set(image.depth_HW.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0, 2.0, 3.0])
def test_depth_of_another_size_than_the_image(scale: float) -> None:
    """Each pixel has the reading whose centre is nearest: half a reading off at most."""
    width, height = int(160 * scale), int(120 * scale)
    for axis in (0, 1):
        ramp = (pixel_grid(width, height)[:, axis] + 1).reshape(height, width)
        image = prepare(frame(depth=ramp.astype(np.float32)), 120)
        assert image.depth_HW is not None
        assert image.depth_HW.shape == image.gray_HW.shape
        taken = (image.depth_HW.double().numpy().ravel() - 1 + 0.5) / scale - 0.5
        assert np.abs(taken - pixel_grid(160, 120)[:, axis]).max() <= 0.5 / scale + 1e-6


@pytest.mark.parametrize("height", [40, 80, 120])
def test_shrinking_takes_the_depth_in_the_middle_of_each_pixel(height: int) -> None:
    for axis in (0, 1):
        ramp = (pixel_grid(160, 120)[:, axis] + 1).reshape(120, 160)
        image = prepare(frame(depth=ramp.astype(np.float32)), height)
        assert image.depth_HW is not None
        taken = image.depth_HW.double().numpy().ravel() - 1
        scale = np.array([160 / image.camera.width, 120 / height])
        middle = (pixel_grid(image.camera.width, height) + 0.5) * scale - 0.5
        assert np.abs(taken - middle[:, axis]).max() <= 0.5 + 1e-6


def test_depth_of_another_size_is_on_the_wall() -> None:
    """Depth of 80 x 60 for a distorted image of 320 x 240, at 120."""
    small = replace(LENS.scaled(80, 60), distortion_model="none", distortion=())
    at = LENS.scaled(80, 60).undistort(pixel_grid(80, 60))
    depth = on_wall(small, camera_pose(0), at).astype(np.float32).reshape(60, 80)
    image = prepare(frame(camera=LENS, depth=depth), 120)
    assert image.depth_HW is not None
    known = image.depth_HW.numpy() > 0
    expected = wall_depth(image.camera)
    assert known.mean() > 0.9
    difference = np.abs(image.depth_HW.float().numpy() - expected)[known]
    assert difference.max() < 0.06  # a reading of 80 x 60 on either side
    assert difference.mean() < 0.015


def test_readings_that_are_none_are_unknown() -> None:
    """NaN and infinity would be a scene point at nowhere."""
    depth = np.full((120, 160), 2.0, np.float32)
    depth[:40], depth[40:80], depth[80:90], depth[90:95] = np.nan, np.inf, -np.inf, 1e6
    image = prepare(frame(depth=depth), 120)
    assert image.depth_HW is not None
    assert not image.depth_HW[:95].any()
    assert (image.depth_HW[95:] == 2.0).all()


def test_no_depth_is_invented() -> None:
    depth = np.where(pixel_grid(160, 120)[:, 0] < 71, 1.0, 5.0).reshape(120, 160)
    for camera in (CAMERA, replace(LENS.scaled(160, 120))):
        image = prepare(frame(camera=camera, depth=depth.astype(np.float32)), 50)
        assert image.depth_HW is not None
        assert set(image.depth_HW.unique().tolist()) <= {0.0, 1.0, 5.0}


def test_held_out_frames_are_whole_and_not_trained_on() -> None:
    frames = [frame(index, depth=wall_depth(CAMERA, index)) for index in range(20)]
    config = DenseMapConfig(
        setting="rgbd", image_height=60, held_out_share=0.2, held_out_stretches=2
    )
    loaded = load(frames, config)
    assert len(loaded.images) == 16
    assert len(loaded.held_out) == 4
    for kept in loaded.held_out:
        assert kept is frames[int(kept.name)]
    trained = [image.world_T_cam[0, 3] for image in loaded.images]
    aside = {int(kept.name) for kept in loaded.held_out}
    assert trained == [each.world_T_cam[0, 3] for i, each in enumerate(frames) if i not in aside]
    assert all(image.depth_HW is not None for image in loaded.images)
    assert all(tuple(image.gray_HW.shape) == (60, 80) for image in loaded.images)


def test_a_map_for_images_without_depth_is_checked_without_it() -> None:
    frames = [frame(index, depth=wall_depth(CAMERA, index)) for index in range(12)]
    loaded = load(frames, DenseMapConfig(setting="rgb-model", image_height=32))
    assert loaded.held_out
    assert all(kept.depth is None for kept in loaded.held_out)
    assert all(image.depth_HW is not None for image in loaded.images)


def test_a_longer_recording_is_thinned_out() -> None:
    frames = [frame(index, camera=LENS) for index in range(30)]
    config = DenseMapConfig(image_height=48, max_frames=15, held_out_share=0.1)
    loaded = load(frames, config)
    assert len(loaded.images) + len(loaded.held_out) == 15
    assert loaded.camera == LENS.scaled(64, 48)  # with its distortion: images to come have it


@pytest.mark.parametrize("setting", ["rgbd", "rgb-model"])
@pytest.mark.parametrize("kind", ["none", "zeros"])
def test_a_setting_that_needs_depth_says_what_to_do(setting: str, kind: str) -> None:
    depth = None if kind == "none" else np.zeros((120, 160), np.float32)
    config = DenseMapConfig(setting=setting, image_height=32)  # type: ignore[arg-type]
    with pytest.raises(
        DatasetError, match=f"corner has no depth.*--setting {setting}.*--setting rgb"
    ):
        load([frame(index, depth=depth) for index in range(12)], config)


def test_the_setting_rgb_does_not_ask_for_depth() -> None:
    frames = [frame(index, depth=wall_depth(CAMERA, index)) for index in range(12)]
    loaded = load(frames, DenseMapConfig(image_height=48))
    assert all(image.depth_HW is None for image in loaded.images)


def test_one_frame_with_depth_is_enough() -> None:
    frames = [frame(i, depth=wall_depth(CAMERA) if i == 3 else None) for i in range(12)]
    loaded = load(frames, DenseMapConfig(setting="rgbd", image_height=48, held_out_share=0.01))
    assert sum(image.depth_HW is not None for image in loaded.images) == 1


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(DatasetError, match="9 posed images: mapping needs at least 10"):
        load([frame(index) for index in range(9)], DenseMapConfig(image_height=32))


def test_the_helper_is_what_prepare_makes() -> None:
    """The wall of the other tests is the wall of this one."""
    made = prepare(frame(depth=wall_depth(CAMERA)), 120)
    expected = wall_image()
    assert made.camera == expected.camera
    assert torch.equal(made.gray_HW, expected.gray_HW)
    assert made.depth_HW is not None
    assert expected.depth_HW is not None
    assert torch.equal(made.depth_HW, expected.depth_HW)
