# SPDX-License-Identifier: Apache-2.0
"""Minimal sets, drawn at random by weight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from dsac_core.ransac.config import RansacConfig
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.ransac.estimator import Estimator


_CHECKS = 8  # correspondences that check one pose
LARGEST_ROUND = 4096  # sets


def draw_sets(
    correspondences: Correspondences, count: int, size: int, generator: torch.Generator
) -> torch.Tensor:
    """Indices [B x count x size] of correspondences, each with the probability of its weight.

    Of two sources, each gives a third of the sets alone, and both together another third: where
    one of them knows nothing of an image, the sets of the other are not spoilt.
    ``generator``, on the CPU, decides every draw.
    """
    batch = len(correspondences.weights_BN)
    weights = correspondences.weights_BN
    if correspondences.source_BN is None and bool(
        ((weights == weights[:, :1]) & (weights > 0)).all()
    ):
        place = torch.rand(batch, count, size, generator=generator, dtype=torch.float64)
        return (place * weights.shape[1]).long().to(weights.device)
    # An image without any weight draws the last correspondence again and again: no pose.
    pools = pools_of(correspondences)
    shares = [len(range(first, count, len(pools))) for first in range(len(pools))]
    rows = [
        draw_by_weight(pool, share * size, generator).view(batch, share, size)
        for pool, share in zip(pools, shares, strict=True)
    ]
    return torch.cat(rows, dim=1)


def pools_of(correspondences: Correspondences) -> list[torch.Tensor]:
    """Weights [B x N] of what sets are drawn from: of all, and of each source, where both count."""
    weights, source = correspondences.weights_BN, correspondences.source_BN
    if source is None:
        return [weights]
    alone = [weights * ~source, weights * source]
    if not all(bool((pool > 0).any(dim=1).all()) for pool in alone):
        return [weights]
    return [weights, *alone]


def draw_by_weight(
    weights_BN: torch.Tensor, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Indices [B x count], each with the probability of its weight; the last if there is none."""
    cumulative = weights_BN.double().cumsum(dim=1)
    place = torch.rand(len(cumulative), count, generator=generator).to(cumulative)
    rows = torch.searchsorted(cumulative, place * cumulative[:, -1:], right=True)
    bounded: torch.Tensor = rows.clamp_max(cumulative.shape[1] - 1)
    return bounded


