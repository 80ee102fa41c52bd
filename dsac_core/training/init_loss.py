# SPDX-License-Identifier: Apache-2.0
"""The losses that scene coordinate regression starts with: Eq. 13-17 of DSAC*, as written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from dsac_core.errors import ConfigError
from dsac_core.solvers.lengths import vector_lengths
from dsac_core.training.projection import project

if TYPE_CHECKING:
    from dsac_core.training.augmentation import ImageBatch

Setting = Literal["rgbd", "rgb-model", "rgb"]
SETTINGS: tuple[Setting, ...] = ("rgbd", "rgb-model", "rgb")


@dataclass(frozen=True)
class InitLossConfig:
    """The bounds of section 4 of DSAC*."""

    min_depth: float = 0.1  # metres in front of the camera
    max_depth: float = 1000.0  # metres, where no true coordinate is known to the setting
    max_reprojection_error: float = 1000.0  # px
    max_distance: float = 0.1  # metres from the true coordinate
    proxy_depth: float = 10.0  # metres along the optical axis: the heuristic target of Eq. 17
    soft_clamp: float = 100.0  # px, where the square root sets in (Eq. 16)

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        for name, value in vars(self).items():
            if not value > 0:
                msg = f"init_loss.{name} must be positive, got {value}"
                raise ConfigError(msg)
        if not self.min_depth < self.proxy_depth < self.max_depth:
            msg = (
                "init_loss: depths must satisfy min_depth < proxy_depth < max_depth, got"
                f" {self.min_depth}, {self.proxy_depth}, {self.max_depth}"
            )
            raise ConfigError(msg)


class InitLoss(NamedTuple):
    """What one batch costs."""

    mean: torch.Tensor  # over images and their cells
    valid: torch.Tensor  # share of the cells that are in the validity set


def init_loss(
    predicted_BN3: torch.Tensor, batch: ImageBatch, setting: Setting, config: InitLossConfig
) -> InitLoss:
    """The loss of predicted scene coordinates, metres, averaged over the cells inside (Eq. 14).

    ``rgbd`` has the distance to the true coordinate (Eq. 13) of cells whose depth is known; its
    valid cells are those within ``max_distance``. ``rgb-model`` has the reprojection error of
    valid predictions and that distance for others (Eq. 15), nothing where it is unknown. ``rgb``
    has the L1 distance to a point on the cell's ray instead (Eq. 17).
    """
    known = batch.known_BN
    if setting == "rgbd":
        distance = _distances(predicted_BN3, batch)
        valid = known & (distance.detach() < config.max_distance)
        return InitLoss(_mean(distance, known), _share(valid, known))
    inside = batch.inside_BN
    in_camera, pixels = project(
        predicted_BN3, batch.cam_T_world_B34, batch.focal_B2, config.min_depth
    )
    error = vector_lengths((pixels - batch.pixels_BN2).unbind(dim=-1))
    depth = in_camera.detach()[..., 2]
    valid = inside & (depth > config.min_depth)
    valid &= error.detach() < config.max_reprojection_error
    if setting == "rgb-model":
        distance = _distances(predicted_BN3, batch)
        valid &= (distance.detach() < config.max_distance) | ~known
        otherwise = torch.where(known, distance, 0.0)
    else:
        valid &= depth < config.max_depth
        target = batch.points_at(torch.full_like(depth, config.proxy_depth))
        otherwise = (target - predicted_BN3).abs().sum(dim=-1)
    loss = torch.where(valid, soft_clamp_sqrt(error, config.soft_clamp), otherwise)
    return InitLoss(_mean(loss, inside), _share(valid, inside))


def soft_clamp_sqrt(error: torch.Tensor, threshold: float) -> torch.Tensor:
    """Errors as they are up to ``threshold``, the root of their product with it beyond (Eq. 16)."""
    return torch.where(error < threshold, error, (threshold * error.clamp_min(threshold)).sqrt())


def _distances(predicted_BN3: torch.Tensor, batch: ImageBatch) -> torch.Tensor:
    """From each prediction to the true scene coordinate (Eq. 13)."""
    return vector_lengths((predicted_BN3 - batch.points_at(batch.depth_BN)).unbind(dim=-1))


def _mean(loss_BN: torch.Tensor, counted_BN: torch.Tensor) -> torch.Tensor:
    return torch.where(counted_BN, loss_BN, 0.0).sum() / counted_BN.sum().clamp_min(1)


def _share(valid_BN: torch.Tensor, counted_BN: torch.Tensor) -> torch.Tensor:
    return valid_BN.sum() / counted_BN.sum().clamp_min(1)
