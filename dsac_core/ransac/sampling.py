# SPDX-License-Identifier: Apache-2.0
"""Hypotheses from minimal sets, drawn in rounds until there are enough."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from dsac_core.ransac.scoring import hard_inlier_count, soft_inlier_count

if TYPE_CHECKING:
    from dsac_core.ransac.config import RansacConfig
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.ransac.pnp_estimator import PnpEstimator


class Hypotheses(NamedTuple):
    """The best hypotheses of each image, best first."""

    poses_BH34: torch.Tensor  # cam_T_world
    scores_BH: torch.Tensor  # soft inlier counts, minus infinity where a slot is empty
    draws: int  # minimal sets per image


def sample_hypotheses(
    correspondences: Correspondences,
    estimator: PnpEstimator,
    config: RansacConfig,
    generator: torch.Generator,
) -> Hypotheses:
    """Draw minimal sets, keep the hypotheses that fit their own set, and score them.

    Sampling goes in growing rounds. It ends with ``config.hypotheses`` per image, or once so many
    sets were drawn that with ``config.confidence`` one had only inliers of the best pose yet, or
    after ``config.max_draws``; so a hopeless image costs a bounded time. A set whose pose misses
    one of its own points by the inlier threshold is dropped. Scores are those of at most
    ``config.scored_correspondences``, drawn at random: enough to tell which hypothesis is best.
    """
    usable_BN = correspondences.weights_BN > 0
    batch = len(usable_BN)
    pixels = correspondences.pixels_BN2
    poses_BH34 = pixels.new_zeros(batch, 0, 3, 4)
    scores_BH = pixels.new_zeros(batch, 0)
    accepted_B = torch.zeros(batch, dtype=torch.long, device=pixels.device)
    best_inliers_B = torch.zeros_like(accepted_B)
    draws, size = 0, max(1, config.draws_per_round // 4)
    hopeless_B = usable_BN.sum(dim=1) < estimator.sample_size
    if hopeless_B.all():
        return Hypotheses(poses_BH34, scores_BH, draws)
    # A hopeless image must not take the others of its batch with it: it draws, but keeps nothing.
    probabilities = torch.where(hopeless_B[:, None], 1.0, correspondences.weights_BN)
    probabilities = probabilities.cpu()  # the generator lives on the CPU
    scored = _scoring_subset(correspondences, config, generator)
    scored_weights, scored_count_B = scored.weights_BN, scored.count_B.clamp_min(1)
    while draws < config.max_draws:
        size = min(size, config.max_draws - draws)
        sets = torch.multinomial(
            probabilities, size * estimator.sample_size, replacement=True, generator=generator
        )
        sets = sets.to(pixels.device).unflatten(1, (size, estimator.sample_size))
        new_poses, worst_error = estimator.generate(correspondences, sets)
        draws += size
        fits = (worst_error < config.inlier_threshold) & ~hopeless_B[:, None]
        accepted_B += fits.sum(dim=1)
        kept = min(config.hypotheses, int(fits.sum(dim=1).max()))
        if kept:
            order = torch.sort(fits.to(torch.uint8), dim=1, descending=True, stable=True).indices
            order = order[:, :kept]
            new_poses = new_poses.gather(1, order[:, :, None, None].expand(-1, -1, 3, 4))
            errors = estimator.errors(scored, new_poses)
            new_scores = soft_inlier_count(errors, scored_weights, config)
            new_scores = new_scores.masked_fill(~fits.gather(1, order), -torch.inf)
            counts = hard_inlier_count(errors, scored_weights, config)
            best_inliers_B = torch.maximum(best_inliers_B, counts.amax(dim=1))
            scores_BH = torch.cat([scores_BH, new_scores], dim=1)
            poses_BH34 = torch.cat([poses_BH34, new_poses], dim=1)
            scores_BH, best = scores_BH.sort(dim=1, descending=True, stable=True)
            scores_BH, best = scores_BH[:, : config.hypotheses], best[:, : config.hypotheses]
            poses_BH34 = poses_BH34.gather(1, best[:, :, None, None].expand(-1, -1, 3, 4))
        enough = (accepted_B >= config.hypotheses) | hopeless_B
        ratio = (best_inliers_B / scored_count_B).clamp(1e-6, 1 - 1e-6).double()
        needed = math.log(1.0 - config.confidence) / torch.log1p(-(ratio**estimator.sample_size))
        if (enough | (needed <= draws)).all():
            break
        size = min(4 * size, 8 * config.draws_per_round)
    return Hypotheses(poses_BH34, scores_BH, draws)


def _scoring_subset(
    correspondences: Correspondences, config: RansacConfig, generator: torch.Generator
) -> Correspondences:
    count = correspondences.weights_BN.shape[1]
    if count <= config.scored_correspondences:
        return correspondences
    rows = torch.randperm(count, generator=generator)[: config.scored_correspondences]
    return correspondences.subset(rows.to(correspondences.weights_BN.device))
