# SPDX-License-Identifier: Apache-2.0
"""An image into described cells: the first half of a fast map's network, shared by all scenes."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import nn

from dsac_core.geometry.grid import STRIDE, cell_centres
from dsac_core.networks.precision import inference_dtype
from dsac_core.networks.xfeat_encoder import load_xfeat_encoder, pad_to_alignment


class EncodedImage(NamedTuple):
    """The cells of one image that lie inside it, row by row."""

    features_NC: torch.Tensor
    reliability_N: torch.Tensor  # in [0, 1]
    pixels_N2: torch.Tensor  # centres of the cells in the image, float32


class ImageEncoder(nn.Module):
    """The frozen encoder on one device, in the fastest precision that the device has."""

    def __init__(self, device: torch.device) -> None:
        """Load the weights and move a copy of them to the device."""
        super().__init__()
        self.dtype = inference_dtype(device)
        self._encoder = copy.deepcopy(load_xfeat_encoder()).to(device, self.dtype)

    @torch.inference_mode()
    def forward(self, gray_HW: torch.Tensor) -> EncodedImage:
        """Features of all cells of a gray image [H x W], uint8 or float, on the encoder's device.

        Cells are where the image is whole under them: floor(H / 8) rows of floor(W / 8).
        """
        height, width = gray_HW.shape
        rows, columns = height // STRIDE, width // STRIDE
        image = pad_to_alignment(gray_HW[None, None].to(torch.float32))
        encoded = self._encoder(image)
        features = encoded.features_BCHW[0, :, :rows, :columns]
        return EncodedImage(
            features.flatten(1).T.contiguous(),
            encoded.reliability_BHW[0, :rows, :columns].flatten().float(),
            cell_centres(rows, columns).to(gray_HW.device),
        )
