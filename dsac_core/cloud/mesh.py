# SPDX-License-Identifier: Apache-2.0
"""The surface through a point cloud.

Screened Poisson reconstruction (Kazhdan and Hoppe, ACM ToG 2013) as Open3D has it; what it makes up
far from the points is cut off again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    import trimesh
    from numpy.typing import NDArray

    from dsac_core.cloud.point_cloud import PointCloud

_NEIGHBOURS = 60  # that a normal is estimated from
_LEAST_DENSITY = 0.05  # quantile of the vertices' density
_FARTHEST = 4.0  # from a vertex to the nearest point: voxels, or spacings of the points
_WIDTH = 4.0  # voxels that a leaf of the octree has: points are not more exact than that
_DEEPEST = 10


def check_mesh_support() -> None:
    """Say early what is missing.

    Raises:
        ConfigError: Open3D is not there.
    """
    _open3d()


def surface_through(cloud: PointCloud, voxel: float) -> trimesh.Trimesh:
    """A coloured triangle mesh.

    Args:
        cloud: About one point in each voxel.
        voxel: Metres.

    Raises:
        ConfigError: Open3D is not there, or there are too few points.
    """
    import trimesh

    open3d = _open3d()
    if len(cloud) <= _NEIGHBOURS:
        msg = f"a mesh needs more than {_NEIGHBOURS} points, there are {len(cloud)}"
        raise ConfigError(msg)
    points = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.points_N3))
    points.colors = open3d.utility.Vector3dVector(cloud.colours_N3 / 255.0)
    points.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(_NEIGHBOURS))
    normals = towards_cameras(np.asarray(points.normals), cloud)
    points.normals = open3d.utility.Vector3dVector(normals)
    extent = float(np.ptp(cloud.points_N3, axis=0).max())
    depth = int(np.clip(np.ceil(np.log2(extent / (_WIDTH * voxel))), 4, _DEEPEST))
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        made, density = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
            points, depth=depth
        )
    vertices, density = np.asarray(made.vertices), np.asarray(density)
    tree = cKDTree(cloud.points_N3)
    spacing = np.quantile(tree.query(cloud.points_N3, k=2)[0][:, 1], 0.9)
    away, _ = tree.query(vertices)
    kept = away <= _FARTHEST * max(voxel, spacing)
    kept &= density >= np.quantile(density, _LEAST_DENSITY)
    colours = np.rint(255.0 * np.asarray(made.vertex_colors).clip(0.0, 1.0)).astype(np.uint8)
    mesh = trimesh.Trimesh(
        vertices, np.asarray(made.triangles), vertex_colors=colours, process=False
    )
    mesh.update_faces(kept[mesh.faces].all(axis=1))
    mesh.remove_unreferenced_vertices()
    return mesh


def towards_cameras(normals_N3: NDArray[np.float64], cloud: PointCloud) -> NDArray[np.float64]:
    """The normals of the cloud's points, each turned to the side that it was seen from."""
    ahead_N = ((cloud.cameras_N3 - cloud.points_N3) * normals_N3).sum(axis=1)
    return np.where(ahead_N[:, None] < 0, -normals_N3, normals_N3)


def _open3d() -> Any:
    try:
        return importlib.import_module("open3d")
    except ImportError as error:
        msg = f"meshes need Open3D ({error}): pip install open3d"
        raise ConfigError(msg) from error
