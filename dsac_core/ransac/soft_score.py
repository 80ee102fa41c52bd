# SPDX-License-Identifier: Apache-2.0
"""The soft inlier count of all hypotheses and its derivative, a few hypotheses at a time.

What `soft_inlier_count` gives of `Estimator.errors`, with the chain rule written out. Training has
64 hypotheses of 4800 residuals, and automatic differentiation keeps and fetches some twenty numbers
of each. Here they are computed a second time for the derivative, in blocks that fit into the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from dsac_core.ransac.scoring import soft_inlier_count, soft_inliers

if TYPE_CHECKING:
    from dsac_core.ransac.config import RansacConfig
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.ransac.estimator import Estimator

_RESIDUALS_AT_ONCE = {"cpu": 40_000, "cuda": 10_000_000}


def soft_inlier_counts(
    correspondences: Correspondences,
    estimator: Estimator,
    poses_BH34: torch.Tensor,
    config: RansacConfig,
) -> torch.Tensor:
    """Weighted soft inlier counts [B x H] (Eq. 34), differentiable in poses and scene points."""
    points = correspondences.points_BN3
    counts: torch.Tensor = _SoftInlierCounts.apply(  # type: ignore[no-untyped-call]
        poses_BH34, points, correspondences, estimator, config
    )
    return counts


class _SoftInlierCounts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        poses_BH34: torch.Tensor,
        points_BN3: torch.Tensor,
        correspondences: Correspondences,
        estimator: Estimator,
        config: RansacConfig,
    ) -> torch.Tensor:
        ctx.save_for_backward(poses_BH34, points_BN3)
        ctx.given = correspondences, estimator, config
        weights_BN = correspondences.weights_BN
        return torch.cat(
            [
                soft_inlier_count(estimator.errors(correspondences, some), weights_BN, config)
                for some in poses_BH34.split(_at_once(correspondences), dim=1)
            ],
            dim=1,
        )

    @staticmethod
    def backward(ctx: Any, gradient_BH: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        poses_BH34, points_BN3 = ctx.saved_tensors
        correspondences, estimator, config = ctx.given
        weights = correspondences.weights_BN[:, None]
        homogeneous = torch.cat([points_BN3, torch.ones_like(points_BN3[..., :1])], dim=-1)
        homogeneous_B4N = homogeneous.transpose(1, 2).contiguous()
        by_points_B3N = torch.zeros_like(homogeneous_B4N[:, :3])
        by_poses = []
        size = _at_once(correspondences)
        for some, outer in zip(
            poses_BH34.split(size, dim=1), gradient_BH.split(size, dim=1), strict=True
        ):
            residuals = estimator.residuals(correspondences, some)
            length = residuals.lengths()
            soft = soft_inliers(length, config)
            # d(count)/d|r| over |r|: what the residual vector is multiplied with.
            factor = (soft - 1.0).mul_(soft).mul_(weights).mul_(config.softness * outer[..., None])
            factor.div_(length.clamp_min(torch.finfo(length.dtype).eps))
            rows = residuals.pulled_back(factor)
            # Products with the long side last on the right take a fifth of the time.
            products = [homogeneous_B4N @ row.transpose(1, 2) for row in rows]
            by_poses.append(torch.stack(products, dim=1).permute(0, 3, 1, 2))
            for axis, row in enumerate(rows):
                by_points_B3N.baddbmm_(some[:, :, axis, :3].transpose(1, 2), row)
        return torch.cat(by_poses, dim=1), by_points_B3N.transpose(1, 2), None, None, None


def _at_once(correspondences: Correspondences) -> int:
    limit = _RESIDUALS_AT_ONCE[correspondences.weights_BN.device.type]
    return max(1, limit // max(1, correspondences.weights_BN.numel()))
