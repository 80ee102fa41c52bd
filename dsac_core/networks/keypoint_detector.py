# SPDX-License-Identifier: Apache-2.0
"""Keypoints of an image, with the descriptors that the encoder has computed anyway.

XFeat (Potje et al., CVPR 2024, section 3.2) finds keypoints with a second, small branch: each 8 x 8
px cell of the gray image, as 64 numbers, goes through four layers to 65 logits, one for each of its
pixels and one for "none here". Their descriptors are the fused features, interpolated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from dsac_core.geometry.grid import STRIDE
from dsac_core.networks.fused_layers import can_fuse, fused
from dsac_core.networks.xfeat_encoder import load_keypoint_layers, standardise

if TYPE_CHECKING:
    from dsac_core.networks.image_encoder import EncodedImage

DESCRIPTOR_CHANNELS = 64  # the fused ones, which come first among the features
_LEAST_PROBABILITY = 0.05  # that a pixel is a keypoint: XFeat's own threshold
_APART = 2.0  # px, in x or in y: of two keypoints that are closer the likelier stays


class Keypoints(NamedTuple):
    """Points of one image that can be found again, likeliest first."""

    pixels_K2: torch.Tensor  # (x, y), float32, between pixels
    scores_K: torch.Tensor  # probability times reliability
    descriptors_KC: torch.Tensor  # unit vectors, float32


class KeypointDetector(nn.Module):
    """The keypoint branch with its frozen weights, on the device and in the precision given."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        """Load the weights."""
        super().__init__()
        self._dtype = dtype
        layers = load_keypoint_layers().to(device, dtype)
        self._layers = fused(layers) if can_fuse(device, dtype) else layers

    @torch.inference_mode()
    def forward(self, gray_HW: torch.Tensor, encoded: EncodedImage, most: int) -> Keypoints:
        """The ``most`` likeliest keypoints of an image, at most one in each cell.

        Args:
            gray_HW: The image, uint8 or float, on the detector's device.
            encoded: The same image as the encoder sees it.
            most: Keypoints at most.
        """
        rows, columns = (side // STRIDE for side in gray_HW.shape)
        if rows * columns == 0:
            nothing = torch.zeros(0, device=gray_HW.device)
            none_KC = nothing.reshape(0, DESCRIPTOR_CHANNELS)
            return Keypoints(nothing.reshape(0, 2), nothing, none_KC)
        whole = gray_HW[: rows * STRIDE, : columns * STRIDE]
        image = standardise(whole[None, None].to(torch.float32))
        cells_NS = functional.pixel_unshuffle(image, STRIDE)[0].flatten(1).T.contiguous()
        logits = self._layers(cells_NS.to(self._dtype)).float()
        probability_NS = logits.softmax(dim=1)[:, : STRIDE**2]
        best_N, place_N = probability_NS.max(dim=1)
        cell = torch.arange(rows * columns, device=gray_HW.device)
        x = (cell % columns) * STRIDE + place_N % STRIDE
        y = (cell // columns) * STRIDE + place_N // STRIDE
        alone = _likelier_than_neighbours(best_N, x, y, (rows, columns))
        found = torch.nonzero(alone & (best_N > _LEAST_PROBABILITY))[:, 0]
        scores = best_N[found] * encoded.reliability_N[found]
        order = scores.argsort(descending=True, stable=True)[:most]
        kept, scores = found[order], scores[order]
        pixels = torch.stack([x[kept], y[kept]], dim=1)
        pixels_K2 = pixels + _centroid(probability_NS, pixels, (rows, columns))
        return Keypoints(pixels_K2, scores, _descriptors(encoded, pixels_K2, (rows, columns)))


def _likelier_than_neighbours(
    best_N: torch.Tensor, x_N: torch.Tensor, y_N: torch.Tensor, grid: tuple[int, int]
) -> torch.Tensor:
    """Whether no keypoint of a cell beside is as close as ``_APART`` and likelier."""
    best, x, y = (
        functional.pad(values.reshape(grid).float(), (1, 1, 1, 1), value=-1e6)
        for values in (best_N, x_N, y_N)
    )
    rows, columns = grid
    alone = torch.ones(grid, dtype=torch.bool, device=best_N.device)
    inner = (slice(1, 1 + rows), slice(1, 1 + columns))
    for down in (0, 1, 2):
        for right in (0, 1, 2):
            beside = (slice(down, down + rows), slice(right, right + columns))
            close = (x[beside] - x[inner]).abs() <= _APART
            close &= (y[beside] - y[inner]).abs() <= _APART
            alone &= ~(close & (best[beside] > best[inner]))
    return alone.flatten()


def _centroid(
    probability_NS: torch.Tensor, pixels_K2: torch.Tensor, grid: tuple[int, int]
) -> torch.Tensor:
    """Where between its pixels [K x 2] a keypoint lies, from the nine probabilities around it."""
    rows, columns = grid
    steps = torch.tensor(
        [(right, down) for down in (-1, 0, 1) for right in (-1, 0, 1)], device=pixels_K2.device
    )
    x, y = (pixels_K2[:, None] + steps).unbind(dim=2)
    inside = (x >= 0) & (y >= 0) & (x < columns * STRIDE) & (y < rows * STRIDE)
    cell = (y // STRIDE) * columns + x // STRIDE
    place = (y % STRIDE) * STRIDE + x % STRIDE
    weights = probability_NS[torch.where(inside, cell, 0), place] * inside
    total = weights.sum(dim=1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
    centroid: torch.Tensor = (weights @ steps.to(weights)) / total
    return centroid


def _descriptors(
    encoded: EncodedImage, pixels_K2: torch.Tensor, grid: tuple[int, int]
) -> torch.Tensor:
    """The cells' descriptors at pixels, as unit vectors [K x C] (bicubic, as in XFeat)."""
    unit = functional.normalize(encoded.features_NC[:, :DESCRIPTOR_CHANNELS].float(), dim=1)
    plane = unit.T.reshape(1, DESCRIPTOR_CHANNELS, *grid)
    extent = pixels_K2.new_tensor([grid[1] * STRIDE, grid[0] * STRIDE])
    where = ((2.0 * pixels_K2 + 1.0) / extent - 1.0)[None, None]
    sampled = functional.grid_sample(plane, where, mode="bicubic", align_corners=False)
    return functional.normalize(sampled[0, :, 0].T, dim=1)