def solve_minimal_sets(
    correspondences: Correspondences,
    estimator: Estimator,
    rows_BSn: torch.Tensor,
    config: RansacConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pose [B x S x 3 x 4] of each set that fits it best, and whether it fits [B x S] (Eq. 3).

    A pose fits if it brings every correspondence of its own set within the inlier threshold; a set
    that has one twice has no pose. The poses carry their derivative in the scene points of their
    sets.
    """
    batch, count, _ = rows_BSn.shape
    sets = correspondences.sets(rows_BSn)
    with torch.no_grad():
        candidates = estimator.generate(sets, config.inlier_threshold)
        chosen = candidates.set_K
        errors = estimator.errors(sets.pick(chosen), candidates.poses_K34[:, None])[:, 0]
        worst_K = errors.amax(dim=1)
        worst_S = torch.full_like(sets.weights_BN[:, 0], torch.inf)
        worst_S = worst_S.scatter_reduce(0, chosen, worst_K, "amin")
        best = (worst_K <= worst_S[chosen]).nonzero()[:, 0]
        poses = torch.eye(3, 4).to(worst_S).repeat(len(worst_S), 1, 1)
        poses[chosen[best]] = candidates.poses_K34[best]
        fits = (worst_S < config.inlier_threshold) & ~_repeats(rows_BSn.flatten(0, 1))
    if correspondences.points_BN3.requires_grad:
        solved = sets.subset(torch.arange(estimator.set_size, device=rows_BSn.device))
        poses = estimator.attach(solved, poses[:, None], solved.weights_BN[:, None])[:, 0]
    return poses.unflatten(0, (batch, count)), fits.unflatten(0, (batch, count))


@torch.no_grad()
def sample_minimal_sets(
    correspondences: Correspondences,
    estimator: Estimator,
    config: RansacConfig,
    generator: torch.Generator,
) -> torch.Tensor:
    """Minimal sets [B x M x n] whose pose fits them, as DSAC* draws its hypotheses.

    Sets are drawn in growing rounds until every image has M = ``config.hypotheses``, or
    ``config.max_draws`` were drawn; what is missing then is filled with sets that do not fit.

    Where a last correspondence only checks the others' pose, several are drawn to check the same
    pose, and the first that fits it is the set's last. Each set is as likely as if it were drawn
    alone, and where inliers are rare most of the work is not done in vain.
    """
    batch, checked = len(correspondences.weights_BN), estimator.check_size > estimator.set_size
    spares = _CHECKS - 1 if checked else 0
    rows = correspondences.weights_BN.new_zeros(batch, 0, estimator.check_size, dtype=torch.long)
    fits = torch.zeros(batch, 0, dtype=torch.bool, device=rows.device)
    image_B1 = torch.arange(batch, device=rows.device)[:, None]
    draws, size = 0, min(2 * config.hypotheses, config.max_draws)
    while draws < config.max_draws and bool((fits.sum(dim=1) < config.hypotheses).any()):
        size = min(size, config.max_draws - draws)
        drawn = draw_sets(correspondences, size, estimator.check_size + spares, generator)
        drawn, drawn_fits = _first_fitting(correspondences, estimator, drawn, config)
        rows, fits = torch.cat([rows, drawn], dim=1), torch.cat([fits, drawn_fits], dim=1)
        first = torch.sort(~fits, dim=1, stable=True).indices[:, : config.hypotheses]
        rows, fits = rows[image_B1, first], fits[image_B1, first]
        draws += size
        rate = float(drawn_fits.double().mean(dim=1).min())
        missing = config.hypotheses - int(fits.sum(dim=1).min())
        wanted = math.ceil(1.3 * missing / max(rate, 1e-6))
        size = min(4 * size, LARGEST_ROUND, max(wanted, config.hypotheses))
    return rows


def _first_fitting(
    correspondences: Correspondences,
    estimator: Estimator,
    rows_BSm: torch.Tensor,
    config: RansacConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each set's checks the first that fits, as sets [B x S x n], and whether any does."""
    batch, count, _ = rows_BSm.shape
    size, threshold = estimator.set_size, config.inlier_threshold
    sets = correspondences.sets(rows_BSm)
    candidates = estimator.generate(sets, threshold)
    errors = estimator.errors(sets.pick(candidates.set_K), candidates.poses_K34[:, None])[:, 0]
    # All of what was solved for must fit, and one of the checks.
    solved = errors[:, :size].amax(dim=1, keepdim=True)
    worst_Kc = torch.maximum(solved, errors[:, size:]) if errors.shape[1] > size else solved
    worst_Sc = worst_Kc.new_full((batch * count, worst_Kc.shape[1]), torch.inf)
    index_Kc = candidates.set_K[:, None].expand_as(worst_Kc)
    fits_Sc = worst_Sc.scatter_reduce(0, index_Kc, worst_Kc, "amin") < threshold
    rows = rows_BSm.flatten(0, 1)
    if rows.shape[1] > size:
        # A correspondence that was solved for fits every root, and checks none.
        known_Sc = (rows[:, size:, None] == rows[:, None, :size]).any(dim=2)
        fits_Sc = fits_Sc & ~known_Sc
        check = fits_Sc.to(torch.uint8).argmax(dim=1, keepdim=True)
        rows = torch.cat([rows[:, :size], rows[:, size:].gather(1, check)], dim=1)
    return rows.unflatten(0, (batch, count)), fits_Sc.any(dim=1).unflatten(0, (batch, count))


def _repeats(rows_Sn: torch.Tensor) -> torch.Tensor:
    """Whether a set has a correspondence twice."""
    ordered = rows_Sn.sort(dim=1).values
    return (ordered[:, 1:] == ordered[:, :-1]).any(dim=1)
