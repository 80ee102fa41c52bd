# SPDX-License-Identifier: Apache-2.0
"""The loss of the pose that RANSAC would choose, differentiable in the scene coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dsac_core.ransac.estimate import estimator_of
from dsac_core.ransac.pose_loss import PoseLossConfig, pose_loss
from dsac_core.ransac.refinement import refine_hypotheses
from dsac_core.ransac.sampling import sample_minimal_sets, solve_minimal_sets
from dsac_core.ransac.scoring import Scorer, share_score
from dsac_core.ransac.selection import draw_hypotheses, mean_pose, selection_probabilities
from dsac_core.ransac.soft_score import soft_inlier_counts

if TYPE_CHECKING:
    from dsac_core.ransac.config import RansacConfig
    from dsac_core.ransac.correspondences import Correspondences

_NEGLIGIBLE = 1e-4  # the probability below which a hypothesis is not refined


@dataclass(frozen=True)
class HypothesisLosses:
    """What RANSAC may choose from, with all derivatives in the scene points and the scorer.

    A hypothesis whose probability is negligible stays as it is, unrefined. An image for which no
    minimal set was accepted has probabilities of zero, and all its losses below are zero: nothing
    is learned from it.
    """

    poses_BH34: torch.Tensor  # cam_T_world
    losses_BH: torch.Tensor  # of these poses
    probabilities_BH: torch.Tensor  # of being selected
    truth_B34: torch.Tensor
    config: PoseLossConfig

    def expected_B(self) -> torch.Tensor:
        """The expected pose loss [B] over the selection (Eq. 37).

        Its derivative is Eq. 38, summed over all hypotheses rather than sampled.
        """
        return (self.probabilities_BH * self.losses_BH).sum(dim=1)

    def soft_argmax_B(self) -> torch.Tensor:
        """The loss [B] of the mean pose (SoftAM of DSAC, CVPR 2017).

        The mean is that of refined poses. Were the mean refined instead, as published, it would
        end in the minimum nearby, wherever it started, and nothing would be learned of selection.
        """
        found = self.probabilities_BH.sum(dim=1) > 0
        mean = mean_pose(self.poses_BH34, self.probabilities_BH)
        loss = pose_loss(mean[:, None], self.truth_B34, self.config)[:, 0]
        return torch.where(found, loss, 0.0)

    def sampled_B(self, generator: torch.Generator, count: int = 1) -> torch.Tensor:
        """The loss [B] of selected hypotheses, its derivative an unbiased sample of Eq. 38."""
        index = draw_hypotheses(self.probabilities_BH, count, generator)
        losses = self.losses_BH.gather(1, index)
        chances = self.probabilities_BH.gather(1, index)
        found = chances > 0
        log_chances = torch.where(found, chances, 1.0).log()
        score_term = losses.detach() * (log_chances - log_chances.detach())
        return ((losses + score_term) * found).mean(dim=1)


def hypothesis_losses(
    correspondences: Correspondences,
    truth_B34: torch.Tensor,
    config: RansacConfig,
    generator: torch.Generator | None = None,
    *,
    rows_BHn: torch.Tensor | None = None,
    scorer: Scorer | None = None,
    loss: PoseLossConfig | None = None,
) -> HypothesisLosses:
    """Draw, solve, score and refine hypotheses, differentiably (Fig. 4).

    The derivative in the scene points takes every path: through the minimal poses to the scores,
    through the residuals to the scores, and through refinement to the losses.

    Args:
        correspondences: Predicted scene points, with the gradient wanted.
        truth_B34: The true cam_T_world.
        config: The settings of RANSAC; its sharpness is alpha.
        generator: On the CPU, decides the draws; not needed with ``rows_BHn``.
        rows_BHn: Minimal sets drawn before, as indices of correspondences.
        scorer: In place of the soft inlier count, with alpha in its scores: a `ScoreNet`.
        loss: The weights of the pose loss; by default those of DSAC*.
    """
    estimator = estimator_of(correspondences)
    if rows_BHn is None:
        if generator is None:
            msg = "hypothesis_losses needs a generator or minimal sets"
            raise TypeError(msg)
        rows_BHn = sample_minimal_sets(correspondences, estimator, config, generator)
    hypotheses, accepted = solve_minimal_sets(correspondences, estimator, rows_BHn, config)
    if scorer is None:
        counts = soft_inlier_counts(correspondences, estimator, hypotheses, config)
        scores = share_score(counts, correspondences.weights_BN, config)
    else:
        scores = estimator.score(correspondences, hypotheses, scorer)
    probabilities = selection_probabilities(scores, accepted)
    wanted = probabilities.detach() > _NEGLIGIBLE
    refined = refine_hypotheses(correspondences, estimator, hypotheses, wanted, config)
    loss = loss or PoseLossConfig()
    truth = truth_B34.to(refined)
    return HypothesisLosses(
        poses_BH34=refined,
        losses_BH=pose_loss(refined, truth, loss),
        probabilities_BH=probabilities,
        truth_B34=truth,
        config=loss,
    )
