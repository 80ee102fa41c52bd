# SPDX-License-Identifier: Apache-2.0
"""The residual networks of DSAC*: the standard one, tiny, and those of other receptive fields."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from dsac_core.networks.coordinate_network import CoordinateNetwork, convolution

STEM_STRIDES = (1, 2, 2, 2)


@dataclass(frozen=True)
class DsacStarLayout:
    """Channels and kernel sizes of all layers but the last."""

    stem: tuple[int, int, int, int] = (32, 64, 128, 256)  # channels after each convolution
    blocks: tuple[int, int, int] = (256, 512, 512)  # channels of each residual block
    stem_kernels: tuple[int, int, int, int] = (3, 3, 3, 3)
    block_kernels: tuple[tuple[int, int, int], ...] = ((3, 1, 3), (3, 1, 3), (1, 1, 1))


LAYOUTS = {
    "dsacstar": DsacStarLayout(),
    "dsacstar-tiny": DsacStarLayout(stem=(32, 64, 128, 128), blocks=(128, 128, 128)),
    # Channels of the standard network times 1.355.
    "dsacstar-rf49": DsacStarLayout(
        stem=(40, 88, 176, 344),
        blocks=(344, 696, 696),
        block_kernels=((3, 1, 3), (1, 1, 1), (1, 1, 1)),
    ),
    # Times 0.668.
    "dsacstar-rf149": DsacStarLayout(
        stem=(24, 40, 88, 168),
        blocks=(168, 344, 344),
        stem_kernels=(3, 3, 5, 3),
        block_kernels=((3, 1, 3), (3, 3, 3), (3, 3, 3)),
    ),
}


class DsacStarNet(CoordinateNetwork):
    """The network of DSAC*: a stem down to an eighth of the image, three residual blocks, a head.

    Brachmann and Rother, TPAMI 2021, section 3.1 and Fig. 3; what those leave out is as in the
    published code (vislearn/dsacstar, ``network.py``). No normalisation layers; a ReLU follows each
    convolution but the last one and that of the skip connection in the second block, and comes
    before the addition.

    ================= ========== =================== ===============
    name              parameters memory, float32     receptive field
    ================= ========== =================== ===============
    dsacstar           6,882,819 26.3 MiB            81 px
    dsacstar-tiny        946,563 3.6 MiB             81 px
    dsacstar-rf49      6,844,507 26.1 MiB            49 px
    dsacstar-rf149     6,910,835 26.4 MiB            149 px
    ================= ========== =================== ===============

    In ``tiny`` (section 6.10) channels are clamped to 128, so no skip connection needs a
    convolution. The other two are of the study of receptive fields (section 6.7), which says only
    that 3 x 3 and 1 x 1 convolutions took each other's place and that channels were scaled to keep
    the number of parameters. In ours, all channels are scaled by one factor and rounded to
    multiples of 8, which keeps that number within 1 %. 49 px: the second block has 1 x 1
    convolutions only. 149 px: exchanges alone cannot give it, since at stride 8 a 3 x 3 convolution
    adds 16 px to the stem's 17, and 132 is no multiple of 16. So there are eight of them (the
    second and third block have 3 x 3 convolutions only, the first is as it was), and the stem's
    third convolution, whose input has stride 2, is 5 x 5 for the other 4 px.
    """

    def __init__(self, name: str = "dsacstar") -> None:
        """Make the layers of ``LAYOUTS[name]``, with random weights from torch's generator."""
        layout = LAYOUTS[name]
        width = layout.blocks[-1]
        super().__init__(name, width)
        self.stem = nn.Sequential()
        channels = 1
        for outputs, kernel, stride in zip(
            layout.stem, layout.stem_kernels, STEM_STRIDES, strict=True
        ):
            self.stem.append(convolution(channels, outputs, kernel, stride))
            channels = outputs
        self.blocks = nn.Sequential()
        for outputs, kernels in zip(layout.blocks, layout.block_kernels, strict=True):
            self.blocks.append(ResidualBlock(channels, outputs, kernels))
            channels = outputs
        self.head = nn.Sequential(convolution(width, width, 1), convolution(width, width, 1))

    def features_BCHW(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        """Features [B x C x ceil(H / 8) x ceil(W / 8)] of normalised gray images."""
        features: torch.Tensor = self.head(self.blocks(self.stem(gray_B1HW)))
        return features


class ResidualBlock(nn.Module):
    """Three convolutions, each with a ReLU, beside a skip connection."""

    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, int, int]) -> None:
        """Make the layers; the skip connection is a 1 x 1 convolution where channels differ."""
        super().__init__()
        first, second, third = kernels
        self.layers = nn.Sequential(
            convolution(inputs, outputs, first),
            convolution(outputs, outputs, second),
            convolution(outputs, outputs, third),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """The sum of both ways; no ReLU after it."""
        both: torch.Tensor = self.skip(x_BCHW) + self.layers(x_BCHW)
        return both
