# SPDX-License-Identifier: Apache-2.0
"""Rendering against rays met with triangles one by one, planes, discs and the office."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dsac_core.data import rasterise_mesh as rasteriser
from dsac_core.data.render_depth import render_depth
from dsac_core.data.scene_model import SceneModel
from dsac_core.errors import ConfigError
from dsac_core.geometry.camera import Camera
from dsac_core.synthetic import CAMERA, office, render_view, walk_poses

NEAR = 0.05  # metres, as documented
# Nothing about it is symmetric.
SKEW = Camera(width=90, height=64, fx=71.0, fy=58.0, cx=37.25, cy=40.5)
OFFICE_CAMERA = CAMERA.scaled(320, 240)


def rays_of(camera: Camera) -> np.ndarray:
    """[H x W x 3], with z = 1, through the centres of the pixels."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float64)
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], -1)


def cast(model: SceneModel, camera: Camera, world_T_cam: np.ndarray) -> np.ndarray:
    """The plain reference: each ray in the world against each triangle (Möller and Trumbore)."""
    rays = rays_of(camera).reshape(-1, 3) @ world_T_cam[:3, :3].T
    best = np.full(len(rays), np.inf)
    for a, b, c in model.points_N3[model.triangles_T3]:
        ab, ac, from_a = b - a, c - a, world_T_cam[:3, 3] - a
        across = np.cross(rays, ac)
        determinant = across @ ab
        with np.errstate(divide="ignore", invalid="ignore"):
            share_b = across @ from_a / determinant
            share_c = rays @ np.cross(from_a, ab) / determinant
            depth = ac @ np.cross(from_a, ab) / determinant
        hit = (share_b >= 0) & (share_c >= 0) & (share_b + share_c <= 1) & (depth >= NEAR)
        best = np.where(hit & (depth < best), depth, best)
    return np.where(np.isinf(best), 0.0, best).reshape(camera.height, camera.width)


def soup(rng: np.random.Generator, count: int, size: float, reach: float = 3.0) -> SceneModel:
    """Triangles around the origin, also behind and across the camera there."""
    centres = rng.uniform(-reach, reach, (count, 1, 3))
    corners = centres + rng.normal(scale=size, size=(count, 3, 3))
    return SceneModel(corners.reshape(-1, 3), np.arange(3 * count).reshape(count, 3))


def agree(depth: np.ndarray, truth: np.ndarray) -> None:
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth > 0, truth > 0)
    np.testing.assert_allclose(depth, truth, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [0.004, 0.02, 0.1, 1.0])
def test_it_is_so_about_the_near_plane(rigid: Any, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    model = soup(rng, 300, size, reach=0.06)
    agree(render_depth(model, SKEW, np.eye(4)), cast(model, SKEW, np.eye(4)))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("count", "size"), [(400, 0.02), (200, 0.3), (25, 3.0), (16, 30.0)])
def test_it_is_every_ray_against_every_triangle(
    rigid: Any, seed: int, count: int, size: float
) -> None:
    rng = np.random.default_rng([seed, count])
    model = soup(rng, count, size)
    world_T_cam = rigid(rng.normal(size=3), rng.normal(size=3))
    truth = cast(model, SKEW, world_T_cam)
    assert (truth > 0).any()
    agree(render_depth(model, SKEW, world_T_cam), truth)


def test_drawing_in_groups_and_one_by_one_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = soup(np.random.default_rng(3), 150, 0.5)
    truth = cast(model, SKEW, np.eye(4))
    for name, value in (("LARGEST_GROUPED_BOX", 0), ("LARGEST_GROUPED_BOX", 1 << 20), ("BLOCK", 7)):
        with monkeypatch.context() as patch:
            patch.setattr(rasteriser, name, value)
            patch.setattr(rasteriser, "GROUP_PIXELS", 500)
            agree(render_depth(model, SKEW, np.eye(4)), truth)


def test_triangles_through_the_near_plane_are_cut(rigid: Any) -> None:
    """Corners behind the camera, in its plane, and between it and the near plane."""
    corners = np.array(
        [
            [[-2, 0.5, -3], [2, 0.5, -3], [0.1, 0.5, 6]],  # two behind
            [[-1, -0.5, 4], [2, -0.6, 3], [0, -0.4, -2]],  # one behind
            [[0.3, 0.01, 0], [0.3, -2, 3], [0.3, 2, 3]],  # one in the plane of the camera
            [[-0.2, 0.0, 0.02], [-0.2, -1, 2], [-0.25, 1, 2]],  # one before the near plane
            [[-9, 3, -1], [9, 3, -1], [0, 3, 0.049]],  # not seen
        ],
        dtype=np.float64,
    )
    world_T_cam = rigid([1.0, -2.0, 0.5], [0.3, 0.4, -0.2])
    for chosen in ([0], [1], [2], [3], [4], [0, 1, 2, 3, 4]):
        points = corners[chosen].reshape(-1, 3) @ world_T_cam[:3, :3].T + world_T_cam[:3, 3]
        model = SceneModel(points, np.arange(len(points)).reshape(-1, 3))
        truth = cast(model, SKEW, world_T_cam)
        assert (truth > 0).any() == (chosen != [4])
        agree(render_depth(model, SKEW, world_T_cam), truth)


