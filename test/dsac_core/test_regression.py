# SPDX-License-Identifier: Apache-2.0
"""Which scene point belongs to which pixel and depth, for both kinds of maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_in import CAMERA, KnowingNetwork, depth_along, known_scene, planar, pose_near

from dsac_core.geometry.camera import Camera
from dsac_core.regression import FeatureRegressor, ImageRegressor, Regressed, make_regressor
from dsac_core.scene.scene_map import SceneMap

CPU = torch.device("cpu")
LARGE = CAMERA.scaled(320, 240)
BARREL = replace(LARGE, distortion_model="plumb_bob", distortion=(-0.25, 0.05, 0.002, -0.001, 0.0))
PINCUSHION = replace(LARGE, distortion_model="plumb_bob", distortion=(0.3, 0.0, 0.0, 0.0, 0.0))
FISHEYE = replace(LARGE, distortion_model="equidistant", distortion=(0.02, 0.0, 0.0, 0.0))
TRUTH = pose_near(5)


def ideal(camera: Camera) -> Camera:
    return replace(camera, distortion_model="none", distortion=())


def gray(camera: Camera) -> np.ndarray:
    return np.full((camera.height, camera.width), 128, dtype=np.uint8)


def regress(
    camera: Camera, depth: np.ndarray | None = None, reference: Camera | None = None
) -> Regressed:
    """By the network that knows the ideal image of that camera."""
    scene = known_scene(KnowingNetwork(ideal(camera), TRUTH), reference or camera)
    regressor = make_regressor(scene, CPU, max_cells=10)
    assert isinstance(regressor, ImageRegressor)
    return regressor(gray(camera), camera, depth)


def in_camera(regressed: Regressed) -> np.ndarray:
    points = regressed.points_N3.double().numpy()
    return np.asarray((points - TRUTH[:3, 3]) @ TRUTH[:3, :3])


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (71, 55), (103, 40)])
def test_cells_are_at_their_centres_for_odd_sizes_too(size: tuple[int, int]) -> None:
    """And the scene points there are those that the camera of the pixels sees."""
    camera = replace(CAMERA, width=size[0], height=size[1])
    regressed = regress(camera)
    columns, rows = -(-size[0] // 8), -(-size[1] // 8)
    expected = [[8 * x + 3.5, 8 * y + 3.5] for y in range(rows) for x in range(columns)]
    np.testing.assert_array_equal(regressed.pixels_N2, expected)
    assert regressed.cells == len(expected)
    assert regressed.camera == camera
    assert regressed.depth_N is None
    assert set(regressed.timings) == {"regress"}
    points = in_camera(regressed)
    rays = planar(camera, np.array(expected))
    np.testing.assert_allclose(points[:, :2] / points[:, 2:], rays, atol=1e-5)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5])
def test_images_of_another_focal_length_are_resized(factor: float) -> None:
    """The cells are those of the resized image, and so is the camera."""
    reference = LARGE.scaled(round(320 * factor), round(240 * factor))
    regressed = regress(LARGE, reference=reference)
    assert (regressed.camera.width, regressed.camera.height) == (reference.width, reference.height)
    assert regressed.cells == -(-reference.width // 8) * -(-reference.height // 8)
    points = in_camera(regressed)
    rays = planar(reference, regressed.pixels_N2.double().numpy())
    np.testing.assert_allclose(points[:, :2] / points[:, 2:], rays, atol=1e-5)


def test_a_focal_length_that_is_nearly_the_same_is_taken_as_it_is() -> None:
    assert regress(LARGE, reference=replace(LARGE, fx=1.04 * LARGE.fx)).camera == LARGE


@pytest.mark.parametrize("camera", [BARREL, PINCUSHION, FISHEYE], ids=["barrel", "pin", "fisheye"])
def test_where_the_lens_did_not_look_there_is_nothing(camera: Camera) -> None:
    regressed = regress(camera)
    assert regressed.camera == ideal(camera)
    pixels = regressed.pixels_N2.double().numpy()
    in_lens = camera.distort(pixels)
    # 3.5 is rounded to 4, the pixel that is looked at.
    margin = np.minimum(in_lens + 0.5, [camera.width, camera.height] - in_lens - 0.5).min(axis=1)
    nothing = regressed.points_N3.isnan().any(dim=1).numpy()
    assert not nothing[margin > 2.0].any()
    assert nothing[(margin < -2.0) | np.isnan(margin)].all()
    if camera is PINCUSHION:
        assert 10 < nothing.sum() < 0.4 * len(nothing)
    correspondences = regressed.correspondences(with_depth=False)
    assert int(correspondences.count_B[0]) == (~nothing).sum()
    points = in_camera(regressed)[~nothing]
    rays = planar(ideal(camera), pixels[~nothing])
    np.testing.assert_allclose(points[:, :2] / points[:, 2:], rays, atol=1e-4)


@pytest.mark.parametrize("camera", [LARGE, BARREL, PINCUSHION], ids=["none", "barrel", "pin"])
@pytest.mark.parametrize("factor", [1.0, 0.5, 1.6])
@pytest.mark.parametrize("resized", [1.0, 0.6])
def test_depth_is_looked_up_at_the_right_pixel(
    camera: Camera, factor: float, resized: float
) -> None:
    """Depth comes in the (distorted) image, at any size; here it says its own position."""
    width, height = round(320 * factor), round(240 * factor)
    columns = np.tile(np.arange(width, dtype=np.float32) + 1, (height, 1))
    rows = np.tile(np.arange(height, dtype=np.float32)[:, None] + 1, (1, width))
    reference = camera.scaled(round(320 * resized), round(240 * resized))
    for axis, depth in enumerate((columns, rows)):
        regressed = regress(camera, depth, reference)
        assert regressed.depth_N is not None
        found = regressed.depth_N.double().numpy()
        lens = reference.distort(regressed.pixels_N2.double().numpy())
        size = np.array([reference.width, reference.height])
        at = (lens + 0.5) / size * [width, height] - 0.5
        seen = ((at > 0) & (at < np.array([width, height]) - 1)).all(axis=1)
        assert seen.mean() > 0.6
        assert np.abs(found[seen] - 1 - at[seen, axis]).max() <= 0.5 + 1e-6
        beyond = (at < -0.6).any(axis=1) | (at > np.array([width, height]) - 0.4).any(axis=1)
        assert not found[beyond].any()


def test_what_comes_in_stays_as_it_is() -> None:
    """The network of the map is not moved, and images may be gray or in colour."""
    network = KnowingNetwork(CAMERA, TRUTH)
    scene = known_scene(network, CAMERA)
    regressor = make_regressor(scene, CPU, max_cells=10)
    before = regressor(gray(CAMERA), CAMERA, None).points_N3
    with torch.no_grad():
        network.leave.weight.zero_()
    after = regressor(np.dstack([gray(CAMERA)] * 3), CAMERA, None).points_N3
    assert torch.equal(before, after)


def test_a_fast_map_takes_the_depth_of_its_cells(scene_map: SceneMap) -> None:
    """Pixels come without distortion, depth from where they are in the distorted image."""
    scene = replace(scene_map, camera=BARREL)
    regressor = make_regressor(scene, CPU, max_cells=200)
    assert isinstance(regressor, FeatureRegressor)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    y, x = np.mgrid[0:240, 0:320]
    positions = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    depth = depth_along(BARREL, positions).reshape(240, 320).astype(np.float32)
    regressed = regressor(image, BARREL, depth)
    assert regressed.depth_N is not None
    assert regressed.scorer is None
    assert 20 < len(regressed.pixels_N2) <= regressed.cells == 200
    pixels = regressed.pixels_N2.double().numpy()
    expected = depth_along(ideal(BARREL), pixels)
    np.testing.assert_allclose(regressed.depth_N, expected, atol=0.02)
    assert np.abs(regressed.depth_N.numpy() - depth_along(BARREL, pixels)).max() > 0.03
    found = regressed.correspondences(with_depth=True)
    assert found.camera_points_BN3 is not None
    in_view = found.camera_points_BN3[0].double().numpy()
    np.testing.assert_allclose(
        in_view[:, :2] / in_view[:, 2:], planar(ideal(BARREL), pixels), atol=1e-5
    )
    assert regressor(image, BARREL, None).depth_N is None
    assert regressed.correspondences(with_depth=False).camera_points_BN3 is None
