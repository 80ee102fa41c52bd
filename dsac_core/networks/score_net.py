# SPDX-License-Identifier: Apache-2.0
"""The learned score of a pose hypothesis: a CNN on the image of its residuals."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import torch
from torch import nn

from dsac_core.errors import ConfigError

IMAGE_SIZE = 40  # rows and columns of what the layers see: the last convolution leaves 1 x 1
LARGEST_ERROR = 10.0  # inlier thresholds: 100 px in the 2017 code, whose threshold is 10 px
MEAN_ERROR = 4.5  # inlier thresholds: that code subtracts 45 px

# (output channels, stride, padding) of the 3 x 3 convolutions: 40 -> 20 -> 10 -> 5 -> 2 -> 1 cells.
CONVOLUTIONS = (
    (32, 1, 1), (32, 2, 1),
    (64, 1, 1), (64, 2, 1),
    (128, 1, 1), (128, 2, 1),
    (256, 1, 1), (256, 2, 0),
    (512, 1, 1), (512, 2, 1),
)  # fmt: skip
FULLY_CONNECTED = (512, 1024, 1024, 1)


class ScoreNet(nn.Module):
    """The score CNN of DSAC: from the residuals of a pose to one number, the higher the better.

    Brachmann et al., "DSAC - Differentiable RANSAC for Camera Localization", CVPR 2017: a VGG-style
    network of 13 layers and about 6 million parameters on a 40 x 40 image of reprojection errors.
    Channels, strides, the clamp and the mean are those of the published code
    (cvlab-dresden/DSAC, ``core/lua/train_score.lua`` and ``core/lua_calls.h``): ten 3 x 3
    convolutions and three fully connected layers, 6,287,585 parameters. Not from there: He's
    initialisation, errors in units of the inlier threshold, and the area-weighted means of all
    cells as the image (there: 40 x 40 cells drawn at random).
    """

    row_shares: torch.Tensor
    column_shares: torch.Tensor

    def __init__(self, grid: tuple[int, int], *, inlier_threshold: float = 10.0) -> None:
        """Make the layers, with random weights from torch's global generator.

        The parameters do not depend on the grid: those learnt on one can be loaded for another.

        Args:
            grid: Rows and columns of the cells whose residuals come in.
            inlier_threshold: tau, in the unit of the residuals: px (PnP) or metres (Kabsch).

        Raises:
            ConfigError: The grid has no cells, or the threshold is not a positive number.
        """
        super().__init__()
        if min(grid) < 1:
            msg = f"score network: the grid needs at least 1 x 1 cells, got {grid[0]} x {grid[1]}"
            raise ConfigError(msg)
        if not 0 < inlier_threshold < math.inf:
            msg = f"score network: inlier_threshold must be positive, got {inlier_threshold}"
            raise ConfigError(msg)
        self.grid = grid
        self.inlier_threshold = inlier_threshold
        self.layers = _layers()
        # Of the grid and not learnt, so not saved with the parameters either.
        self.register_buffer("row_shares", _area_shares(grid[0]), persistent=False)
        self.register_buffer("column_shares", _area_shares(grid[1]), persistent=False)

    def forward(self, errors_BHN: torch.Tensor, weights_BN: torch.Tensor) -> torch.Tensor:
        """Scores [B x H] of H hypotheses for each of B images, differentiable in the errors.

        They come in the precision of the errors; the layers compute in that of their parameters.

        Args:
            errors_BHN: Residuals of the grid's cells, row by row, px or metres. From ten
                thresholds on they are all the same, without gradient; NaN counts among them.
            weights_BN: A cell of weight 0 looks like one of the largest error. Other weights make
                no difference.

        Raises:
            ConfigError: The number of cells is not that of the grid.
        """
        rows, columns = self.grid
        batch, hypotheses, cells = errors_BHN.shape
        if cells != rows * columns:
            msg = (
                f"score network: {cells} residuals do not fill its grid of {rows} x {columns} "
                "cells; give one for each cell, or make the network for another grid"
            )
            raise ConfigError(msg)
        image = self._normalised(errors_BHN, weights_BN).reshape(-1, rows, columns)
        resized = self.row_shares @ image @ self.column_shares.T
        scores: torch.Tensor = self.layers(resized[:, None])
        return scores.view(batch, hypotheses).to(errors_BHN.dtype)

    def on_grid(self, grid: tuple[int, int]) -> ScoreNet:
        """This network for another grid; the layers are the same ones, not copies."""
        if grid == self.grid:
            return self
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        other.grid = grid
        for name, cells in zip(("row_shares", "column_shares"), grid, strict=True):
            other._buffers[name] = _area_shares(cells).to(self.row_shares)
        return other

    def _normalised(self, errors_BHN: torch.Tensor, weights_BN: torch.Tensor) -> torch.Tensor:
        """Errors within [-0.9, 1.1], whatever their unit, in the precision of the layers."""
        relative = errors_BHN / self.inlier_threshold
        # A comparison, since a clamp would let NaN through: the hypotheses of nothing that fill up
        # a batch have such residuals, and their gradients would be NaN even with the score unused.
        counts = (relative < LARGEST_ERROR) & (weights_BN > 0)[:, None]
        bounded = torch.where(counts, relative, LARGEST_ERROR)
        return ((bounded - MEAN_ERROR) / (LARGEST_ERROR / 2)).to(self.row_shares.dtype)


def _layers() -> nn.Sequential:
    """Images [K x 1 x 40 x 40] to scores [K x 1]."""
    layers = nn.Sequential()
    channels = 1
    for width, stride, padding in CONVOLUTIONS:
        layers.append(nn.Conv2d(channels, width, 3, stride=stride, padding=padding))
        layers.append(nn.ReLU(inplace=True))
        channels = width
    layers.append(nn.Flatten())
    for inputs, outputs in pairwise(FULLY_CONNECTED):
        layers.append(nn.Linear(inputs, outputs))
        layers.append(nn.ReLU(inplace=True))
    del layers[-1]  # a score has either sign
    for parameter in layers.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        else:
            nn.init.zeros_(parameter)
    return layers


def _area_shares(cells: int) -> torch.Tensor:
    """How much of each of 40 equal pieces of a line [40 x cells] every cell covers; rows sum to 1.

    Resampling by area this way keeps the mean of an image of any size. Torch's own
    (``adaptive_avg_pool2d``) takes whole cells only and has no deterministic gradient on CUDA.
    """
    ends = torch.arange(IMAGE_SIZE + 1, dtype=torch.float64) * (cells / IMAGE_SIZE)
    cell = torch.arange(cells, dtype=torch.float64)
    covered = (ends[:, None] - cell).clamp(0.0, 1.0)  # of each cell, from the start of the line
    shares = covered.diff(dim=0) * (IMAGE_SIZE / cells)
    return shares.to(torch.get_default_dtype())
