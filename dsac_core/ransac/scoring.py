# SPDX-License-Identifier: Apache-2.0
"""How good a pose is, from its residuals."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dsac_core.ransac.config import RansacConfig

# Scores [B x H] from errors [B x H x N] and weights [B x N], differentiable: the soft inlier count,
# or a network on the image of residuals.
Scorer = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def hard_inlier_count(
    errors_BHN: torch.Tensor, weights_BN: torch.Tensor, config: RansacConfig
) -> torch.Tensor:
    """Number of correspondences [B x H] with a residual below the threshold (Eq. 5)."""
    inliers = (errors_BHN < config.inlier_threshold) & (weights_BN > 0)[:, None]
    return inliers.sum(dim=-1)


def soft_inlier_count(
    errors_BHN: torch.Tensor, weights_BN: torch.Tensor, config: RansacConfig
) -> torch.Tensor:
    """Weighted soft inlier count [B x H], differentiable in the residuals (Eq. 34)."""
    return torch.matmul(soft_inliers(errors_BHN, config), weights_BN[..., None])[..., 0]


def soft_inliers(errors_BHN: torch.Tensor, config: RansacConfig) -> torch.Tensor:
    """How much of an inlier each correspondence is [B x H x N]: the sigmoid of Eq. 34."""
    softness = config.softness
    return torch.sigmoid(softness * config.inlier_threshold - softness * errors_BHN)


def soft_inlier_share(config: RansacConfig) -> Scorer:
    """The soft inlier count over the number of correspondences, times the sharpness.

    So alpha of Eq. 36 is 100 / |Y| by default, whatever the number of correspondences.
    """

    def score(errors_BHN: torch.Tensor, weights_BN: torch.Tensor) -> torch.Tensor:
        return share_score(soft_inlier_count(errors_BHN, weights_BN, config), weights_BN, config)

    return score


def hard_inlier_share(config: RansacConfig) -> Scorer:
    """The number of inliers (Eq. 5) in the same scale; it has no derivative."""

    def score(errors_BHN: torch.Tensor, weights_BN: torch.Tensor) -> torch.Tensor:
        counts = hard_inlier_count(errors_BHN, weights_BN, config).to(errors_BHN.dtype)
        return share_score(counts, weights_BN, config)

    return score


def share_score(
    counts_BH: torch.Tensor, weights_BN: torch.Tensor, config: RansacConfig
) -> torch.Tensor:
    """Scores [B x H] of soft inlier counts, as `soft_inlier_share` has them."""
    count_B = (weights_BN > 0).sum(dim=1).clamp_min(1)
    return config.sharpness * counts_BH / count_B[:, None]


def agreement(
    squared_BHN: torch.Tensor, weights_BN: torch.Tensor, config: RansacConfig
) -> torch.Tensor:
    """Weighted sum [B x H] of 1 - |r|^2 / tau^2 over the inliers: a cheap score to rank by."""
    scale = -1.0 / config.inlier_threshold**2
    return torch.matmul((1.0 + scale * squared_BHN).clamp_min(0.0), weights_BN[..., None])[..., 0]