def quad(corners: Any) -> SceneModel:
    return SceneModel(np.array(corners, dtype=np.float64), np.array([[0, 1, 2], [0, 2, 3]]))


def test_a_floor_of_two_triangles_under_the_camera() -> None:
    """Below the horizon all is floor: depth is h fy / (v - cy)."""
    height = 1.3
    far = 1e4
    floor = quad(
        [[-far, height, -far], [far, height, -far], [far, height, far], [-far, height, far]]
    )
    depth = render_depth(floor, SKEW, np.eye(4))
    v = np.arange(SKEW.height)[:, None] * np.ones((1, SKEW.width))
    below = v > SKEW.cy
    truth = np.where(below, height * SKEW.fy / np.where(below, v - SKEW.cy, 1.0), 0.0)
    np.testing.assert_allclose(depth, truth, rtol=1e-5)


def test_a_slanted_plane_and_a_moved_camera(rigid: Any) -> None:
    """n . x = d in the world; depth of a ray r from c is (d - n . c) / (n . R r)."""
    normal, distance = np.array([0.3, -0.2, 0.9]), 4.0
    grid = np.array([[-50, -50], [50, -50], [50, 50], [-50, 50]], dtype=np.float64)
    z = (distance - grid @ normal[:2]) / normal[2]
    world_T_cam = rigid([0.4, -0.3, 0.2], [0.1, -0.2, 0.3])
    depth = render_depth(quad(np.column_stack([grid, z])), SKEW, world_T_cam)
    slope = rays_of(SKEW) @ world_T_cam[:3, :3].T @ normal
    np.testing.assert_allclose(depth, (distance - normal @ world_T_cam[:3, 3]) / slope, rtol=1e-5)


def test_a_square_covers_the_pixels_whose_centres_it_covers() -> None:
    camera = Camera(20, 16, 10.0, 5.0, 7.0, 6.0)
    left, top, right, bottom = 2.9, 4.0, 11.0, 9.1  # pixels
    corners = [
        [(u - 7.0) / 10.0 * 2, (v - 6.0) / 5.0 * 2, 2]
        for u, v in ((left, top), (right, top), (right, bottom), (left, bottom))
    ]
    expected = np.zeros((16, 20))
    expected[4:10, 3:12] = 2.0
    np.testing.assert_array_equal(render_depth(quad(corners), camera, np.eye(4)), expected)


def test_the_nearest_wins_in_any_order_and_from_both_sides() -> None:
    near, far = (
        np.array([[-1, -1, 2], [1, -1, 2], [0, 1, 2]]),
        np.array([[-2, -2, 3], [2, -2, 3], [0, 2, 3]]),
    )
    truth = None
    for first, second in ((near, far), (far, near)):
        for order in ([0, 1, 2], [2, 1, 0]):
            model = SceneModel(
                np.concatenate([first, second]).astype(np.float64),
                np.array([order, [3 + i for i in order]]),
            )
            depth = render_depth(model, SKEW, np.eye(4))
            truth = cast(model, SKEW, np.eye(4)) if truth is None else truth
            agree(depth, truth)
            assert set(np.unique(depth)) == {0.0, 2.0, 3.0}


def test_far_from_the_origin_nothing_is_lost(rigid: Any) -> None:
    """A frame of the world as surveyors have it, millions of metres away."""
    model = soup(np.random.default_rng(7), 100, 0.4)
    near = render_depth(model, SKEW, np.eye(4))
    shift = np.array([4.4e5, 5.3e6, 120.0])
    moved = SceneModel(model.points_N3 + shift, model.triangles_T3)
    far = render_depth(moved, SKEW, rigid(shift))
    assert (np.abs(near - far) < 1e-5 * near + 1e-5).mean() > 0.999


