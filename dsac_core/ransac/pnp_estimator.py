# SPDX-License-Identifier: Apache-2.0
"""The RGB case: P3P, reprojection errors, Gauss-Newton on the inliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsac_core.solvers.p3p import solve_p3p
from dsac_core.solvers.pnp import MIN_DEPTH, refine_pnp, reprojection_errors

if TYPE_CHECKING:
    from dsac_core.ransac.correspondences import Correspondences


class PnpEstimator:
    """Poses ``cam_T_world`` from 2D-3D correspondences."""

    sample_size = 4  # three to solve, the fourth to choose among the solutions

    def generate(
        self, correspondences: Correspondences, draws_BS4: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One pose per minimal set, by P3P.

        Returns:
            Poses [B x S x 3 x 4] and the largest reprojection error [B x S] within the own set,
            in px, infinite where there is no solution.
        """
        batch, sets = draws_BS4.shape[:2]
        image = torch.arange(batch, device=draws_BS4.device)[:, None, None]
        pixels = correspondences.pixels_BN2[image, draws_BS4]
        points = correspondences.points_BN3[image, draws_BS4]
        focal = correspondences.focal_B2[:, None, None]
        # Batch last: [point, component, B * S].
        rays = torch.cat([pixels / focal, torch.ones_like(pixels[..., :1])], dim=-1)
        unit_rays = rays / rays.norm(dim=-1, keepdim=True)
        world = points.permute(2, 3, 0, 1).flatten(2)
        solutions = solve_p3p(unit_rays[:, :, :3].permute(2, 3, 0, 1).flatten(2), world[:3])

        rotation, translation = solutions.rotation_433N, solutions.translation_43N
        in_camera = (rotation[:, None] * world[None, :, None]).sum(dim=3) + translation[:, None]
        depth = in_camera[:, :, 2]
        seen = rays[..., :2].permute(2, 3, 0, 1).flatten(2)
        scale = correspondences.focal_B2.T[:, :, None].expand(2, batch, sets).flatten(1)
        difference = (in_camera[:, :, :2] / depth.clamp_min(MIN_DEPTH)[:, :, None] - seen) * scale
        error = difference.square().sum(dim=2).sqrt()
        fits = solutions.valid_4N[:, None] & (depth > MIN_DEPTH) & error.isfinite()
        worst_4N = torch.where(fits, error, torch.inf).amax(dim=1)
        worst, best = worst_4N.min(dim=0)

        poses = torch.cat([rotation, translation[:, :, None]], dim=2)  # 4 x 3 x 4 x BS
        poses = poses.gather(0, best.expand(1, 3, 4, -1))[0].permute(2, 0, 1)
        return poses.unflatten(0, (batch, sets)), worst.unflatten(0, (batch, sets))

    def errors(self, correspondences: Correspondences, poses_BH34: torch.Tensor) -> torch.Tensor:
        """Residuals r(y, h) [B x H x N] of all correspondences under each pose (Eq. 10), px."""
        return reprojection_errors(
            poses_BH34,
            correspondences.points_BN3,
            correspondences.pixels_BN2,
            correspondences.focal_B2,
        )

    def refine(
        self,
        correspondences: Correspondences,
        poses_BH34: torch.Tensor,
        weights_BHN: torch.Tensor,
        steps: int = 10,
    ) -> torch.Tensor:
        """The poses of least weighted squared reprojection error (Eq. 26), from where they are."""
        return refine_pnp(
            poses_BH34,
            correspondences.points_BN3,
            correspondences.pixels_BN2,
            weights_BHN,
            correspondences.focal_B2,
            steps=steps,
        )
