# SPDX-License-Identifier: Apache-2.0
"""Augmented views of a wall whose every point is known: do camera, pose and depth follow?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from posed import CAMERA, DISTANCE, NORMAL, pattern, pixel_grid, wall_image

from dsac_core.errors import ConfigError
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert, pose_error
from dsac_core.networks.coordinate_network import normalise_gray
from dsac_core.synthetic import CAMERA as OFFICE_CAMERA
from dsac_core.synthetic import office, render_view, walk_poses
from dsac_core.training.augmentation import (
    NO_AUGMENTATION,
    PHOTOMETRIC,
    AugmentationConfig,
    ImageBatch,
    augmented,
)
from dsac_core.training.posed_images import PosedImage

GEOMETRIC = AugmentationConfig(brightness=0.0, contrast=0.0)
PORTRAIT = Camera(100, 140, 170.0, 150.0, 57.0, 61.0)
CPU = torch.device("cpu")
BLACK, WHITE = normalise_gray(torch.tensor([0.0, 255.0])).tolist()


def draw(
    images: list[PosedImage], config: AugmentationConfig = GEOMETRIC, seed: int = 0
) -> ImageBatch:
    return augmented(images, config, torch.Generator().manual_seed(seed), CPU)


def pose_of(batch: ImageBatch, index: int = 0) -> np.ndarray:
    """world_T_cam of an image of the batch."""
    pose = np.eye(4)
    pose[:3] = batch.cam_T_world_B34[index].double().numpy()
    return invert(pose)


def roll_deg(batch: ImageBatch, image: PosedImage, index: int = 0) -> float:
    """How far the camera was turned about its axis."""
    turn = invert(image.world_T_cam)[:3, :3] @ pose_of(batch, index)[:3, :3]
    np.testing.assert_allclose(turn[2], [0, 0, 1], atol=1e-6)
    return float(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))


def all_pixels(batch: ImageBatch, index: int = 0) -> np.ndarray:
    """The pixels of the image [H * W x 2] as those of the cells: from the principal point."""
    height, width = batch.gray_B1HW.shape[2:]
    first = batch.pixels_BN2[index, 0].double().numpy()  # the centre of cell 0, which is at 3.5
    return np.asarray(pixel_grid(width, height) - 3.5 + first)


def seen_before(
    batch: ImageBatch, image: PosedImage, pixels_N2: np.ndarray, index: int = 0
) -> np.ndarray:
    """Where the camera that took the image saw what the batch shows at its pixels [N x 2]."""
    planar = pixels_N2 / batch.focal_B2[index].double().numpy()
    pose, back = pose_of(batch, index), invert(image.world_T_cam)
    points = 2.0 * np.column_stack([planar, np.ones(len(planar))]) @ pose[:3, :3].T + pose[:3, 3]
    in_camera = points @ back[:3, :3].T + back[:3, 3]
    assert in_camera[:, 2].min() > 0
    seen = (in_camera @ image.camera.matrix.T)[:, :2] / in_camera[:, 2:]
    return np.asarray(seen)


def assert_content_follows(batch: ImageBatch, image: PosedImage, index: int = 0) -> None:
    places = seen_before(batch, image, all_pixels(batch, index), index)
    expected = normalise_gray(torch.from_numpy(pattern(places))).numpy()
    difference = batch.gray_B1HW[index].numpy().ravel() - expected
    interior = beyond(places, image.camera) < -1
    assert interior.mean() > 0.3
    assert np.abs(difference[interior]).max() < 0.04  # of a pattern between -1.6 and 2.4
    assert abs(difference[interior].mean()) < 0.002


def beyond(places: np.ndarray, camera: Camera) -> np.ndarray:
    """How far outside of the image [...], px; negative within."""
    edge = np.array([camera.width, camera.height]) - 0.5
    return np.asarray(np.maximum(-0.5 - places, places - edge).max(axis=-1))


@pytest.mark.parametrize("camera", [CAMERA, PORTRAIT], ids=["landscape", "portrait"])
@pytest.mark.parametrize("seed", range(1, 7))
def test_the_content_is_where_camera_and_pose_say(seed: int, camera: Camera) -> None:
    image = wall_image(camera, seed)
    batch = draw([image], seed=seed)
    assert abs(roll_deg(batch, image)) > 0.5
    assert_content_follows(batch, image)


@pytest.mark.parametrize("camera", [CAMERA, PORTRAIT], ids=["landscape", "portrait"])
@pytest.mark.parametrize("seed", range(1, 7))
def test_scene_points_are_true_and_reproject_onto_their_cells(seed: int, camera: Camera) -> None:
    batch = draw([wall_image(camera, seed)], seed=seed)
    points = batch.points_at(batch.depth_BN)[0].double().numpy()
    known = batch.known_BN[0].numpy()
    assert 0.5 < known.mean() < 1.0
    back = invert(pose_of(batch))
    in_camera = points[known] @ back[:3, :3].T + back[:3, 3]
    pixels = in_camera[:, :2] / in_camera[:, 2:] * batch.focal_B2[0].double().numpy()
    np.testing.assert_allclose(pixels, batch.pixels_BN2[0].numpy()[known], atol=1e-3)
    np.testing.assert_allclose(in_camera[:, 2], batch.depth_BN[0].numpy()[known], atol=1e-5)
    # The depth is that of a pixel up to half a pixel away, in half precision.
    distance = points[known] @ NORMAL - DISTANCE
    assert np.abs(distance).max() < 0.015
    assert abs(distance.mean()) < 5e-4


def test_in_the_office_too() -> None:
    """Depth with edges: nearly all cells have the point that their ray meets, not one beside it."""
    room, camera = office(), OFFICE_CAMERA.scaled(320, 240)
    pose = walk_poses("mapping", room.options).world_T_cam[10]
    rgb, depth = render_view(room, camera, pose, antialias=False)
    gray = torch.from_numpy(np.ascontiguousarray(rgb[..., 1]))
    image = PosedImage(gray, None, torch.from_numpy(depth), camera, pose)
    batch = draw([image], AugmentationConfig(scale_min=1.2, scale_max=1.5), seed=3)
    principal = (3.5 - batch.pixels_BN2[0, 0]).tolist()
    height, width = batch.gray_B1HW.shape[2:]
    turned = Camera(width, height, *batch.focal_B2[0].tolist(), *principal)
    _, expected = render_view(room, turned, pose_of(batch), antialias=False)
    at = (batch.pixels_BN2[0] - batch.pixels_BN2[0, 0] + 4.0).long()
    at = at.minimum(torch.tensor([width - 1, height - 1]))
    true = torch.from_numpy(expected)[at[:, 1], at[:, 0]]
    known = batch.known_BN[0]
    off = (batch.depth_BN[0] - true).abs()[known]
    assert known.sum() > 600
    assert (off < 0.02).double().mean() > 0.95


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("seed", range(1, 5))
def test_cells_are_inside_where_they_show_the_scene(seed: int, with_mask: bool) -> None:
    """The public code fills borders with a reflection, and trains on it."""
    image = wall_image(seed=seed, with_mask=with_mask)
    batch = draw([image], AugmentationConfig(), seed)
    places = seen_before(batch, image, batch.pixels_BN2[0].double().numpy())
    outside, inside = beyond(places, image.camera), batch.inside_BN[0].numpy()
    if with_mask:  # the corner x + y <= 70 was not seen
        assert inside[(outside < -1e-3) & (places.sum(axis=1) > 72)].all()
        assert not inside[places.sum(axis=1) < 69].any()
    else:
        assert inside[outside < -1e-3].all()
    assert not inside[outside > 1e-3].any()
    assert 0.1 < inside.mean() < 1.0
    assert (batch.depth_BN[~batch.inside_BN] == 0).all()
    assert (batch.depth_BN[batch.inside_BN] > 0).all()
    filled = beyond(seen_before(batch, image, all_pixels(batch)), image.camera) > 1
    assert filled.any()
    assert (batch.gray_B1HW[0, 0].numpy().ravel()[filled] == 0).all()


def test_a_small_turn_is_one_too() -> None:
    config = replace(NO_AUGMENTATION, rotation_deg=1.0)
    batch = draw([wall_image()], config, 1)
    assert 0.3 < abs(roll_deg(batch, wall_image())) <= 1.0
    assert_content_follows(batch, wall_image())


def test_sizes_and_focal_lengths_agree_exactly() -> None:
    """The public code makes an image of int(480 s) rows, and multiplies the focal length by s."""
    for seed in range(30):
        batch = draw([wall_image()], seed=seed)
        height, width = batch.gray_B1HW.shape[2:]
        focal = torch.tensor([150.0 * width / 160, 170.0 * height / 120])
        torch.testing.assert_close(batch.focal_B2[0], focal, rtol=1e-6, atol=0)
        principal = torch.tensor([71.5 * width / 160 - 0.5, 66.5 * height / 120 - 0.5])
        torch.testing.assert_close(3.5 - batch.pixels_BN2[0, 0], principal)
        assert batch.grid == (-(-height // 8), -(-width // 8))
        assert batch.pixels_BN2.shape == (1, batch.grid[0] * batch.grid[1], 2)


def test_scales_and_angles_cover_their_ranges() -> None:
    image = wall_image(Camera(24, 18, 22.0, 25.0, 11.0, 9.0))
    batches = [draw([image, image], seed=seed) for seed in range(300)]
    scales = np.array([float(batch.focal_B2[0, 1]) / 25.0 for batch in batches])
    assert 0.66 <= scales.min() < 0.72
    assert 1.45 < scales.max() <= 1.5
    assert np.mean(scales) == pytest.approx(13 / 12, abs=0.06)
    angles = np.array([[roll_deg(batch, image, index) for index in (0, 1)] for batch in batches])
    assert -30 <= angles.min() < -28
    assert 28 < angles.max() <= 30
    assert np.abs(angles.mean(axis=0)).max() < 3.5
    for one, other in ((angles[:, 0], angles[:, 1]), (angles[:, 0], scales)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.25
    positions = [pose_of(batch)[:3, 3] for batch in batches]  # a roll leaves the camera in place
    np.testing.assert_allclose(positions, [image.world_T_cam[:3, 3]] * 300, atol=1e-5)


def exposures(config: AugmentationConfig) -> tuple[np.ndarray, np.ndarray]:
    """Gain and mean, relative to the image's own, of gray values under many seeds."""
    image = wall_image()
    before = image.gray_HW.double().numpy() / 255
    gains, means = [], []
    for seed in range(100):
        gray = draw([image], config, seed).gray_B1HW[0, 0]
        after = gray.double().numpy() * 0.25 + 0.4
        free = (after > 0.01) & (after < 0.99)
        gain, offset = np.polyfit(before[free], after[free], 1)
        assert np.abs(after - (gain * before + offset).clip(0, 1)).max() < 2e-3
        assert after.min() > -1e-5
        assert after.max() < 1 + 1e-5
        gains.append(gain)
        means.append((gain * before.mean() + offset) / before.mean())
    return np.array(gains), np.array(means)


