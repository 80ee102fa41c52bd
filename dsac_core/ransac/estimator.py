# SPDX-License-Identifier: Apache-2.0
"""What RANSAC asks of a pose problem: generate, score, refine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from dsac_core.solvers.least_squares import Kernel, Residuals, minimise, squares

if TYPE_CHECKING:
    import torch

    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.ransac.scoring import Scorer


class Candidates(NamedTuple):
    """Poses of minimal sets, in one list: a set has none, one, or several."""

    poses_K34: torch.Tensor  # cam_T_world
    set_K: torch.Tensor  # which set each solves, ascending


class Estimator(ABC):
    """A kind of correspondence, with its solvers and residuals; poses are ``cam_T_world``."""

    residual_size: int  # numbers per residual vector
    set_size: int  # correspondences that determine a pose up to a choice of roots
    check_size: int  # with those that choose among the roots

    @abstractmethod
    def generate(self, sets: Correspondences, threshold: float) -> Candidates:
        """Poses from minimal sets, a batch of S sets of ``set_size`` or more correspondences.

        The first ``set_size`` are solved for. Sets that cannot fit their own points within the
        threshold may be left out.
        """

    @abstractmethod
    def residuals(self, correspondences: Correspondences, poses_BH34: torch.Tensor) -> Residuals:
        """The residual vectors of all correspondences under each pose, differentiable."""

    @abstractmethod
    def attach(
        self, correspondences: Correspondences, poses_BH34: torch.Tensor, weights_BHN: torch.Tensor
    ) -> torch.Tensor:
        """Solved poses with their derivative in the scene points (Eq. 31, 33)."""

    @abstractmethod
    def chance_of_inlier(self, correspondences: Correspondences, threshold: float) -> torch.Tensor:
        """Probability [B] that a correspondence without meaning lies within the threshold."""

    def errors(self, correspondences: Correspondences, poses_BH34: torch.Tensor) -> torch.Tensor:
        """Lengths r(y, h) [B x H x N] of the residuals (Eq. 10, 12), differentiable."""
        return self.residuals(correspondences, poses_BH34).lengths()

    def score(
        self, correspondences: Correspondences, poses_BH34: torch.Tensor, scorer: Scorer
    ) -> torch.Tensor:
        """How good each pose is [B x H], by all correspondences."""
        return scorer(self.errors(correspondences, poses_BH34), correspondences.weights_BN)

    def refine(
        self,
        correspondences: Correspondences,
        poses_BH34: torch.Tensor,
        weights_BHN: torch.Tensor,
        kernel: Kernel = squares,
        *,
        steps: int = 10,
    ) -> torch.Tensor:
        """Poses of least weighted cost, each from where it is (Eq. 21, 26)."""
        return minimise(
            poses_BH34,
            lambda poses: self.residuals(correspondences, poses),
            weights_BHN,
            kernel,
            steps=steps,
        )
