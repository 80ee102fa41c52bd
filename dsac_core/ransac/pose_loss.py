# SPDX-License-Identifier: Apache-2.0
"""How wrong a pose is, as training sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsac_core.errors import ConfigError
from dsac_core.geometry.se3 import axial_vector, inverse
from dsac_core.solvers.lengths import vector_lengths


@dataclass(frozen=True)
class PoseLossConfig:
    """Weights of the pose loss, with the values of DSAC*: one degree costs like one centimetre."""

    translation_weight: float = 100.0  # per metre
    rotation_weight: float = 1.0  # per degree
    soft_clamp: float = 100.0  # a loss beyond it grows by its square root only

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        for name, value in vars(self).items():
            if not value > 0:
                msg = f"pose_loss.{name} must be positive, got {value}"
                raise ConfigError(msg)


def pose_loss(
    poses_BH34: torch.Tensor, truth_B34: torch.Tensor, config: PoseLossConfig
) -> torch.Tensor:
    """Loss [B x H] of poses against the true ones, both cam_T_world (Eq. 18-19).

    Differentiable, and exactly the derivative of the value on both sides of the clamp.
    """
    estimate, truth = inverse(poses_BH34), inverse(truth_B34)[:, None]
    distance = vector_lengths((estimate[..., 3] - truth[..., 3]).unbind(dim=-1))
    turn = estimate[..., :3].transpose(-2, -1) @ truth[..., :3]
    trace = turn.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    # The arc tangent is exact for small angles, where the arc cosine of the trace is not.
    sine = vector_lengths(axial_vector(turn).unbind(dim=-1))
    angle_deg = torch.rad2deg(torch.atan2(sine, trace - 1.0))
    loss = config.translation_weight * distance + config.rotation_weight * angle_deg
    far = loss > config.soft_clamp
    # The root has no derivative at zero, not even where it is not taken.
    return torch.where(far, (config.soft_clamp * torch.where(far, loss, 1.0)).sqrt(), loss)
