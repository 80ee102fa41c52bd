# SPDX-License-Identifier: Apache-2.0
"""The loss that turns posed images into scene coordinates: Eq. 15-17 of DSAC*, balanced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dsac_core.errors import ConfigError
from dsac_core.training.projection import project

if TYPE_CHECKING:
    from dsac_core.training.cell_buffer import CellBatch


@dataclass(frozen=True)
class CoordinateLossConfig:
    """When a prediction counts as valid, and how far errors reach."""

    min_depth: float = 0.1  # metres in front of the camera
    max_depth: float = 1000.0  # metres
    max_reprojection_error: float = 100.0  # px
    heuristic_depth: float = 2.5  # metres: where a cell without depth is pulled while invalid
    pull: float = 0.3  # weight of the pull on invalid predictions
    depth: float = 0.1  # weight of the error in depth where that is measured
    measured_tolerance: float = 0.12  # depth with a tolerance up to that counts as measured
    clamp_start: float = 50.0  # px, where the soft clamp sets in at the start of training
    clamp_end: float = 1.0  # px, at its end

    def __post_init__(self) -> None:
        """Refuse an empty range of depths and a clamp that does not tighten."""
        if not 0 < self.min_depth < self.heuristic_depth < self.max_depth:
            msg = (
                "depths must satisfy 0 < min_depth < heuristic_depth < max_depth, got"
                f" {self.min_depth}, {self.heuristic_depth}, {self.max_depth}"
            )
            raise ConfigError(msg)
        if not (self.pull >= 0 and self.depth >= 0):
            msg = f"weights must not be negative, got pull {self.pull}, depth {self.depth}"
            raise ConfigError(msg)
        if not 0 < self.clamp_end <= self.clamp_start:
            msg = f"clamp must tighten, got from {self.clamp_start} to {self.clamp_end} px"
            raise ConfigError(msg)

    def clamp_at(self, progress: float) -> float:
        """Width of the clamp in px at ``progress`` in [0, 1]: slow at first, fast at the end."""
        remaining = math.sqrt(max(0.0, 1.0 - progress**2))
        return self.clamp_end + (self.clamp_start - self.clamp_end) * remaining


def soft_clamp(error: torch.Tensor, width: float) -> torch.Tensor:
    """Errors as they are up to ``width``, growing as a square root beyond: 2 sqrt(w e) - w.

    This is the soft clamp of Eq. 16 of DSAC* without its kink. Unlike a clamp that saturates, it
    never quite lets go of a cell that is far off, so that no part of a scene stays unlearned.
    """
    root = (width * error.clamp_min(width)).sqrt()
    return torch.where(error < width, error, 2.0 * root - width)


def coordinate_loss(
    predicted_B3: torch.Tensor, batch: CellBatch, config: CoordinateLossConfig, progress: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss in px over a batch of cells, and the share of them that are valid.

    A prediction is valid if it lies in front of its camera (at most ``max_depth``), reprojects
    within ``max_reprojection_error`` and, where depth is known, agrees with it. A valid one
    pays its softly clamped reprojection error, with a clamp that tightens with ``progress``, and
    where depth was measured its error in depth, as a share times the focal length. Any
    other one is pulled to the point on its ray at the known or the heuristic depth (as in
    Eq. 15 and 17), by the distance to it times focal length over depth: as pixels, so that
    neither kind of cell drowns the other.

    Args:
        predicted_B3: Scene coordinates, metres.
        batch: Where the cells were seen.
        config: Thresholds.
        progress: Of the training, in [0, 1].
    """
    focal, principal = batch.intrinsics_B4[:, :2], batch.intrinsics_B4[:, 2:]
    in_camera_B13, projected_B12 = project(
        predicted_B3[:, None], batch.cam_T_world_B34, focal, config.min_depth
    )
    in_camera, projected = in_camera_B13[:, 0], projected_B12[:, 0] + principal
    depth = in_camera[:, 2:]
    error = (projected - batch.pixels_B2).square().sum(dim=1).add(1e-6).sqrt()

    known = batch.depth_B > 0
    target_depth = torch.where(known, batch.depth_B, config.heuristic_depth)[:, None]
    ray = torch.cat([(batch.pixels_B2 - principal) / focal, torch.ones_like(target_depth)], dim=1)
    distance = (in_camera - ray * target_depth).square().sum(dim=1).add(1e-12).sqrt()
    with torch.no_grad():
        valid = (
            (depth[:, 0] > config.min_depth)
            & (depth[:, 0] < config.max_depth)
            & (error < config.max_reprojection_error)
        )
        valid &= (distance < batch.depth_tolerance_B * batch.depth_B) | ~known
    pull = config.pull * distance * focal[:, 0] / target_depth[:, 0]
    width = config.clamp_at(progress)
    measured = known & (batch.depth_tolerance_B <= config.measured_tolerance)
    off = (depth - target_depth)[:, 0].abs() * focal[:, 0] / target_depth[:, 0]
    along = torch.where(measured, soft_clamp(config.depth * off, width), 0.0)
    loss = torch.where(valid, soft_clamp(error, width) + along, pull)
    return loss.mean(), valid.float().mean()
