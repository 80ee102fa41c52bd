# SPDX-License-Identifier: Apache-2.0
"""Random images for the tests of RANSAC."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from dsac_core.geometry.grid import cell_centres
from dsac_core.geometry.pose import invert, pose_error
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.solvers.kabsch import solve_kabsch
from dsac_core.solvers.pnp import refine_pnp


class Grid:
    """An image of random depth 1-4 m: true cells with noise, the rest anywhere in their box.

    The noise is in the scene points, as a network's is, of so many px; with depth, of as many cm.
    """

    def __init__(
        self,
        inliers: float,
        seed: int = 0,
        noise: float = 1.0,
        shape: tuple[int, int] = (60, 80),
        focal: tuple[float, float] = (525.0, 525.0),
        *,
        depth: bool = False,
        spacing: float = 1.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.world_T_cam = np.eye(4)
        self.world_T_cam[:3, :3] = Rotation.random(random_state=seed).as_matrix()
        self.world_T_cam[:3, 3] = rng.normal(size=3)
        centre = [4 * shape[1] - 0.5, 4 * shape[0] - 0.5]
        self.pixels = spacing * (cell_centres(*shape).double().numpy() - centre)
        count = len(self.pixels)
        self.focal = np.array(focal)
        shift = 0.0 if depth else noise
        seen = self.pixels + rng.normal(scale=shift, size=(count, 2))
        rays = np.column_stack([seen / self.focal, np.ones(count)])
        in_camera = rays * rng.uniform(1, 4, (count, 1))
        self.camera_points = in_camera.copy()
        self.measured = in_camera.copy() if depth else None
        if depth:
            in_camera += 0.01 * noise * rng.normal(size=in_camera.shape)
        self.points = in_camera @ self.world_T_cam[:3, :3].T + self.world_T_cam[:3, 3]
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        self.true = np.zeros(count, dtype=bool)
        self.true[rng.permutation(count)[: round(inliers * count)]] = True
        outliers = rng.uniform(low, high, (count, 3))
        self.points = np.where(self.true[:, None], self.points, outliers)
        self.weights = np.ones(count)
        self.threshold = 0.1 if depth else 10.0
        self.truth_B34 = torch.from_numpy(invert(self.world_T_cam)[:3])[None]

    def correspondences(
        self, dtype: torch.dtype = torch.float32, points_BN3: torch.Tensor | None = None
    ) -> Correspondences:
        """As a batch of one; ``points_BN3`` in place of its own."""
        points = torch.from_numpy(self.points)[None].to(dtype) if points_BN3 is None else points_BN3
        return Correspondences(
            torch.from_numpy(self.pixels)[None].to(dtype),
            points,
            torch.from_numpy(self.weights)[None].to(dtype),
            torch.from_numpy(self.focal)[None].to(dtype),
            None if self.measured is None else torch.from_numpy(self.measured)[None].to(dtype),
        )

    def floor(self) -> float:
        """Translation error in metres of the least squares on the true inliers, from the truth."""
        start = self.truth_B34[None]
        given = self.correspondences(torch.float64)
        if given.camera_points_BN3 is not None:
            true = torch.from_numpy(self.true).double()[None, None]
            fitted = solve_kabsch(given.camera_points_BN3, given.points_BN3, true)
            return pose_error(to_pose(fitted[0, 0]), self.world_T_cam)[0]
        fitted = refine_pnp(
            start,
            given.points_BN3,
            given.pixels_BN2,
            torch.from_numpy(self.true).double()[None, None],
            given.focal_B2,
            steps=50,
        )
        return pose_error(to_pose(fitted[0, 0]), self.world_T_cam)[0]


class SmallGrid(Grid):
    """Few cells with weights of their own, far apart: enough for gradients, cell by cell."""

    def __init__(
        self, *, depth: bool, seed: int = 0, inliers: float = 0.7, noise: float = 2.0,
        shape: tuple[int, int] = (10, 14),
    ) -> None:  # fmt: skip
        super().__init__(inliers, seed, noise, shape, (525.0, 500.0), depth=depth, spacing=6.0)
        self.weights = np.random.default_rng(seed).uniform(0.5, 1.5, len(self.points))


def stacked(several: list[Correspondences]) -> Correspondences:
    """Batches of the same kind as one."""
    names = [name for name, value in vars(several[0]).items() if value is not None]
    return Correspondences(
        **{name: torch.cat([getattr(one, name) for one in several]) for name in names}
    )


def to_pose(cam_T_world_34: torch.Tensor) -> np.ndarray:
    pose = np.eye(4)
    pose[:3] = cam_T_world_34.double().numpy()
    return invert(pose)
