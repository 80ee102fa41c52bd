# SPDX-License-Identifier: Apache-2.0
"""Layers of frozen networks in bfloat16 on a CPU, as oneDNN computes them fastest.

The ReLU happens while a result is still in the cache, and the weights lie in memory in the order
in which they are read. The operators are those that PyTorch's own compiler puts in the place of
these layers, without a compiler. Results are the same bit by bit.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn


class FusedLinear(nn.Module):
    """A linear layer, with its ReLU."""

    def __init__(self, layer: nn.Linear, *, relu: bool) -> None:
        """Take the weights of a layer, in bfloat16."""
        super().__init__()
        self.bias = nn.Parameter(layer.bias.detach().to(torch.bfloat16), requires_grad=False)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(
            layer.weight.detach().to(torch.bfloat16)
        )
        self._then = "relu" if relu else "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """For x of any shape [... x inputs]: [... x outputs]."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x.to(torch.bfloat16), self._packed, self.bias, self._then, [], ""
        )
        return result


class FusedConvolution(nn.Module):
    """A convolution, with its ReLU."""

    def __init__(self, layer: nn.Conv2d, *, relu: bool) -> None:
        """Take the weights of a layer that has them in bfloat16."""
        super().__init__()
        assert layer.bias is not None
        self.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)
        self._geometry = tuple(map(list, (layer.padding, layer.stride, layer.dilation)))
        self._groups = layer.groups
        self._packed = torch.ops.mkldnn._reorder_convolution_weight(
            layer.weight.detach(), *self._geometry, layer.groups
        )
        self._then = "relu" if relu else "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """For images [B x C x H x W]."""
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.bias, *self._geometry, self._groups, self._then, [], ""
        )
        return result


def can_fuse(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this PyTorch has the operators, for that device and precision."""
    wanted = (
        "_linear_pointwise",
        "_reorder_linear_weight",
        "_convolution_pointwise",
        "_reorder_convolution_weight",
    )
    return (
        device.type == "cpu"
        and dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in wanted)
    )


def fused(layers: nn.Sequential) -> nn.Sequential:
    """The same network of fused layers; those that are neither linear nor convolutions stay."""
    found: list[nn.Module] = []
    each = list(layers)
    for layer, after in itertools.zip_longest(each, each[1:]):
        relu = isinstance(after, nn.ReLU)
        if isinstance(layer, nn.Linear):
            found.append(FusedLinear(layer, relu=relu))
        elif isinstance(layer, nn.Conv2d):
            found.append(FusedConvolution(layer, relu=relu))
        elif not isinstance(layer, nn.ReLU):
            found.append(layer)
    return nn.Sequential(*found)
