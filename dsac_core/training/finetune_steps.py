# SPDX-License-Identifier: Apache-2.0
"""Steps of end-to-end training: cells of a few images, a pose from them, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from dsac_core.errors import ConfigError
from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.expected_loss import hypothesis_losses
from dsac_core.ransac.pose_loss import PoseLossConfig
from dsac_core.training.coordinate_loss import CoordinateLossConfig, coordinate_loss
from dsac_core.training.muon import Muon
from dsac_core.training.schedule import batch_indices, learning_rate, step_generator

if TYPE_CHECKING:
    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.training.cell_buffer import CellBatch, CellBuffer, ImageCells
    from dsac_core.training.workers import Workers

_LEAST_CELLS = 16  # of an image that poses are estimated from
_SMOOTHING = 0.95  # of the loss that is shown


@dataclass(frozen=True)
class FinetuneConfig:
    """How the head is trained on the expected pose loss."""

    images: int = 6  # of each step
    cells: int = 500  # of each image
    hidden_learning_rate: float = 0.003  # of Muon, at its highest; falls to zero as a cosine
    learning_rate: float = 2e-4  # of Adam, for the other parameters, likewise
    warmup_iterations: int = 20
    pose_weight: float = 3.0  # of the expected pose loss, beside the coordinate loss in px
    longest_gradient: float = 100.0  # of the pose loss of an image in its scene points, per metre
    ransac: RansacConfig = field(default_factory=lambda: RansacConfig(hypotheses=16))
    pose_loss: PoseLossConfig = field(default_factory=PoseLossConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        positive = ("images", "hidden_learning_rate", "learning_rate", "warmup_iterations")
        for name in (*positive, "longest_gradient"):
            if not getattr(self, name) > 0:
                msg = f"finetune.{name} must be positive, got {getattr(self, name)}"
                raise ConfigError(msg)
        if self.cells < _LEAST_CELLS:
            msg = f"finetune.cells must be at least {_LEAST_CELLS}, got {self.cells}"
            raise ConfigError(msg)
        if not self.pose_weight >= 0:
            msg = f"finetune.pose_weight must not be negative, got {self.pose_weight}"
            raise ConfigError(msg)


class FinetuneSteps:
    """The steps; what each of them draws follows from its number."""

    def __init__(
        self,
        head: CoordinateHead,
        cells: CellBuffer,
        config: FinetuneConfig,
        loss: CoordinateLossConfig,
        precision: torch.dtype,
        workers: Workers,
    ) -> None:
        self._head = head.train().requires_grad_()
        self._cells, self._config, self._coordinate_loss = cells, config, loss
        self._precision, self._workers = precision, workers
        self._usable = [n for n in range(cells.images) if _is_usable(cells.image(n))]
        hidden = head.hidden_matrices()
        others = [p for p in head.parameters() if not any(p is matrix for matrix in hidden)]
        self._optimizers = (Muon(hidden, precision=precision), torch.optim.Adam(others))
        self._highest_rates = (config.hidden_learning_rate, config.learning_rate)
        self.iteration = 0
        self.skipped = 0  # steps without a finite gradient
        self.loss = math.nan  # expected pose loss, cm + deg, smoothed

    @property
    def possible(self) -> bool:
        """Whether there is an image to learn from."""
        return bool(self._usable)

    def step(self, done: float) -> None:
        """Take one, with the learning rate of ``done`` in [0, 1]."""
        config = self._config
        rank = self._workers.rank
        chosen = batch_indices(len(self._usable), config.images, self.iteration, config.seed)
        generator = step_generator(config.seed, "e2e", self.iteration, rank)
        numbers = [self._usable[index] for index in chosen]
        batch = self._cells.draw_from(numbers, config.cells, generator)
        low = self._precision != torch.float32
        with torch.autocast(batch.pixels_B2.device.type, self._precision, enabled=low):
            points = self._head(batch.features_BC)
        pose = expected_pose_loss(points, batch, config, generator)
        coordinates, _ = coordinate_loss(points, batch, self._coordinate_loss, 1.0)
        (config.pose_weight * pose + coordinates).backward()
        self._workers.average_gradients(self._head)
        warmup = min(1.0, (self.iteration + 1) / config.warmup_iterations)
        finite = self._gradient_is_finite()
        for optimizer, highest in zip(self._optimizers, self._highest_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = warmup * learning_rate(highest, "cosine", done)
            if finite:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.skipped += not finite
        self.iteration += 1
        value = pose.item()
        if math.isfinite(value):
            known = math.isfinite(self.loss)
            self.loss = _SMOOTHING * self.loss + (1 - _SMOOTHING) * value if known else value

    def _gradient_is_finite(self) -> bool:
        gradients = (p.grad for p in self._head.parameters() if p.grad is not None)
        return all(bool(gradient.isfinite().all()) for gradient in gradients)

    def figures(self) -> str:
        """Where it stands, in words."""
        return f"iteration {self.iteration}, expected pose loss {self.loss:.2f} cm+deg"


def _is_usable(image: ImageCells) -> bool:
    """Whether poses can be estimated from it, and nothing in it spoils a whole batch."""
    features = image.features_NC
    return len(features) >= _LEAST_CELLS and bool(features.isfinite().all())


def expected_pose_loss(
    points_B3: torch.Tensor, batch: CellBatch, config: FinetuneConfig, generator: torch.Generator
) -> torch.Tensor:
    """Mean expected pose loss over the images of a batch, with a tame gradient in the points.

    That of an image is no longer than ``config.longest_gradient``, and none where it is not finite.

    Args:
        points_B3: Scene points, metres, ``config.cells`` of each image in turn.
        batch: Where they were seen.
        config: The settings.
        generator: Decides the draws.
    """
    images = len(points_B3) // config.cells
    bound = config.longest_gradient / images

    def tame(gradient_BN3: torch.Tensor) -> torch.Tensor:
        gradient_BN3 = gradient_BN3.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        length: torch.Tensor = torch.linalg.vector_norm(gradient_BN3, dim=(1, 2), keepdim=True)
        return gradient_BN3 / (length / bound).clamp_min(1.0)

    points_BN3 = points_B3.unflatten(0, (images, config.cells)).clone()
    if points_BN3.requires_grad:
        points_BN3.register_hook(tame)
    intrinsics_BN4 = batch.intrinsics_B4.unflatten(0, (images, config.cells))
    pixels_BN2 = batch.pixels_B2.unflatten(0, (images, config.cells)) - intrinsics_BN4[..., 2:]
    correspondences = Correspondences(
        pixels_BN2, points_BN3, torch.ones_like(pixels_BN2[..., 0]), intrinsics_BN4[:, 0, :2]
    )
    truth_B34 = batch.cam_T_world_B34[:: config.cells]
    losses = hypothesis_losses(
        correspondences, truth_B34, config.ransac, generator, loss=config.pose_loss
    )
    mean: torch.Tensor = losses.expected_B().mean()
    return mean
