# SPDX-License-Identifier: Apache-2.0
"""The one RANSAC loop: sample, score, select the best, refine it on its inliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dsac_core.ransac.covariance import pnp_covariance
from dsac_core.ransac.pnp_estimator import PnpEstimator
from dsac_core.ransac.sampling import sample_hypotheses
from dsac_core.ransac.scoring import soft_inlier_count

if TYPE_CHECKING:
    from dsac_core.ransac.config import RansacConfig
    from dsac_core.ransac.correspondences import Correspondences

_REWEIGHTINGS = 5


@dataclass(frozen=True)
class RansacResult:
    """One pose per image; where ``found_B`` is false the other entries mean nothing."""

    cam_T_world_B34: torch.Tensor
    found_B: torch.Tensor
    inliers_BN: torch.Tensor  # bool
    score_B: torch.Tensor  # soft inlier count of the refined pose
    covariance_B66: torch.Tensor  # of world_T_cam, float64, REP-103
    draws: int  # minimal sets drawn per image


def estimate_poses(
    correspondences: Correspondences, config: RansacConfig, generator: torch.Generator
) -> RansacResult:
    """Camera poses of a batch of images (Eq. 4-6 with the soft inlier count of Eq. 34).

    ``generator``, on the CPU, decides every draw: the same state gives the same result on any
    number of threads. No input raises: where there is no pose, ``found_B`` is false.
    """
    estimator = PnpEstimator()
    hypotheses = sample_hypotheses(correspondences, estimator, config, generator)
    if hypotheses.scores_BH.shape[1] == 0:
        return _nothing_found(correspondences, hypotheses.draws)
    poses = hypotheses.poses_BH34[:, :1]  # the best: they are sorted
    poses, inliers_BN = _refine(correspondences, estimator, poses, config)
    if config.robust_scale is not None:
        poses = _reweight(correspondences, estimator, poses, config.robust_scale)
    errors = estimator.errors(correspondences, poses)
    covariance_B66 = pnp_covariance(correspondences, poses[:, 0], inliers_BN)
    found = (
        hypotheses.scores_BH[:, 0].isfinite()
        & (inliers_BN.sum(dim=1) >= config.min_inliers)
        & poses.isfinite().flatten(1).all(dim=1)
        & covariance_B66.isfinite().flatten(1).all(dim=1)
    )
    return RansacResult(
        cam_T_world_B34=poses[:, 0],
        found_B=found,
        inliers_BN=inliers_BN,
        score_B=soft_inlier_count(errors, correspondences.weights_BN, config)[:, 0],
        covariance_B66=covariance_B66,
        draws=hypotheses.draws,
    )


def _refine(
    correspondences: Correspondences,
    estimator: PnpEstimator,
    poses_B134: torch.Tensor,
    config: RansacConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve on the inliers until the inlier set rests (Eq. 32), or swings between two."""
    usable = (correspondences.weights_BN > 0)[:, None]
    earlier: list[torch.Tensor] = []
    for _ in range(config.max_refinements):
        errors = estimator.errors(correspondences, poses_B134)
        inliers = (errors < config.inlier_threshold) & usable
        may_change = config.resting_share * inliers.sum(dim=-1)
        if any((((inliers ^ before).sum(dim=-1)) <= may_change).all() for before in earlier[-2:]):
            break
        earlier.append(inliers)
        weights = inliers * correspondences.weights_BN[:, None]
        poses_B134 = estimator.refine(correspondences, poses_B134, weights)
    return poses_B134, inliers[:, 0]


def _reweight(
    correspondences: Correspondences,
    estimator: PnpEstimator,
    poses_B134: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Iteratively reweighted least squares with Cauchy weights, 1 / (1 + (r / scale)^2).

    The hard cut at the threshold counts a cell of 9 px like one of 1 px; here it counts for less.
    Correspondences beyond the reach of the weights, ten times the scale, stay out.
    """
    weights_B1N = correspondences.weights_BN[:, None]
    for _ in range(_REWEIGHTINGS):
        errors = estimator.errors(correspondences, poses_B134)
        cauchy = (1.0 + (errors / scale).square()).reciprocal() * (errors < 10.0 * scale)
        poses_B134 = estimator.refine(correspondences, poses_B134, cauchy * weights_B1N, steps=2)
    return poses_B134


def _nothing_found(correspondences: Correspondences, draws: int) -> RansacResult:
    batch, count = correspondences.weights_BN.shape
    blank = correspondences.weights_BN.new_full((), torch.nan)
    device = blank.device
    return RansacResult(
        cam_T_world_B34=blank.expand(batch, 3, 4),
        found_B=torch.zeros(batch, dtype=torch.bool, device=device),
        inliers_BN=torch.zeros(batch, count, dtype=torch.bool, device=device),
        score_B=torch.zeros(batch, device=device),
        covariance_B66=blank.double().expand(batch, 6, 6),
        draws=draws,
    )
