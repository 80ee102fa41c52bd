# SPDX-License-Identifier: Apache-2.0
"""Coloured points, and from where each was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from dsac_core.cloud.ply import write_ply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PointCloud:
    """N points of a place."""

    points_N3: NDArray[np.float64]  # metres
    colours_N3: NDArray[np.uint8]  # RGB
    cameras_N3: NDArray[np.float64]  # metres: where the cameras were that saw the points

    def __len__(self) -> int:
        """Number of points."""
        return len(self.points_N3)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> PointCloud:
        """Those of a mask, or at indices."""
        return PointCloud(self.points_N3[chosen], self.colours_N3[chosen], self.cameras_N3[chosen])

    def moved(self, a_T_b: NDArray[np.float64]) -> PointCloud:
        """The same points of frame b in frame a."""
        turn, shift = a_T_b[:3, :3], a_T_b[:3, 3]
        return PointCloud(
            self.points_N3 @ turn.T + shift, self.colours_N3, self.cameras_N3 @ turn.T + shift
        )

    def thinned(self, voxel: float) -> PointCloud:
        """One point in each cube of ``voxel`` metres: the mean of those that are there."""
        if len(self) == 0:
            return self
        cubes_N3 = np.floor(self.points_N3 / voxel).astype(np.int64)
        _, cube_N = np.unique(cubes_N3, axis=0, return_inverse=True)
        cube_N = cube_N.reshape(-1)  # NumPy 2.0 keeps a second axis
        count_V = np.bincount(cube_N)

        def means(values_N3: NDArray[np.generic]) -> NDArray[np.float64]:
            return np.stack(
                [np.bincount(cube_N, weights=column) / count_V for column in values_N3.T], axis=1
            )

        colours = np.rint(means(self.colours_N3)).astype(np.uint8)
        return PointCloud(means(self.points_N3), colours, means(self.cameras_N3))

    def without_outliers(self, neighbours: int = 8, deviations: float = 3.0) -> PointCloud:
        """Without points that are far from others.

        Those go whose mean distance to the nearest ``neighbours`` exceeds the mean of that over
        all points by so many standard deviations (Rusu et al., "Towards 3D point cloud based
        object maps for household environments", RAS 2008, section 4.1).
        """
        if len(self) <= neighbours:
            return self
        distance_NK, _ = cKDTree(self.points_N3).query(self.points_N3, k=neighbours + 1)
        mean_N = distance_NK[:, 1:].mean(axis=1)
        return self[mean_N <= mean_N.mean() + deviations * mean_N.std()]

    def bounds(self) -> NDArray[np.float64]:
        """Corners [2 x 3] of the box around all points, metres; there is at least one."""
        return np.stack([self.points_N3.min(axis=0), self.points_N3.max(axis=0)])

    def write_ply(self, file: Path) -> None:
        """Write points and colours as binary PLY, whole or not at all."""
        import trimesh

        write_ply(trimesh.PointCloud(self.points_N3, colors=self.colours_N3), file)


def joined(clouds: Sequence[PointCloud]) -> PointCloud:
    """All points of all clouds."""
    nothing = PointCloud(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros((0, 3)))
    parts = [nothing, *clouds]
    return PointCloud(
        np.concatenate([cloud.points_N3 for cloud in parts]),
        np.concatenate([cloud.colours_N3 for cloud in parts]),
        np.concatenate([cloud.cameras_N3 for cloud in parts]),
    )
