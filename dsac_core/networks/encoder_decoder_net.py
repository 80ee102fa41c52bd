# SPDX-License-Identifier: Apache-2.0
"""The network that sees all of the image at once, of DSAC*'s study of receptive fields."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from dsac_core.networks.coordinate_network import CoordinateNetwork, convolution, output_grid

# (output channels, stride) of the 3 x 3 convolutions: the stem of DSAC*, then down to stride 64.
ENCODER = ((32, 1), (64, 2), (128, 2), (256, 2), (256, 2), (256, 2), (256, 2))
GRID = (4, 5)  # rows and columns on both sides of the descriptor
DESCRIPTOR = 256  # numbers that are left of the image
DECODER = (256, 128, 128, 128)  # output channels; each doubles rows and columns, up to 64 x 80


class EncoderDecoderNet(CoordinateNetwork):
    """An encoder-decoder: the image becomes one vector, and that becomes all scene points.

    Brachmann and Rother, TPAMI 2021, section 6.7, says what it is for (it does badly: its receptive
    field is the whole image) and that it has as many parameters as DSAC*, but not its layers. Ours
    has the stem of DSAC*, three more convolutions of stride 2, the mean over each part of a grid of
    4 x 5, a linear layer to the descriptor and one back to such a grid, four transposed
    convolutions of stride 2, and bilinear interpolation to the cells of the image. 6,883,075
    parameters; those of DSAC* are 6,882,819.
    """

    def __init__(self) -> None:
        """Make the layers, with random weights from torch's generator."""
        super().__init__("encoder-decoder", DECODER[-1])
        self.encoder = nn.Sequential()
        channels = 1
        for outputs, stride in ENCODER:
            self.encoder.append(convolution(channels, outputs, 3, stride))
            channels = outputs
        cells = GRID[0] * GRID[1]
        self.describe = nn.Linear(channels * cells, DESCRIPTOR)
        self.unfold = nn.Linear(DESCRIPTOR, channels * cells)
        self.decoder = nn.Sequential()
        for outputs in DECODER:
            # A kernel of twice the stride covers all cells alike.
            self.decoder.append(nn.ConvTranspose2d(channels, outputs, 4, stride=2, padding=1))
            self.decoder.append(nn.ReLU(inplace=True))
            channels = outputs

    def descriptor_BD(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        """What is known of each normalised gray image [B x 256]."""
        parts = functional.adaptive_avg_pool2d(self.encoder(gray_B1HW), GRID)
        return functional.relu(self.describe(parts.flatten(1)))

    def features_BCHW(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        """Features [B x C x ceil(H / 8) x ceil(W / 8)] of normalised gray images."""
        unfolded = functional.relu(self.unfold(self.descriptor_BD(gray_B1HW)))
        decoded = self.decoder(unfolded.unflatten(1, (-1, *GRID)))
        grid = output_grid(*gray_B1HW.shape[-2:])
        return functional.interpolate(decoded, size=grid, mode="bilinear", align_corners=False)
