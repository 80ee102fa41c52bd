# SPDX-License-Identifier: Apache-2.0
"""What is minimised in each stage: coordinates, the score CNN's judgement, the expected pose."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from dsac_core.geometry.se3 import retract
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimator_of
from dsac_core.ransac.expected_loss import hypothesis_losses
from dsac_core.training.init_loss import init_loss

if TYPE_CHECKING:
    from dsac_core.networks.coordinate_network import CoordinateNetwork
    from dsac_core.networks.score_net import ScoreNet
    from dsac_core.training.augmentation import ImageBatch
    from dsac_core.training.dense_config import DenseMapConfig, StageName

_SCORED_POSES = 64  # of each image, to train the score CNN
_NEAR, _FAR = (2.0, 0.002), (10.0, 0.1)  # standard deviations of pose errors: degrees, metres
_NEAR_SHARE = 0.5
_SCORE_PER_CM = 10.0  # what one centimetre or one degree costs in the score


class StepLoss(NamedTuple):
    """One step of training."""

    loss: torch.Tensor
    unit: str  # of the loss, for people
    detail: str


class Learner:
    """The networks that learn, and the loss of each stage."""

    def __init__(
        self,
        network: CoordinateNetwork,
        scorer: ScoreNet | None,
        config: DenseMapConfig,
        precision: torch.dtype,
    ) -> None:
        """Take the networks; the scorer is needed with ``config.scoring == "scorenet"``."""
        self.network, self.scorer, self.config = network, scorer, config
        self.precision = precision

    def parameters(self, stage: StageName) -> list[torch.nn.Parameter]:
        """What a stage changes: the score CNN alone, or all that it uses."""
        scorer = [] if self.scorer is None else list(self.scorer.parameters())
        if stage == "score":
            return scorer
        network = list(self.network.parameters())
        return network if stage == "init" else network + scorer

    def loss(self, stage: StageName, batch: ImageBatch, generator: torch.Generator) -> StepLoss:
        """The loss of a batch in a stage."""
        if stage == "init":
            return self._init(batch)
        if stage == "score":
            return self._score(batch, generator)
        return self._end_to_end(batch, generator)

    def predict(self, batch: ImageBatch, *, roughly: bool = False) -> torch.Tensor:
        """Scene coordinates [B x N x 3], metres; ``roughly`` in the low precision, if there is one.

        That is off by up to a percent: enough to begin with, too much to refine poses by.
        """
        device = batch.gray_B1HW.device.type
        low = roughly and self.precision != torch.float32
        with torch.autocast(device, self.precision, enabled=low):
            coordinates_B3hw: torch.Tensor = self.network(batch.gray_B1HW)
        return coordinates_B3hw.flatten(2).transpose(1, 2)

    def correspondences(self, batch: ImageBatch, points_BN3: torch.Tensor) -> Correspondences:
        """What poses are estimated from: with depth in the setting RGB-D."""
        camera_points = None
        weights = batch.inside_BN.float()
        if self.config.with_depth:
            camera_points = batch.camera_points_at(batch.depth_BN)
        return Correspondences(batch.pixels_BN2, points_BN3, weights, batch.focal_B2, camera_points)

    def _init(self, batch: ImageBatch) -> StepLoss:
        predicted = self.predict(batch, roughly=True)
        loss = init_loss(predicted, batch, self.config.setting, self.config.loss)
        unit = "m" if self.config.setting == "rgbd" else "px"
        return StepLoss(loss.mean, unit, f"{loss.valid.item():.0%} valid")

    def _score(self, batch: ImageBatch, generator: torch.Generator) -> StepLoss:
        """How far the score CNN is from the true quality of random poses (DSAC, 2017).

        The quality is minus ten times the larger of degrees and centimetres; half of the poses
        are near the truth (cvlab-dresden/DSAC, ``core/train_score.cpp``).
        """
        assert self.scorer is not None
        with torch.no_grad():
            correspondences = self.correspondences(batch, self.predict(batch))
            poses, quality = poses_around(batch.cam_T_world_B34, _SCORED_POSES, generator)
            errors = estimator_of(correspondences).errors(correspondences, poses)
        scores = self.scorer.on_grid(batch.grid)(errors, correspondences.weights_BN)
        loss = (scores - quality).abs().mean()
        return StepLoss(loss, "", f"{loss.item() / _SCORE_PER_CM:.1f} cm or deg off")

    def _end_to_end(self, batch: ImageBatch, generator: torch.Generator) -> StepLoss:
        """The pose loss of what RANSAC selects (Eq. 37)."""
        points = self.predict(batch)
        if self.config.gradient_clamp is not None:
            bound = self.config.gradient_clamp / len(points)  # the loss is the mean over images
            points.register_hook(lambda gradient: gradient.clamp(-bound, bound))
        correspondences = self.correspondences(batch, points)
        losses = hypothesis_losses(
            correspondences,
            batch.cam_T_world_B34,
            self.config.ransac,
            generator,
            scorer=None if self.scorer is None else self.scorer.on_grid(batch.grid),
            loss=self.config.pose_loss,
        )
        by_dsac = self.config.selection == "dsac"
        loss_B = losses.expected_B() if by_dsac else losses.soft_argmax_B()
        found = (losses.probabilities_BH.detach().sum(dim=1) > 0).float().mean().item()
        # A gradient of zero is not none: Adam would go on by its momentum.
        loss = loss_B.mean() if found > 0 else loss_B.detach().mean()
        return StepLoss(loss, "cm+deg", f"{found:.0%} with a pose")


def poses_around(
    truth_B34: torch.Tensor, count: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random cam_T_world [B x count x 3 x 4] near and far, and minus their scaled error."""
    shape = (len(truth_B34), count)
    near = torch.rand(*shape, 1, generator=generator) < _NEAR_SHARE
    turn_deg = torch.where(near, _NEAR[0], _FAR[0]) * torch.randn(*shape, 1, generator=generator)
    axis = functional.normalize(torch.randn(*shape, 3, generator=generator), dim=-1)
    shift = torch.where(near, _NEAR[1], _FAR[1]) * torch.randn(*shape, 3, generator=generator)
    step = torch.cat([shift, torch.deg2rad(turn_deg) * axis], dim=-1).to(truth_B34)
    poses = retract(truth_B34[:, None].expand(*shape, 3, 4), step)
    error = torch.maximum(turn_deg[..., 0].abs(), 100.0 * shift.norm(dim=-1))
    return poses, -_SCORE_PER_CM * error.to(truth_B34)
