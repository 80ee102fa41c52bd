# SPDX-License-Identifier: Apache-2.0
"""The per-scene head: from the feature of a cell to the scene point that it shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional

from dsac_core.errors import ConfigError
from dsac_core.networks.fused_layers import FusedLinear

LARGEST_SIZE = 4096  # of any dimension: a damaged header must not ask for all memory
MIN_SCALE = 0.02  # of the homogeneous coordinate: bounds how far a prediction can lie


@dataclass(frozen=True)
class HeadConfig:
    """Shape of the head."""

    in_channels: int = 128  # of the encoder's features
    width: int = 256  # channels of every hidden layer
    blocks: int = 2  # residual blocks of three layers each

    def __post_init__(self) -> None:
        """Refuse sizes that are no sizes."""
        for name, value in asdict(self).items():
            if not 1 <= value <= LARGEST_SIZE:
                msg = f"head: {name} must be between 1 and {LARGEST_SIZE}, got {value}"
                raise ConfigError(msg)


class CoordinateHead(nn.Module):
    """An MLP on standardised features with a homogeneous scene coordinate at its end.

    The scene point is ``centre + xyz / w`` with w > 0, so that near and far points are equally
    easy to say. Buffers hold the features' mean and standard deviation over the training set, and
    the centre of the scene; all of them belong to the scene map.
    """

    feature_mean: torch.Tensor
    feature_std: torch.Tensor
    centre: torch.Tensor

    def __init__(self, config: HeadConfig) -> None:
        """Make the layers, with features unscaled and the centre at the origin."""
        super().__init__()
        self.config = config
        width = config.width
        self.enter = nn.Linear(config.in_channels, width)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Linear(width, width) for _ in range(3)) for _ in range(config.blocks)
        )
        self.neck = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.leave = nn.Linear(width, 4)
        self.register_buffer("feature_mean", torch.zeros(config.in_channels))
        self.register_buffer("feature_std", torch.ones(config.in_channels))
        self.register_buffer("centre", torch.zeros(3))

    def forward(self, features_NC: torch.Tensor) -> torch.Tensor:
        """Scene coordinates [N x 3], metres, float32, for cell features [N x C]."""
        x = (features_NC.float() - self.feature_mean) / self.feature_std
        x = _activated(self.enter, x)
        for block in self.blocks:
            y = x
            for layer in block:  # type: ignore[attr-defined]
                y = _activated(layer, y)
            x = x + y
        for layer in self.neck:
            x = _activated(layer, x)
        return self._from_homogeneous(self.leave(x).float())

    def fuse(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype`` as oneDNN is fastest (``can_fuse``), for good: it learns no more."""
        for name, layer in list(self.named_modules()):
            if isinstance(layer, nn.Linear):
                owner, _, place = name.rpartition(".")
                one = FusedLinear(layer, dtype, relu=layer is not self.leave)
                setattr(self.get_submodule(owner), place, one)

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The square weight matrices, from hidden layer to hidden layer."""
        square = (self.config.width, self.config.width)
        return [parameter for parameter in self.parameters() if tuple(parameter.shape) == square]

    def _from_homogeneous(self, xyzw_N4: torch.Tensor) -> torch.Tensor:
        w = functional.softplus(xyzw_N4[:, 3:]) + MIN_SCALE
        return self.centre + xyzw_N4[:, :3] / w


def _activated(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = layer(x)
    return result if isinstance(layer, FusedLinear) else functional.relu(result)
