# SPDX-License-Identifier: Apache-2.0
"""All hypotheses to their minima, with derivatives: what training needs of refinement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsac_core.solvers.least_squares import geman_mcclure, is_definite, truncated

if TYPE_CHECKING:
    from dsac_core.ransac.config import RansacConfig
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.ransac.estimator import Estimator

_FIRST_CORRESPONDENCES = 400
_FIRST_STEPS = 8
_SAME = 0.05  # inlier thresholds of difference in the inliers' errors, up to which poses are one


def refine_hypotheses(
    correspondences: Correspondences,
    estimator: Estimator,
    poses_BH34: torch.Tensor,
    wanted_BH: torch.Tensor,
    config: RansacConfig,
) -> torch.Tensor:
    """R(h_j, Y) [B x H x 3 x 4] of hypotheses, with its derivative in the scene points (Eq. 33).

    Each hypothesis first moves towards its minimum on part of the correspondences, with a smooth
    kernel. Those that meet there go on as one, which is most of them where an image is good; so
    the minimum on the inliers among all correspondences is sought once, not M times. The
    derivative is that of the last solve, on the inliers at the minimum.

    Args:
        correspondences: Of B images, differentiable in their scene points.
        estimator: The kind of correspondence.
        poses_BH34: The hypotheses.
        wanted_BH: Which to refine; the others come back as they are, and so do those whose inliers
            leave the pose open.
        config: The settings.
    """
    if not bool(wanted_BH.any()):
        return poses_BH34
    image_B1 = torch.arange(len(poses_BH34), device=poses_BH34.device)[:, None]
    with torch.no_grad():
        # Wanted ones first, and no more columns than the image with the most of them has.
        order = torch.sort(~wanted_BH, dim=1, stable=True).indices
        order = order[:, : int(wanted_BH.sum(dim=1).max())]
        some = _evenly(correspondences)
        smooth = geman_mcclure(config.inlier_threshold)
        poses = poses_BH34.detach()[image_B1, order]
        poses = estimator.refine(some, poses, some.weights_BN[:, None], smooth, steps=_FIRST_STEPS)
        leaders, member = _merge(estimator.errors(some, poses), config)
        weights = correspondences.weights_BN[:, None]
        cut = truncated(config.inlier_threshold)
        steps = config.max_refinements
        poses = estimator.refine(
            correspondences, poses[image_B1, leaders], weights, cut, steps=steps
        )
        residuals = estimator.residuals(correspondences, poses)
        inliers = cut(residuals.squared_BHN)[1] * weights
        # With two inliers, or some on a line, there are many minima, and none is the pose.
        determined = is_definite(residuals.normal_equations(inliers)[0], poses.dtype)
        place = torch.zeros_like(wanted_BH, dtype=torch.long).scatter(1, order, member)
        refined_BH = wanted_BH & determined[image_B1, place]
    solved = estimator.attach(correspondences, poses, inliers)
    return torch.where(refined_BH[..., None, None], solved[image_B1, place], poses_BH34)


def _evenly(correspondences: Correspondences) -> Correspondences:
    total = correspondences.weights_BN.shape[1]
    if total <= _FIRST_CORRESPONDENCES:
        return correspondences
    device = correspondences.weights_BN.device
    rows = torch.linspace(0, total - 1, _FIRST_CORRESPONDENCES, dtype=torch.float64, device=device)
    return correspondences.subset(rows.round().long())


def _merge(errors_BHN: torch.Tensor, config: RansacConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Which poses stand for others [B x U], and for each [B x H] the place of the one for it.

    Two poses are one if the errors of what are inliers of either hardly differ.
    """
    threshold = config.inlier_threshold
    bounded = errors_BHN.clamp_max(threshold)
    inliers_BH = (errors_BHN < threshold).sum(dim=2).to(bounded.dtype)
    either = 0.5 * (inliers_BH[:, :, None] + inliers_BH[:, None, :])
    root_mean = torch.cdist(bounded, bounded) / either.clamp_min(1.0).sqrt()
    same = root_mean < _SAME * threshold
    same = same | torch.eye(same.shape[1], dtype=torch.bool, device=same.device)
    first_BH = same.to(torch.uint8).argmax(dim=2)
    stands = torch.zeros_like(first_BH, dtype=torch.bool).scatter_(1, first_BH, value=True)
    leaders = torch.sort(~stands, dim=1, stable=True).indices[:, : int(stands.sum(dim=1).max())]
    return leaders, (stands.cumsum(dim=1) - 1).gather(1, first_BH)
