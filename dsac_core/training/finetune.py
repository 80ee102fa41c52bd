# SPDX-License-Identifier: Apache-2.0
"""End-to-end training of a fast map's head: through differentiable RANSAC, on the pose itself."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from dsac_core.errors import ConfigError
from dsac_core.progress import silent
from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.expected_loss import hypothesis_losses
from dsac_core.ransac.pose_loss import PoseLossConfig
from dsac_core.training.coordinate_loss import CoordinateLossConfig, coordinate_loss
from dsac_core.training.finetune_record import FinetuneRecord, HeldOutErrors
from dsac_core.training.schedule import batch_indices, learning_rate, step_generator
from dsac_core.training.workers import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.progress import Progress
    from dsac_core.training.cell_buffer import CellBatch, CellBuffer
    from dsac_core.training.workers import Workers

_LEAST_CELLS = 16  # of an image that poses are estimated from
_STEPS_BETWEEN_REPORTS = 10
_SMOOTHING = 0.95  # of the loss that is shown


@dataclass(frozen=True)
class FinetuneConfig:
    """How the head is trained on the expected pose loss."""

    images: int = 4  # of each step
    cells: int = 1000  # of each image
    learning_rate: float = 2e-4  # of Adam, at its highest; falls to zero as a cosine
    warmup_iterations: int = 20
    pose_weight: float = 3.0  # of the expected pose loss, beside the coordinate loss in px
    longest_gradient: float = 100.0  # of the pose loss of an image in its scene points, per metre
    ransac: RansacConfig = field(default_factory=lambda: RansacConfig(hypotheses=16))
    pose_loss: PoseLossConfig = field(default_factory=PoseLossConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        for name in ("images", "learning_rate", "warmup_iterations", "longest_gradient"):
            if not getattr(self, name) > 0:
                msg = f"finetune.{name} must be positive, got {getattr(self, name)}"
                raise ConfigError(msg)
        if self.cells < _LEAST_CELLS:
            msg = f"finetune.cells must be at least {_LEAST_CELLS}, got {self.cells}"
            raise ConfigError(msg)
        if not self.pose_weight >= 0:
            msg = f"finetune.pose_weight must not be negative, got {self.pose_weight}"
            raise ConfigError(msg)


def never() -> bool:
    """Nobody interrupts."""
    return False


def finetune_head(
    head: CoordinateHead,
    cells: CellBuffer,
    config: FinetuneConfig,
    *,
    seconds: float = math.inf,
    iterations: int | None = None,
    loss: CoordinateLossConfig | None = None,
    precision: torch.dtype = torch.float32,
    check: Callable[[CoordinateHead], NDArray[np.float64]] | None = None,
    progress: Progress = silent,
    interrupted: Callable[[], bool] = never,
    workers: Workers = ALONE,
) -> FinetuneRecord:
    """Train a head on the expected pose loss (Eq. 37 of DSAC*), and keep what is better.

    A step takes some images, some cells of each, lets the head say where these are, draws pose
    hypotheses from that, and descends on the loss of the pose that RANSAC would choose. The
    coordinate loss of the same cells stays beside it.

    Args:
        head: On the device of the cells; changed in place, and left in evaluation mode.
        cells: Of the training images.
        config: The settings.
        seconds: How long to train; the checks before and after come on top.
        iterations: For exactly so many steps instead: on one thread the result is the same each
            time, to the last bit.
        loss: The coordinate loss of the training before; its clamp is that of the end.
        precision: In which the head computes; poses are estimated in float32.
        check: Tells metres and radians [N x 2] by which poses of held-out views are off, infinite
            without a pose. If their mean error does not fall, the weights before come back. With
            several workers, the first one's counts.
        progress: Is told how far it is.
        interrupted: Says whether to stop early; what was learned until then is checked as well.
        workers: Processes that train together.

    Raises:
        ConfigError: Neither seconds nor iterations are bounded.
    """
    if iterations is None and not math.isfinite(seconds):
        msg = "fine-tuning needs a number of seconds or of iterations"
        raise ConfigError(msg)
    first = workers.rank == 0
    before = HeldOutErrors(check(head)) if check is not None and first else None
    kept_weights = copy.deepcopy(head.state_dict())
    steps = _Steps(head, cells, config, loss or CoordinateLossConfig(), precision, workers)
    begun = time.perf_counter()
    while True:
        spent = time.perf_counter() - begun
        own = spent / seconds if iterations is None else steps.iteration / iterations
        done, stop = workers.largest(own if first else 0.0, float(interrupted()))
        if done >= 1.0 or stop:
            break
        steps.step(done)
        if first and steps.iteration % _STEPS_BETWEEN_REPORTS == 0:
            progress("training end to end", min(done, 0.999), steps.figures())
    spent = time.perf_counter() - begun
    head.eval().requires_grad_(requires_grad=False)
    after = HeldOutErrors(check(head)) if check is not None and first else None
    worse = before is not None and after is not None and not after.mean < before.mean
    worse = worse or not all(weights.isfinite().all() for weights in head.state_dict().values())
    (undone,) = workers.largest(float(worse))
    if undone:
        head.load_state_dict(kept_weights)
    record = FinetuneRecord(
        steps.iteration, spent, steps.skipped, steps.loss, before, after, kept=not undone
    )
    progress("training end to end", 1.0, steps.figures())
    return record


class _Steps:
    """Steps of Adam; what a step draws follows from its number."""

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
        self._usable = [
            number
            for number in range(cells.images)
            if len(cells.image(number).pixels_N2) >= _LEAST_CELLS
        ]
        self._optimizer = torch.optim.Adam(head.parameters(), betas=(0.9, 0.99))
        self.iteration = 0
        self.skipped = 0  # steps without a finite gradient
        self.loss = math.nan  # expected pose loss, cm + deg, smoothed

    def step(self, done: float) -> None:
        """Take one, with the learning rate of ``done`` in [0, 1]."""
        config = self._config
        rank = self._workers.rank
        chosen = batch_indices(len(self._usable), config.images, self.iteration, config.seed)
        generator = step_generator(config.seed, "e2e", self.iteration, rank)
        numbers = [self._usable[index] for index in chosen]
        batch = _finite(self._cells.draw_from(numbers, config.cells, generator))
        low = self._precision != torch.float32
        with torch.autocast(batch.pixels_B2.device.type, self._precision, enabled=low):
            points = self._head(batch.features_BC)
        pose = expected_pose_loss(points, batch, config, generator)
        coordinates, _ = coordinate_loss(points, batch, self._coordinate_loss, 1.0)
        (config.pose_weight * pose + coordinates).backward()
        self._workers.average_gradients(self._head)
        warmup = min(1.0, (self.iteration + 1) / config.warmup_iterations)
        for group in self._optimizer.param_groups:
            group["lr"] = warmup * learning_rate(config.learning_rate, "cosine", done)
        if self._gradient_is_finite():
            self._optimizer.step()
        else:
            self.skipped += 1
        self._optimizer.zero_grad(set_to_none=True)
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
        length = gradient_BN3.flatten(1).norm(dim=1)[:, None, None]
        return gradient_BN3 * (bound / length.clamp_min(bound))

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
    return losses.expected_B().mean()
