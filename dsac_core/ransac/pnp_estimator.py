# SPDX-License-Identifier: Apache-2.0
"""The RGB case: P3P, reprojection errors, PnP on the inliers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from dsac_core.ransac.estimator import Candidates, Estimator
from dsac_core.solvers.implicit import attach_pnp
from dsac_core.solvers.p3p import solve_p3p
from dsac_core.solvers.pnp import Reprojection, reproject

if TYPE_CHECKING:
    from dsac_core.ransac.correspondences import Correspondences


class PnpEstimator(Estimator):
    """Poses from 2D-3D correspondences."""

    residual_size = 2
    set_size = 3
    check_size = 4  # P3P has up to four roots; a fourth point tells the right one

    def generate(self, sets: Correspondences, threshold: float) -> Candidates:
        """All roots of P3P, each with its three points in front of the camera."""
        del threshold  # three points always fit
        pixels = sets.pixels_BN2[:, :3] / sets.focal_B2[:, None]
        x, y = pixels.permute(2, 1, 0)
        scale = (x * x + y * y + 1.0).rsqrt()
        rays_33S = torch.stack([x * scale, y * scale, scale], dim=1)
        solutions = solve_p3p(rays_33S, sets.points_BN3[:, :3].permute(1, 2, 0))
        poses = torch.cat([solutions.rotation_33K, solutions.translation_3K[:, None]], dim=1)
        return Candidates(poses.permute(2, 0, 1), solutions.triple_K)

    def residuals(self, correspondences: Correspondences, poses_BH34: torch.Tensor) -> Reprojection:
        """Reprojection, in px; points behind the camera never fit."""
        return reproject(
            poses_BH34,
            correspondences.points_BN3,
            correspondences.pixels_BN2,
            correspondences.focal_B2,
        )

    def attach(
        self, correspondences: Correspondences, poses_BH34: torch.Tensor, weights_BHN: torch.Tensor
    ) -> torch.Tensor:
        """Solved PnP poses with their derivative (Eq. 31)."""
        return attach_pnp(
            poses_BH34,
            correspondences.points_BN3,
            correspondences.pixels_BN2,
            weights_BHN,
            correspondences.focal_B2,
        )

    def chance_of_inlier(self, correspondences: Correspondences, threshold: float) -> torch.Tensor:
        """The threshold's disk as a share of the part of the image that has correspondences."""
        extent = correspondences.extent(correspondences.pixels_BN2)
        area = (extent + 2.0 * threshold).prod(dim=1)
        return math.pi * threshold**2 / area
