# SPDX-License-Identifier: Apache-2.0
"""What the scene-coordinate networks share: an image in, the scene point of each cell out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import nn

from dsac_core.geometry.grid import STRIDE

if TYPE_CHECKING:
    from collections.abc import Callable

# Of gray values in [0, 1]: the statistics of the published DSAC* code.
GRAY_MEAN = 0.4
GRAY_STD = 0.25


class CoordinateNetwork(nn.Module, ABC):
    """From a gray image to the scene point that each cell shows.

    Brachmann and Rother, "Visual Camera Re-Localization from RGB and RGB-D Images Using DSAC",
    TPAMI 2021, section 3.1. A subclass makes features of an image; the 1 x 1 convolution from them
    to scene points is here, and so is the mean that is added to them: a buffer, zero until training
    sets it, that belongs to the scene as the weights do. Weights start as torch's layers do.

    Mixed precision is up to the caller: parameters are float32, and under ``torch.autocast``
    everything up to the features is faster. Scene points stay float32 there: bfloat16 has 8 bits,
    centimetres at 2 m.
    """

    scene_mean: torch.Tensor  # [3], metres, float32

    def __init__(self, name: str, channels: int) -> None:
        """Make the last layer.

        Args:
            name: What :func:`make_coordinate_network` knows the network by.
            channels: Number of channels of the features.
        """
        super().__init__()
        self.name = name
        self.leave = nn.Conv2d(channels, 3, 1)
        self.register_buffer("scene_mean", torch.zeros(3, dtype=torch.float32))

    @abstractmethod
    def features_BCHW(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        """Features [B x C x ceil(H / 8) x ceil(W / 8)] of normalised gray images."""

    def forward(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        """Scene points [B x 3 x ceil(H / 8) x ceil(W / 8)], metres, float32.

        Args:
            gray_B1HW: Images as :func:`normalise_gray` returns them, of any size.
        """
        features = self.features_BCHW(gray_B1HW)
        with torch.autocast(features.device.type, enabled=False):
            centred: torch.Tensor = self.leave(features.to(self.leave.weight.dtype))
        return centred.float() + self.scene_mean[None, :, None, None]

    def _apply(
        self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True
    ) -> CoordinateNetwork:
        """Move or cast everything but the precision of the mean, which can be kilometres."""
        mean = self.scene_mean
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.scene_mean = mean.to(self.scene_mean.device)
        return self


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution and a ReLU: image size by the stride, rounded up, whatever the kernel."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
    return nn.Sequential(layer, nn.ReLU(inplace=True))


def normalise_gray(gray: torch.Tensor) -> torch.Tensor:
    """Gray values of any shape, uint8 or float in 0 ... 255, as the networks want them: float32."""
    return (gray.float() / 255.0 - GRAY_MEAN) / GRAY_STD


def output_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the cells of an image of that size, px: an eighth of it, rounded up."""
    return -(-height // STRIDE), -(-width // STRIDE)
