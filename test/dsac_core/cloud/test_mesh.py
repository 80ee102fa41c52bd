# SPDX-License-Identifier: Apache-2.0
"""A surface goes through the points, faces the cameras, and ends where the points end."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from dsac_core.cloud.mesh import check_mesh_support, surface_through, towards_cameras
from dsac_core.cloud.point_cloud import PointCloud
from dsac_core.errors import ConfigError

VOXEL = 0.02


def hill() -> PointCloud:
    """Of two metres, one point in each voxel, seen from above; red in the east."""
    x, y = np.meshgrid(np.arange(-1.0, 1.0, VOXEL), np.arange(-1.0, 1.0, VOXEL))
    points = np.column_stack([x.ravel(), y.ravel(), height(x, y).ravel()])
    colours = np.where(points[:, :1] > 0, [[200, 0, 0]], [[0, 0, 200]]).astype(np.uint8)
    return PointCloud(points, colours, np.tile([0.0, 0.0, 3.0], (len(points), 1)))


def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(0.3 * np.exp(-4.0 * (x**2 + y**2)))


def test_normals_turn_to_where_points_were_seen_from() -> None:
    points = np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 2.0], [1.0, 0.0, 0.0]])
    cameras = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]])
    cloud = PointCloud(points, np.zeros((3, 3), np.uint8), cameras)
    normals = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    turned = towards_cameras(normals, cloud)
    np.testing.assert_array_equal(turned, [[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])


def test_without_open3d_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ConfigError, match=r"pip install open3d$"):
        check_mesh_support()


def test_surface_of_a_hill() -> None:
    pytest.importorskip("open3d", reason="an optional extra of 400 MB")
    mesh = surface_through(hill(), VOXEL)
    x, y, z = mesh.vertices.T
    inside = np.abs(mesh.vertices[:, :2]).max(axis=1) < 0.9
    assert inside.mean() > 0.7
    assert np.abs(z - height(x, y))[inside].max() < VOXEL
    assert np.abs(mesh.vertices).max() < 1.0 + 8 * VOXEL
    assert np.quantile(mesh.face_normals[:, 2], 0.05) > 0.3
    red = mesh.visual.vertex_colors[:, 0] > 100
    assert red[inside & (x > 0.1)].all()
    assert not red[inside & (x < -0.1)].any()
    with pytest.raises(ConfigError, match="needs more than 60 points, there are 9"):
        surface_through(hill()[np.arange(9)], VOXEL)
