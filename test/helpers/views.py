# SPDX-License-Identifier: Apache-2.0
"""Random 2D-3D correspondences for the tests of the solvers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from dsac_core.geometry.se3 import retract
from dsac_core.solvers.pnp import Reprojection, refine_pnp, reproject

FOCAL = (525.0, 480.0)


class Views:
    """B images with N noisy correspondences each and H poses near the truth."""

    def __init__(
        self,
        batch: int = 1,
        hypotheses: int = 1,
        count: int = 60,
        seed: int = 0,
        noise: float = 1.0,
        outliers: float = 0.0,
        near: float = 1.0,
        far: float = 4.0,
    ) -> None:
        self.rng = rng = np.random.default_rng(seed)
        rotation = Rotation.random(batch, random_state=seed).as_matrix()
        translation = rng.normal(size=(batch, 3))
        depth = np.exp(rng.uniform(np.log(near), np.log(far), (batch, count, 1)))
        pixels = rng.uniform([-320, -240], [320, 240], (batch, count, 2))
        rays = np.concatenate([pixels / FOCAL, np.ones((batch, count, 1))], axis=2)
        points = np.einsum("bji,bnj->bni", rotation, rays * depth - translation[:, None])
        wrong = rng.uniform(size=(batch, count, 1)) < outliers
        points = np.where(wrong, rng.uniform(-4.0, 4.0, points.shape), points)
        self.points = torch.from_numpy(points)
        self.pixels = torch.from_numpy(pixels + rng.normal(scale=noise, size=pixels.shape))
        self.focal = torch.tensor([FOCAL], dtype=torch.float64).expand(batch, 2)
        truth = torch.from_numpy(np.concatenate([rotation, translation[..., None]], axis=2))
        self.truth = truth[:, None]
        self.weights = torch.ones(batch, hypotheses, count, dtype=torch.float64)
        self.start = self.truth
        self.move_start(0.03)

    def move_start(self, size: float) -> None:
        """Start so many metres and radians away from the truth."""
        batch, hypotheses, _ = self.weights.shape
        step = torch.from_numpy(self.rng.normal(scale=size, size=(batch, hypotheses, 6)))
        self.start = retract(self.truth.expand(-1, hypotheses, -1, -1), step)

    def at(self, poses_BH34: torch.Tensor, dtype: torch.dtype = torch.float64) -> Reprojection:
        """The residuals under given poses."""
        given = (poses_BH34, self.points, self.pixels, self.focal)
        return reproject(*(each.to(dtype) for each in given))

    def errors(self, poses_BH34: torch.Tensor) -> torch.Tensor:
        """Their lengths, px."""
        return self.at(poses_BH34).squared_BHN.sqrt()

    def refine(self, **options: Any) -> torch.Tensor:
        """Least squares from the start."""
        return refine_pnp(self.start, self.points, self.pixels, self.weights, self.focal, **options)
