# SPDX-License-Identifier: Apache-2.0
"""The one RANSAC loop: sample, score, select the best, refine it on its inliers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.geometry.pose import invert
from dsac_core.ransac.covariance import pose_covariance
from dsac_core.ransac.kabsch_estimator import KabschEstimator
from dsac_core.ransac.pnp_estimator import PnpEstimator
from dsac_core.ransac.scoring import soft_inlier_count, soft_inlier_share
from dsac_core.ransac.search import search_hypotheses
from dsac_core.ransac.selection import Selection, select
from dsac_core.ransac.significance import is_significant
from dsac_core.solvers.least_squares import cauchy, truncated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.ransac.config import RansacConfig
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.ransac.estimator import Estimator
    from dsac_core.ransac.scoring import Scorer


@dataclass(frozen=True)
class RansacResult:
    """One pose per image; where ``found_B`` is false the other entries mean nothing."""

    cam_T_world_B34: torch.Tensor
    found_B: torch.Tensor
    inliers_BN: torch.Tensor  # bool
    score_B: torch.Tensor  # soft inlier count of the refined pose
    covariance_B66: torch.Tensor  # of world_T_cam, float64, REP-103
    draws: int  # minimal sets drawn per image

    def world_T_cam(self, image: int = 0) -> NDArray[np.float64]:
        """The pose [4 x 4] of one image's camera in the scene."""
        cam_T_world = np.eye(4)
        cam_T_world[:3] = self.cam_T_world_B34[image].double().cpu().numpy()
        return invert(cam_T_world)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrix products add in another order on another number of threads.

    One is also the fastest for an image: what there is to compute at a time is small.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
@torch.no_grad()
def estimate_poses(
    correspondences: Correspondences,
    config: RansacConfig,
    generator: torch.Generator,
    *,
    prior_B34: torch.Tensor | None = None,
    scorer: Scorer | None = None,
    selection: Selection = "argmax",
) -> RansacResult:
    """Camera poses of a batch of images (Eq. 4-6): PnP, or Kabsch if there are camera points.

    No input raises: where there is no pose, ``found_B`` is false. On a CPU it runs on one thread.

    Args:
        correspondences: Of B images.
        config: The settings; the inlier threshold is in px for PnP, in metres for Kabsch.
        generator: On the CPU, decides every draw: the same state gives the same result on any
            number of threads.
        prior_B34: cam_T_world that enter the pool as hypotheses, NaN where an image has none.
        scorer: Scores the pool in place of the soft inlier count, on all correspondences: a
            `ScoreNet`, for instance, or `hard_inlier_share`.
        selection: How one of the pool is chosen.
    """
    estimator = estimator_of(correspondences)
    if correspondences.weights_BN.shape[1] < estimator.check_size:
        return _nothing_found(correspondences, draws=0)
    pool = search_hypotheses(correspondences, estimator, config, generator, prior_B34)
    if pool.scores_BH.shape[1] == 0:
        return _nothing_found(correspondences, pool.draws)
    poses = pool.poses_BH34[:, :1]  # the best: they are sorted
    if scorer is not None or selection != "argmax":
        scorer = scorer or soft_inlier_share(config)
        scores = estimator.score(correspondences, pool.poses_BH34, scorer)
        scores = scores.masked_fill(~pool.scores_BH.isfinite(), -torch.inf)
        poses = select(pool.poses_BH34, scores, selection, generator)[:, None]
    return refine_poses(correspondences, poses[:, 0], config, draws=pool.draws)


@_one_thread()
@torch.no_grad()
def refine_poses(
    correspondences: Correspondences,
    cam_T_world_B34: torch.Tensor,
    config: RansacConfig,
    *,
    draws: int = 0,
    settled: bool = False,
) -> RansacResult:
    """The second half of RANSAC: poses refined on the inliers that they have (Eq. 6), and judged.

    Args:
        correspondences: Of B images.
        cam_T_world_B34: Where to start.
        config: The settings.
        draws: What it took to come there.
        settled: They were refined before, with weights that were a little otherwise: what robust
            weights at the end bring is all there is to gain.
    """
    estimator = estimator_of(correspondences)
    poses = cam_T_world_B34[:, None]
    weights = correspondences.weights_BN[:, None]
    steps = config.max_refinements
    if config.robust_scale is None or not settled:
        kernel = truncated(config.inlier_threshold)
        poses = estimator.refine(correspondences, poses, weights, kernel, steps=steps)
    errors = estimator.errors(correspondences, poses)
    inliers_BN = ((errors < config.inlier_threshold) & (weights > 0))[:, 0]
    if config.robust_scale is not None:
        kernel = cauchy(config.robust_scale)
        poses = estimator.refine(correspondences, poses, weights, kernel, steps=steps)
        errors = estimator.errors(correspondences, poses)
    covariance_B66 = pose_covariance(estimator, correspondences, poses[:, 0], inliers_BN)
    inliers_B = inliers_BN.sum(dim=1)
    chance_B = estimator.chance_of_inlier(correspondences, config.inlier_threshold)
    found = (
        (inliers_B >= config.min_inliers)
        & is_significant(inliers_B, correspondences.count_B, chance_B, estimator.set_size)
        & poses.isfinite().flatten(1).all(dim=1)
        & covariance_B66.isfinite().flatten(1).all(dim=1)
    )
    return RansacResult(
        cam_T_world_B34=poses[:, 0],
        found_B=found,
        inliers_BN=inliers_BN,
        score_B=soft_inlier_count(errors, correspondences.weights_BN, config)[:, 0],
        covariance_B66=covariance_B66,
        draws=draws,
    )


def score_poses(
    correspondences: Correspondences, cam_T_world_B34: torch.Tensor, config: RansacConfig
) -> torch.Tensor:
    """The weighted soft inlier count [B] of a pose of each image (Eq. 34)."""
    errors = estimator_of(correspondences).errors(correspondences, cam_T_world_B34[:, None])
    return soft_inlier_count(errors, correspondences.weights_BN, config)[:, 0]


def estimator_of(correspondences: Correspondences) -> Estimator:
    """Kabsch where there are camera points, else PnP."""
    return PnpEstimator() if correspondences.camera_points_BN3 is None else KabschEstimator()


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