def test_brightness_is_a_factor_of_all_gray_values() -> None:
    gains, means = exposures(replace(PHOTOMETRIC, contrast=0.0))
    np.testing.assert_allclose(gains, means, atol=2e-3)
    assert 0.9 - 1e-3 < gains.min() < 0.91
    assert 1.09 < gains.max() < 1.1 + 1e-3
    assert abs(gains.mean() - 1) < 0.02


def test_contrast_is_a_factor_of_differences_from_the_mean() -> None:
    gains, means = exposures(replace(PHOTOMETRIC, brightness=0.0))
    np.testing.assert_allclose(means, 1.0, atol=2e-3)
    assert 0.9 - 1e-3 < gains.min() < 0.91
    assert 1.09 < gains.max() < 1.1 + 1e-3


def test_brightness_and_contrast_are_drawn_apart() -> None:
    gains, means = exposures(PHOTOMETRIC)
    assert abs(np.corrcoef(means, gains / means)[0, 1]) < 0.3


def test_end_to_end_training_keeps_geometry() -> None:
    """It changes colours alone: turned and scaled images are of the initialisation (6.1)."""
    image = wall_image()
    batch = draw([image], PHOTOMETRIC)
    assert pose_error(pose_of(batch), image.world_T_cam) == pytest.approx((0, 0), abs=1e-4)
    assert tuple(batch.gray_B1HW.shape) == (1, 1, 120, 160)
    assert batch.inside_BN.all()


