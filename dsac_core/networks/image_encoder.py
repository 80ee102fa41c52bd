# SPDX-License-Identifier: Apache-2.0
"""An image into described cells: the first half of a fast map's network, shared by all scenes."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import nn

from dsac_core.geometry.grid import STRIDE, cell_centres
from dsac_core.networks.fused_layers import can_fuse
from dsac_core.networks.precision import inference_dtype
from dsac_core.networks.xfeat_encoder import (
    CellFeatures,
    XFeatEncoder,
    load_xfeat_encoder,
    pad_to_alignment,
)


class EncodedImage(NamedTuple):
    """The cells of one image that lie inside it, row by row."""

    features_NC: torch.Tensor
    reliability_N: torch.Tensor  # in [0, 1]
    pixels_N2: torch.Tensor  # centres of the cells in the image, float32

    def most_reliable(self, least: float, most: int) -> torch.Tensor:
        """The cells [K] to estimate a pose from: reliable ones, best first, ``most`` of them."""
        usable = int((self.reliability_N >= least).sum())
        order = self.reliability_N.argsort(descending=True, stable=True)
        return order[: min(most, usable)]


class ImageEncoder(nn.Module):
    """The frozen encoder on one device, in the fastest precision that the device has."""

    def __init__(self, device: torch.device, dtype: torch.dtype | None = None) -> None:
        """Move a copy of the weights to the device, in ``dtype`` where one is asked for."""
        super().__init__()
        self.dtype = dtype or inference_dtype(device)
        encoder = copy.deepcopy(load_xfeat_encoder()).to(device, self.dtype)
        # The order of memory in which convolutions are fastest.
        self._encoder: XFeatEncoder = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if can_fuse(device, self.dtype):
            self._encoder.fuse()

    @torch.inference_mode()
    def forward(self, gray_HW: torch.Tensor) -> EncodedImage:
        """Features of all cells of a gray image [H x W], uint8 or float, on the encoder's device.

        Cells are where the image is whole under them: floor(H / 8) rows of floor(W / 8).
        """
        image = pad_to_alignment(gray_HW[None, None].to(torch.float32))
        features_NC, reliability_N = cells_inside(self._encoder(image), *gray_HW.shape)
        pixels_N2 = cell_centres(gray_HW.shape[0] // STRIDE, gray_HW.shape[1] // STRIDE)
        return EncodedImage(features_NC, reliability_N.float(), pixels_N2.to(gray_HW.device))


def cells_inside(
    encoded: CellFeatures, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features [N x C] and reliability [N] of the cells of one image that are whole inside it."""
    rows, columns = height // STRIDE, width // STRIDE
    # Channels come last in memory, so this copies nothing where the width is aligned.
    features_NC = encoded.features_BCHW[0, :, :rows, :columns].permute(1, 2, 0).flatten(0, 1)
    return features_NC.contiguous(), encoded.reliability_BHW[0, :rows, :columns].flatten()
