# SPDX-License-Identifier: Apache-2.0
"""Points are thinned, cleared of outliers, moved and written as what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from stand_in import pose_near

from dsac_core.cloud.point_cloud import PointCloud, joined


def cloud_of(points: np.ndarray, seed: int = 0) -> PointCloud:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, points.shape, dtype=np.uint8)
    return PointCloud(np.asarray(points, np.float64), colours, points - np.array([0.0, 0.0, 2.0]))


def sheet(size: int = 20) -> np.ndarray:
    """Points on a square of two metres."""
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(size**2)])


def test_one_point_stays_in_each_voxel_the_mean() -> None:
    points = np.array([[0.01, 0.01, 0.01], [0.03, 0.01, 0.09], [-0.01, 0.01, 0.01], [5.0, 0, 0]])
    colours = np.array([[0, 10, 250], [20, 11, 255], [9, 9, 9], [1, 2, 3]], np.uint8)
    thinned = PointCloud(points, colours, 10.0 + points).thinned(0.1)
    order = thinned.points_N3[:, 0].argsort()
    expected = [[-0.01, 0.01, 0.01], [0.02, 0.01, 0.05], [5.0, 0.0, 0.0]]
    np.testing.assert_allclose(thinned.points_N3[order], expected)
    np.testing.assert_array_equal(thinned.colours_N3[order], [[9, 9, 9], [10, 10, 252], [1, 2, 3]])
    np.testing.assert_allclose(thinned.cameras_N3, 10.0 + thinned.points_N3)


def test_points_far_from_others_go() -> None:
    lonely = np.array([[0.0, 0.0, 0.8], [3.0, 0.0, 0.0]])
    cloud = cloud_of(np.concatenate([sheet(), lonely]))
    kept = cloud.without_outliers()
    np.testing.assert_array_equal(kept.points_N3, sheet())
    np.testing.assert_array_equal(kept.colours_N3, cloud.colours_N3[:-2])
    few = cloud[np.arange(5)]
    assert len(few.without_outliers()) == 5


def test_moved_with_the_cameras() -> None:
    cloud, a_T_b = cloud_of(sheet(4)), pose_near(5)
    moved = cloud.moved(a_T_b)
    for before, after in (
        (cloud.points_N3, moved.points_N3),
        (cloud.cameras_N3, moved.cameras_N3),
    ):
        expected = [(a_T_b @ [*point, 1.0])[:3] for point in before]
        np.testing.assert_allclose(after, expected, atol=1e-12)


def test_ply_holds_points_and_colours(tmp_path: Path) -> None:
    cloud = cloud_of(sheet(5) * 2.0 + [1.0, 2.0, 3.0])
    file = tmp_path / "new" / "cloud.ply"
    cloud.write_ply(file)
    assert file.read_bytes().startswith(b"ply\nformat binary_little_endian")
    read = trimesh.load(file)
    np.testing.assert_allclose(read.vertices, cloud.points_N3, atol=1e-6)
    np.testing.assert_array_equal(read.colors[:, :3], cloud.colours_N3)
    np.testing.assert_array_equal(cloud.bounds(), [[-1.0, 0.0, 3.0], [3.0, 4.0, 3.0]])


def test_nothing_is_a_cloud_too() -> None:
    nothing = joined([])
    assert len(nothing.thinned(0.1).without_outliers()) == 0
    assert len(joined([nothing, cloud_of(sheet(3)), cloud_of(sheet(2))])) == 13
