# SPDX-License-Identifier: Apache-2.0
"""The search for the pose that most correspondences agree on.

DSAC* draws four correspondences a set, three to solve and one to check. Where one in ten is right,
one set in ten thousand is. Here a set has three, and what checks its poses is a jury of
correspondences, the same for all: a tenth of the sets do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from dsac_core.ransac.sampling import LARGEST_ROUND, draw_sets, pools_of
from dsac_core.ransac.scoring import agreement, soft_inlier_count
from dsac_core.ransac.significance import is_significant
from dsac_core.solvers.least_squares import geman_mcclure

if TYPE_CHECKING:
    from dsac_core.ransac.config import RansacConfig
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.ransac.estimator import Candidates, Estimator

_JURY = 64
_FIRST_ROUND = 64
_AT_ONCE = 1024  # poses before the jury: what stays in the cache
_CLEARLY_BETTER = 1.1  # times the score of a prior
_POLISHED = 2  # hypotheses a round, on the way to their minimum
_POLISHING_STEPS = 2


class Hypotheses(NamedTuple):
    """The best hypotheses of each image, best first."""

    poses_BH34: torch.Tensor  # cam_T_world
    scores_BH: torch.Tensor  # soft inlier counts, minus infinity where a slot is empty
    draws: int  # minimal sets per image


@torch.no_grad()
def search_hypotheses(
    correspondences: Correspondences,
    estimator: Estimator,
    config: RansacConfig,
    generator: torch.Generator,
    prior_B34: torch.Tensor | None = None,
) -> Hypotheses:
    """Draw minimal sets in growing rounds and keep the hypotheses that most agree with.

    The jury ranks the poses of a round; the best of them are scored by
    ``config.scored_correspondences``, and the few best of these move towards their minimum there.
    The search ends once so many sets were drawn that, with ``config.confidence``, one held inliers
    of the best pose alone, or after ``config.max_draws``: a hopeless image costs a bounded time.
    While a prior leads that more correspondences agree with than chance would have it, the search
    is for poses that twice as many agree with: an eighth of the draws.

    Args:
        correspondences: Of B images.
        estimator: The kind of correspondence.
        config: The settings.
        generator: On the CPU; decides every draw.
        prior_B34: cam_T_world that also enter the pool, NaN where an image has none.
    """
    rows = _shuffled_rows(correspondences, config, generator)
    jury, scored = correspondences.subset(rows[:_JURY]), correspondences.subset(rows)
    pool = _Pool(scored, estimator, config)
    if prior_B34 is not None:
        pool.add(prior_B34[:, None].to(correspondences.points_BN3))
        pool.polish()
        to_beat = _CLEARLY_BETTER * pool.significant_score()
    batch = len(correspondences.weights_BN)
    draws, size = 0, _FIRST_ROUND
    while draws < config.max_draws:
        size = min(size, config.max_draws - draws)
        drawn = draw_sets(correspondences, size, estimator.set_size, generator)
        candidates = estimator.generate(correspondences.sets(drawn), config.inlier_threshold)
        draws += size
        poses = _by_image(candidates, size, batch)
        if poses.shape[1]:
            poses = _shortlist(poses, jury, estimator, config)
            # Where there are draws enough already, refinement does it on all correspondences.
            if pool.add(poses) and pool.missing_draws(draws) > 0:
                pool.polish()
        expected = prior_B34 is not None and bool((pool.scores_BH[:, 0] <= to_beat).all())
        missing = pool.missing_draws(draws, times_better=2.0 if expected else 1.0)
        if missing <= 0:
            break
        size = min(4 * size, LARGEST_ROUND, max(_FIRST_ROUND, math.ceil(missing)))
    return Hypotheses(pool.poses_BH34, pool.scores_BH, draws)


class _Pool:
    """The best hypotheses so far."""

    def __init__(self, scored: Correspondences, estimator: Estimator, config: RansacConfig) -> None:
        self.scored, self.estimator, self.config = scored, estimator, config
        self.poses_BH34 = scored.points_BN3.new_zeros(len(scored.points_BN3), 0, 3, 4)
        self.scores_BH = self.poses_BH34[..., 0, 0]
        self._pools_BNP = torch.stack(pools_of(scored), dim=2)
        self._share_BP = self._pools_BNP.new_zeros(self._pools_BNP[:, 0].shape)  # of inliers
        self._kernel = geman_mcclure(config.inlier_threshold)

    def add(self, poses_BK34: torch.Tensor) -> bool:
        """Score poses, keep the best, and say whether there is a new best of an image.

        A pose that is not finite has no score, and zeros in its place.
        """
        finite = poses_BK34.isfinite().flatten(2).all(dim=2)
        poses_BK34 = torch.where(finite[..., None, None], poses_BK34, 0.0)
        weights = self.scored.weights_BN
        errors = self.estimator.errors(self.scored, poses_BK34)
        scores = soft_inlier_count(errors, weights, self.config)
        scores = scores.masked_fill(~finite, -torch.inf)
        inliers = (errors < self.config.inlier_threshold).to(weights.dtype)
        whole = self._pools_BNP.sum(dim=1).clamp_min(torch.finfo(weights.dtype).tiny)
        share_BHP = torch.matmul(inliers, self._pools_BNP) / whole[:, None]
        self._share_BP = torch.maximum(self._share_BP, share_BHP.amax(dim=1))
        poses = torch.cat([self.poses_BH34, poses_BK34], dim=1)
        before = self.scores_BH.shape[1]
        scores = torch.cat([self.scores_BH, scores], dim=1)
        self.scores_BH, order = scores.sort(dim=1, descending=True, stable=True)
        self.scores_BH = self.scores_BH[:, : self.config.hypotheses]
        self.poses_BH34 = _take(poses, order[:, : self.config.hypotheses])
        return bool((order[:, 0] >= before).any())

    def polish(self) -> None:
        """Move the best towards their minimum on the scored correspondences, and add those."""
        best = self.poses_BH34[:, :_POLISHED]
        weights = self.scored.weights_BN[:, None]
        steps = _POLISHING_STEPS
        self.add(self.estimator.refine(self.scored, best, weights, self._kernel, steps=steps))

    def significant_score(self) -> torch.Tensor:
        """The best score [B]; minus infinity where chance would do as well."""
        best = self.estimator.errors(self.scored, self.poses_BH34[:, :1])[:, 0]
        inliers_B = ((best < self.config.inlier_threshold) & (self.scored.weights_BN > 0)).sum(1)
        chance_B = self.estimator.chance_of_inlier(self.scored, self.config.inlier_threshold)
        count_B, size = self.scored.count_B, self.estimator.set_size
        significant = is_significant(inliers_B, count_B, chance_B, size)
        return torch.where(significant, self.scores_BH[:, 0], -torch.inf)

    def missing_draws(self, draws: int, times_better: float = 1.0) -> float:
        """How many more sets, until with the confidence asked for one held only inliers.

        Of the best pose, or of one that so many times as many agree with.
        """
        share_BP = (times_better * self._share_BP.double()).clamp(1e-6, 1.0 - 1e-6)
        all_inliers = share_BP**self.estimator.set_size
        needed_BP = math.log(1.0 - self.config.confidence) / torch.log1p(-all_inliers)
        pools = needed_BP.shape[1]  # each gets its share of the draws
        return float(pools * needed_BP.amin(dim=1).max()) - draws


def _shuffled_rows(
    correspondences: Correspondences, config: RansacConfig, generator: torch.Generator
) -> torch.Tensor:
    """Which correspondences score, in random order; those without weight come last."""
    count = correspondences.weights_BN.shape[1]
    rows = torch.randperm(count, generator=generator).to(correspondences.weights_BN.device)
    weightless = (correspondences.weights_BN[:, rows] <= 0).all(dim=0)
    rows = rows[torch.sort(weightless, stable=True).indices]
    return rows[: config.scored_correspondences]


def _by_image(candidates: Candidates, size: int, batch: int) -> torch.Tensor:
    """Candidates of ``size`` sets an image [B x P x 3 x 4], NaN where one has fewer than most."""
    if batch == 1:
        return candidates.poses_K34[None]
    image_K = candidates.set_K // size
    counts = torch.bincount(image_K, minlength=batch)
    place = torch.arange(len(image_K), device=image_K.device) - (counts.cumsum(0) - counts)[image_K]
    poses = candidates.poses_K34.new_full((batch, int(counts.max()), 3, 4), torch.nan)
    poses[image_K, place] = candidates.poses_K34
    return poses


def _shortlist(
    poses_BP34: torch.Tensor, jury: Correspondences, estimator: Estimator, config: RansacConfig
) -> torch.Tensor:
    """The hypotheses that the jury agrees with most."""
    kept = config.hypotheses
    if poses_BP34.shape[1] <= kept:
        return poses_BP34
    scores = [
        agreement(estimator.residuals(jury, some).squared_BHN, jury.weights_BN, config)
        for some in poses_BP34.split(_AT_ONCE, dim=1)
    ]
    ranked = torch.cat(scores, dim=1).nan_to_num(nan=-1.0)
    return _take(poses_BP34, ranked.topk(kept, dim=1).indices)


def _take(poses_BH34: torch.Tensor, index_BK: torch.Tensor) -> torch.Tensor:
    return poses_BH34.gather(1, index_BK[:, :, None, None].expand(-1, -1, 3, 4))
