# SPDX-License-Identifier: Apache-2.0
"""The VGG-style network of DSAC++."""

from __future__ import annotations

import torch
from torch import nn

from dsac_core.networks.coordinate_network import CoordinateNetwork, convolution

# (output channels, kernel, stride) of all convolutions but the last.
CONVOLUTIONS = (
    (64, 3, 1), (128, 3, 2), (128, 3, 2), (256, 3, 1), (256, 3, 2),
    (512, 3, 1), (512, 3, 1), (512, 3, 1),
    (4096, 1, 1), (4096, 1, 1),
)  # fmt: skip


class DsacPlusPlusNet(CoordinateNetwork):
    """The network of DSAC++: eleven convolutions in a row, receptive field 73 px.

    Brachmann and Rother, "Learning Less is More - 6D Camera Localization via 3D Surface
    Regression", CVPR 2018. Channels and strides are those of the published code (vislearn/LessMore,
    ``code/lua/train_obj.lua``); a ReLU follows each convolution but the last. Not from there: the
    image is gray (there: RGB), as DSAC* found to do no harm. 25,901,955 parameters, 104 MB.
    """

    def __init__(self) -> None:
        """Make the layers, with random weights from torch's generator."""
        channels = 1
        super().__init__("dsacpp", CONVOLUTIONS[-1][0])
        self.layers = nn.Sequential()
        for outputs, kernel, stride in CONVOLUTIONS:
            self.layers.append(convolution(channels, outputs, kernel, stride))
            channels = outputs

    def features_BCHW(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        """Features [B x C x ceil(H / 8) x ceil(W / 8)] of normalised gray images."""
        features: torch.Tensor = self.layers(gray_B1HW)
        return features