def test_nothing_in_view_is_zero() -> None:
    triangle = np.array([[0, 1, 2]])
    for triangles in (triangle, None):
        for corners in (
            [[0, 0, -2], [1, 0, -2], [0, 1, -3]],  # behind
            [[50, 0, 2], [51, 0, 2], [50, 1, 2]],  # beside
            [[0, 0, 0.04], [0.01, 0, 0.04], [0, 0.01, 0.04]],  # too near
        ):
            model = SceneModel(np.array(corners, dtype=np.float64), triangles)
            depth = render_depth(model, SKEW, np.eye(4))
            assert depth.shape == (SKEW.height, SKEW.width)
            assert (depth == 0).all()


@pytest.mark.parametrize("radius", [0.6, 1.0, 2.5, 4.0])
def test_points_are_discs_and_the_nearest_wins(rigid: Any, radius: float) -> None:
    rng = np.random.default_rng(5)
    points = rng.uniform(-2, 2, (60, 3))
    world_T_cam = rigid([0.1, 0.2, -1.5], [0.2, -0.1, 0.3])
    in_camera = (points - world_T_cam[:3, 3]) @ world_T_cam[:3, :3]
    assert (in_camera[:, 2] < NEAR).any()
    v, u = np.mgrid[0 : SKEW.height, 0 : SKEW.width]
    truth = np.full(u.shape, np.inf)
    for x, y, z in in_camera[in_camera[:, 2] >= NEAR]:
        column, row = SKEW.fx * x / z + SKEW.cx, SKEW.fy * y / z + SKEW.cy
        covered = (u - column) ** 2 + (v - row) ** 2 <= radius**2
        truth[covered] = np.minimum(truth[covered], z)
    truth[np.isinf(truth)] = 0.0
    depth = render_depth(SceneModel(points, None), SKEW, world_T_cam, point_radius=radius)
    agree(depth, truth)
    assert (depth > 0).any()


def test_a_hidden_point_vanishes() -> None:
    points = np.array([[0, 0, 2.0], [0, 0, 3.0], [1.0, 0, 3.0]])
    depth = render_depth(SceneModel(points, None), SKEW, np.eye(4))
    v, u = np.nonzero(depth == 3.0)
    assert len(u) == pytest.approx(np.pi * 4.0**2, rel=0.1)
    assert u.mean() == pytest.approx(SKEW.cx + SKEW.fx / 3, abs=0.5)
    assert v.mean() == pytest.approx(SKEW.cy, abs=0.5)
    assert (depth == 2.0).any()


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), float("inf")])
def test_a_radius_is_positive(radius: float) -> None:
    with pytest.raises(ConfigError, match="point_radius"):
        render_depth(SceneModel(np.ones((1, 3)), None), SKEW, np.eye(4), point_radius=radius)


@pytest.fixture(scope="module")
def room() -> Any:
    return office(0)


def test_the_office_as_a_mesh_is_what_its_own_ray_caster_sees(room: Any) -> None:
    """Its surfaces are seen from one side only, unlike ours: there ours may be nearer."""
    count = len(room.shape.corners)
    corner = 4 * np.arange(count)[:, None] + np.arange(4)
    triangles = np.concatenate([corner[:, [0, 1, 2]], corner[:, [0, 2, 3]]])
    model = SceneModel(room.shape.corners.reshape(-1, 3), triangles)
    poses = walk_poses("mapping", room.options).world_T_cam
    for at in (0, 150, 300, 500):
        _, truth = render_view(room, OFFICE_CAMERA, poses[at], antialias=False)
        depth = render_depth(model, OFFICE_CAMERA, poses[at])
        assert (depth > 0).all()
        same = np.abs(depth - truth) < 1e-4 * truth
        assert same.mean() > 0.995
        assert (depth <= truth * 1.0001)[~same].mean() > 0.9 or (~same).sum() < 20


def test_a_cloud_of_some_views_is_the_depth_of_another(room: Any) -> None:
    poses = walk_poses("mapping", room.options).world_T_cam
    rays = rays_of(OFFICE_CAMERA)
    cloud = []
    for at in (140, 146, 154, 160):
        _, depth = render_view(room, OFFICE_CAMERA, poses[at], antialias=False)
        in_camera = (rays * depth[..., None])[depth > 0].astype(np.float64)
        cloud.append(in_camera @ poses[at][:3, :3].T + poses[at][:3, 3])
    model = SceneModel(np.concatenate(cloud), None)
    _, truth = render_view(room, OFFICE_CAMERA, poses[150], antialias=False)
    depth = render_depth(model, OFFICE_CAMERA, poses[150], point_radius=1.0)
    both = (depth > 0) & (truth > 0)
    assert both.mean() > 0.9
    error = depth[both] - truth[both]
    assert abs(np.median(error)) < 0.005
    assert np.median(np.abs(error)) < 0.01
