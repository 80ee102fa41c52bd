# SPDX-License-Identifier: Apache-2.0
"""No holes and no nonsense: closed surfaces, lines along pixels, triangles of no area."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import trimesh

from dsac_core.data import rasterise_mesh as rasteriser
from dsac_core.data.render_depth import render_depth
from dsac_core.data.scene_model import SceneModel
from dsac_core.geometry.camera import Camera


@pytest.mark.parametrize("turns", range(3))
@pytest.mark.parametrize("subdivisions", [0, 2, 5])
def test_a_closed_surface_has_no_holes_from_inside(
    rigid: Any, subdivisions: int, turns: int
) -> None:
    """Also where many edges and corners lie exactly on pixels: the camera in the centre."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=2.0)
    rng = np.random.default_rng(turns)
    points = ball.vertices * rng.uniform(0.6, 1.0, (len(ball.vertices), 1))
    faces = np.asarray(ball.faces, dtype=np.int64)
    camera = Camera(128, 128, 40.0, 40.0, 64.0, 64.0)
    for shape in (np.asarray(ball.vertices), points):
        for at in ([0, 0, 0], [0.31, -0.4, 0.55]):
            world_T_cam = rigid(at, turns * rng.normal(size=3))
            depth = render_depth(SceneModel(shape, faces), camera, world_T_cam)
            assert (depth > 0.05).all()
            assert depth.max() <= 4.0


def test_a_box_whose_edges_run_along_pixels_has_no_holes() -> None:
    """Walls of many squares; every line of the grid passes through centres of pixels."""
    camera = Camera(65, 65, 32.0, 32.0, 32.0, 32.0)
    box = trimesh.creation.box(extents=(2, 2, 2))
    for _ in range(4):
        box = box.subdivide()
    model = SceneModel(np.asarray(box.vertices), np.asarray(box.faces, dtype=np.int64))
    np.testing.assert_allclose(render_depth(model, camera, np.eye(4)), 1.0, rtol=1e-6)


@pytest.mark.parametrize("largest_group", [0, 32])
def test_a_wall_whose_lines_all_run_through_pixels_has_no_holes(
    rigid: Any, monkeypatch: pytest.MonkeyPatch, largest_group: int
) -> None:
    """Seen in a turned frame, so that rounding puts the pixels now on this side, now on that."""
    monkeypatch.setattr(rasteriser, "LARGEST_GROUPED_BOX", largest_group)
    camera = Camera(65, 65, 37.3, 41.1, 32.0, 32.0)
    u, v = np.meshgrid(np.arange(-36.0, 37.0, 3.0), np.arange(-36.0, 37.0, 4.0))
    plane = np.stack([u / camera.fx, v / camera.fy, np.ones_like(u)], -1).reshape(-1, 3) * 2.7
    corner = np.arange(u.size).reshape(u.shape)
    square = [corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]]
    halves = [np.stack([square[i] for i in half], -1) for half in ([0, 1, 2], [0, 2, 3])]
    triangles = np.concatenate([half.reshape(-1, 3) for half in halves])
    for turn in np.random.default_rng(2).normal(size=(10, 3)):
        world_T_cam = rigid(turn, turn[::-1])
        points = plane @ world_T_cam[:3, :3].T + world_T_cam[:3, 3]
        depth = render_depth(SceneModel(points, triangles), camera, world_T_cam)
        np.testing.assert_allclose(depth, 2.7, rtol=1e-6)


def test_degenerate_triangles_are_nothing() -> None:
    points = np.array([[-0.5, -0.5, 2], [0, 0, 2], [0.5, 0.5, 2], [1, 1, 4]], dtype=np.float64)
    model = SceneModel(points, np.array([[1, 1, 1], [0, 0, 2], [0, 1, 2], [0, 2, 3]]))
    camera = Camera(65, 65, 32.0, 32.0, 32.0, 32.0)
    with np.errstate(all="raise"):
        assert (render_depth(model, camera, np.eye(4)) == 0).all()


@pytest.mark.parametrize("size", [0.1, 2.0])
def test_triangles_seen_all_but_edge_on_stay_between_their_corners(size: float) -> None:
    """Their normal and their distance are rounding errors."""
    rng = np.random.default_rng(11)
    camera = Camera(65, 65, 32.0, 32.0, 32.0, 32.0)
    points = np.concatenate([rng.uniform(-size, size, (300, 2)), rng.uniform(2, 3, (300, 1))], 1)
    points[:, 1] = rng.normal(scale=1e-17, size=300)
    model = SceneModel(points, np.arange(300).reshape(100, 3))
    depth = render_depth(model, camera, np.eye(4))
    assert (depth > 0).any()
    assert ((depth == 0) | ((depth >= 2) & (depth <= 3))).all()
