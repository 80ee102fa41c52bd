# SPDX-License-Identifier: Apache-2.0
"""How good a pose is, from its residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from dsac_core.ransac.config import RansacConfig


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
    softness = config.softness
    soft = torch.sigmoid(softness * config.inlier_threshold - softness * errors_BHN)
    return (soft * weights_BN[:, None]).sum(dim=-1)