def test_the_generator_decides_everything() -> None:
    images = [wall_image(seed=0), wall_image(seed=1)]
    first, second, other = (draw(images, AugmentationConfig(), seed) for seed in (5, 5, 6))
    for name, values in vars(first).items():
        if isinstance(values, torch.Tensor):
            assert torch.equal(values, getattr(second, name)), name
    assert first.gray_B1HW.shape != other.gray_B1HW.shape


def test_without_augmentation_the_image_is_itself() -> None:
    image = wall_image()
    batch = draw([image], NO_AUGMENTATION)
    assert torch.equal(batch.gray_B1HW[0, 0], normalise_gray(image.gray_HW))
    assert image.depth_HW is not None
    cells = image.depth_HW[4::8, 4::8].float().flatten()  # centres are at 3.5, ties go to even
    assert torch.equal(batch.depth_BN[0], cells)
    assert batch.inside_BN.all()
    assert batch.focal_B2.tolist() == [[150.0, 170.0]]
    assert pose_error(pose_of(batch), image.world_T_cam) == pytest.approx((0, 0), abs=1e-4)


def test_images_of_different_sizes_in_one_batch() -> None:
    """The smaller one is in the upper left corner; what is beside it is not inside."""
    images = [wall_image(seed=0), wall_image(PORTRAIT, seed=1), wall_image(seed=2)]
    for config in (GEOMETRIC, NO_AUGMENTATION):
        batch = draw(images, config, 1)
        for index, image in enumerate(images):
            assert_content_follows(batch, image, index)
            pixels = batch.pixels_BN2[index].double().numpy()
            outside = beyond(seen_before(batch, image, pixels, index), image.camera)
            inside = batch.inside_BN[index].numpy()
            assert inside[outside < -1e-3].all()
            assert not inside[outside > 1e-3].any()
    assert tuple(batch.gray_B1HW.shape) == (3, 1, 140, 160)
    batch = draw(images)
    rolls = [roll_deg(batch, image, index) for index, image in enumerate(images)]
    assert len({round(roll, 3) for roll in rolls}) == 3  # each its own


def test_an_image_without_depth_has_no_known_cells() -> None:
    batch = draw([wall_image(with_depth=False)])
    assert not batch.known_BN.any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rotation_deg": 181.0}, "rotation_deg"),
        ({"scale_min": 0.0}, "scales must grow, got 0.0"),
        ({"brightness": 1.0}, "brightness"),
        ({"contrast": -0.1}, "contrast"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        AugmentationConfig(**change)
