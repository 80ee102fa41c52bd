# SPDX-License-Identifier: Apache-2.0
"""Correspondences of a fast map that has landmarks: of cells, of keypoints, or of both."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from landmark_scene import LANDMARK_CAMERA, KnownView, known_view, landmark_scene
from stand_in import KnowingNetwork, depth_along, known_scene, planar

from dsac_core.errors import ConfigError
from dsac_core.geometry.camera import Camera
from dsac_core.regression import Regressed, SeenLandmarks, Sources, make_regressor
from dsac_core.scene.scene_map import SceneMap

CPU = torch.device("cpu")
BARREL = replace(
    LANDMARK_CAMERA, distortion_model="plumb_bob", distortion=(-0.2, 0.04, 0.001, -0.001, 0.0)
)


@pytest.fixture(scope="module")
def view() -> KnownView:
    return known_view()


def regress(
    scene: SceneMap, view: KnownView, use: Sources = "both", depth: np.ndarray | None = None,
    max_cells: int = 5000,
) -> Regressed:  # fmt: skip
    return make_regressor(scene, CPU, max_cells, use)(view.image, view.camera, depth)


def seen_in(regressed: Regressed) -> SeenLandmarks:
    assert regressed.landmarks is not None
    return regressed.landmarks


def off_the_rays(
    pixels_N2: torch.Tensor, points_N3: torch.Tensor, camera: Camera, view: KnownView
) -> np.ndarray:
    """How far [N] scene points are from where an ideal camera sees them, px."""
    pose = view.world_T_cam
    in_camera = (points_N3.double().numpy() - pose[:3, 3]) @ pose[:3, :3]
    seen = in_camera[:, :2] / in_camera[:, 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    return np.asarray(np.linalg.norm(seen - pixels_N2.double().numpy(), axis=1))


@pytest.mark.parametrize("camera", [LANDMARK_CAMERA, BARREL], ids=["pinhole", "barrel"])
def test_keypoints_come_without_distortion(camera: Camera) -> None:
    """Both kinds of pixels are those that an ideal camera sees the points at."""
    view = known_view(camera)
    regressed = regress(landmark_scene(view), view)
    seen = seen_in(regressed)
    assert seen.keypoints == len(view.keypoints.pixels_K2)
    assert len(seen.pixels_M2) > 0.95 * seen.keypoints > 100
    ideal = replace(camera, distortion_model="none", distortion=())
    for pixels, points in (
        (regressed.pixels_N2, regressed.points_N3), (seen.pixels_M2, seen.points_M3)
    ):  # fmt: skip
        off = off_the_rays(pixels, points, ideal, view)
        assert np.quantile(off, 0.95) < 0.1
    if camera.is_distorted:
        moved = view.keypoints.pixels_K2.numpy() - camera.undistort(view.keypoints.pixels_K2)
        assert np.abs(moved).max() > 3.0


@pytest.mark.parametrize("weight", [0.5, 1.0, 10.0])
def test_cells_come_first_and_landmarks_have_their_weight(weight: float, view: KnownView) -> None:
    regressed = regress(landmark_scene(view), view, max_cells=300)
    seen = seen_in(regressed)
    cells, count = len(regressed.points_N3), len(seen.points_M3)
    assert cells == regressed.cells == 300
    given = regressed.correspondences(with_depth=False, landmark_weight=weight)
    assert given.source_BN is not None
    assert given.source_BN[0].tolist() == [False] * cells + [True] * count
    assert given.weights_BN[0].tolist() == [1.0] * cells + [weight] * count
    camera = regressed.camera
    principal = torch.tensor([camera.cx, camera.cy])
    pixels = torch.cat([regressed.pixels_N2, seen.pixels_M2])
    torch.testing.assert_close(given.pixels_BN2[0], pixels - principal)
    points = torch.cat([regressed.points_N3, seen.points_M3])
    assert torch.equal(given.points_BN3[0], points)
    assert given.camera_points_BN3 is None
    assert regressed.capacity(weight) == 300 + weight * seen.most_keypoints


@pytest.mark.parametrize("camera", [LANDMARK_CAMERA, BARREL], ids=["pinhole", "barrel"])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_keypoints_have_the_depth_of_where_they_are_in_the_image(
    camera: Camera, factor: float
) -> None:
    """Which may come in another size; pixels are rounded to its own."""
    view = known_view(camera)
    small = camera.scaled(round(320 * factor), round(240 * factor))
    y, x = np.mgrid[0 : small.height, 0 : small.width]
    positions = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    depth = depth_along(small, positions).reshape(x.shape).astype(np.float32)
    regressed = regress(landmark_scene(view), view, depth=depth)
    seen = seen_in(regressed)
    assert seen.depth_M is not None
    ideal = replace(camera, distortion_model="none", distortion=())
    expected = depth_along(ideal, seen.pixels_M2.double().numpy())
    off = np.abs(seen.depth_M.double().numpy() - expected)
    assert np.quantile(off, 0.98) < 0.03 / factor
    given = regressed.correspondences(with_depth=True, landmark_weight=2.0)
    assert given.camera_points_BN3 is not None
    of_landmarks = given.camera_points_BN3[0, len(regressed.points_N3) :].double().numpy()
    torch.testing.assert_close(given.camera_points_BN3[0, -len(seen.depth_M) :, 2], seen.depth_M)
    rays = planar(ideal, seen.pixels_M2.double().numpy())
    np.testing.assert_allclose(of_landmarks[:, :2] / of_landmarks[:, 2:], rays, atol=1e-5)
    assert given.weights_BN[0].tolist() == [1.0] * len(regressed.points_N3) + [2.0] * len(rays)
    without = regressed.correspondences(with_depth=False, landmark_weight=2.0)
    assert without.camera_points_BN3 is None


def test_keypoints_without_depth_do_not_take_part_where_depth_does(view: KnownView) -> None:
    depth = view.depth
    depth[:, :160] = 0.0
    regressed = regress(landmark_scene(view), view, depth=depth)
    seen = seen_in(regressed)
    given = regressed.correspondences(with_depth=True, landmark_weight=2.0)
    weights = given.weights_BN[0, len(regressed.points_N3) :]
    assert torch.equal(weights > 0, seen.pixels_M2[:, 0] >= 159.5)
    assert 0 < (weights > 0).double().mean() < 1


def test_keypoints_are_those_of_the_resized_image(view: KnownView) -> None:
    """An image of twice the focal length; pixels belong to the camera that comes with them."""
    image = cv2.resize(view.image, (640, 480), interpolation=cv2.INTER_CUBIC)
    large = replace(view, image=image, camera=LANDMARK_CAMERA.scaled(640, 480))
    regressed = regress(landmark_scene(view), large)
    assert (regressed.camera.width, regressed.camera.height) == (320, 240)
    seen = seen_in(regressed)
    assert len(seen.points_M3) > 0.7 * len(view.keypoints.pixels_K2)
    off = off_the_rays(seen.pixels_M2, seen.points_M3, regressed.camera, view)
    assert np.quantile(off, 0.8) < 0.7


def test_regression_alone_is_as_if_there_were_no_landmarks(view: KnownView) -> None:
    scene = landmark_scene(view)
    alone = regress(scene, view, "regression")
    never = regress(replace(scene, landmarks=None), view, "both")
    both = regress(scene, view, "both")
    for regressed in (alone, never):
        assert regressed.landmarks is None
        assert set(regressed.timings) == {"gray", "encode", "regress"}
        assert regressed.capacity(7.0) == regressed.cells == both.cells
        assert torch.equal(regressed.points_N3, both.points_N3)
        given = regressed.correspondences(with_depth=False, landmark_weight=7.0)
        assert given.source_BN is None
        assert bool((given.weights_BN == 1).all())
    assert set(both.timings) == {"gray", "encode", "regress", "keypoints", "match"}


def test_landmarks_alone_have_no_cells(view: KnownView) -> None:
    """Whether they were asked for, or the head of the map never learned."""
    scene = landmark_scene(view)
    both = seen_in(regress(scene, view))
    for regressed in (
        regress(scene, view, "landmarks", view.depth),
        regress(replace(scene, regression=False), view, "both", view.depth),
        regress(replace(scene, regression=False), view, "landmarks", view.depth),
    ):
        assert regressed.cells == 0
        assert regressed.points_N3.shape == (0, 3)
        assert torch.equal(seen_in(regressed).points_M3, both.points_M3)
        assert regressed.capacity(3.0) == 3.0 * both.most_keypoints
        for with_depth in (False, True):
            given = regressed.correspondences(with_depth=with_depth, landmark_weight=3.0)
            assert given.source_BN is not None
            assert given.source_BN.all()
            assert int(given.count_B[0]) == len(both.points_M3)


def test_an_image_without_keypoints_shows_no_landmarks(view: KnownView) -> None:
    empty = replace(view, image=np.full_like(view.image, 128))
    regressed = regress(landmark_scene(view), empty, depth=view.depth)
    seen = seen_in(regressed)
    assert len(seen.pixels_M2) == len(seen.points_M3) == 0
    given = regressed.correspondences(with_depth=True, landmark_weight=3.0)
    assert given.points_BN3.shape[1] == len(regressed.points_N3)
    nothing = regress(landmark_scene(view), empty, "landmarks", view.depth)
    assert nothing.correspondences(with_depth=True).points_BN3.shape[1] == 0


@pytest.mark.parametrize(
    ("use", "fields", "words"),
    [
        ("landmarks", {"landmarks": None}, "has no landmarks: map it with --landmarks on"),
        ("regression", {"regression": False},
         "has no regression, only landmarks: map it with --regression on"),
        ("both", {"landmarks": None, "regression": False}, "has no landmarks"),
    ],
)  # fmt: skip
def test_what_a_map_lacks_cannot_be_used(
    use: Sources, fields: dict[str, bool | None], words: str, view: KnownView
) -> None:
    with pytest.raises(ConfigError, match=f"scene 'known' {words}") as caught:
        make_regressor(landmark_scene(view, **fields), CPU, 100, use)
    assert "\n" not in str(caught.value)


def test_a_network_of_dsac_star_has_no_landmarks() -> None:
    scene = known_scene(KnowingNetwork())
    with pytest.raises(ConfigError, match="scene 'known' has no landmarks"):
        make_regressor(scene, CPU, 100, "landmarks")
    uses: tuple[Sources, ...] = ("both", "regression")
    for use in uses:
        image = np.zeros((48, 64), dtype=np.uint8)
        regressed = make_regressor(scene, CPU, 100, use)(image, scene.camera, None)
        assert regressed.landmarks is None
