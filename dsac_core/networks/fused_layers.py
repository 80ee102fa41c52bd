# SPDX-License-Identifier: Apache-2.0
"""Layers of frozen networks on a CPU, in bfloat16 or float32, as oneDNN computes them fastest.

The ReLU happens while a result is still in the cache, and the weights lie in memory in the order
in which they are read. The operators are those that PyTorch's own compiler puts in the place of
these layers, without a compiler. In bfloat16 results are the same bit by bit, in float32 but for
rounding; there a linear layer is MKL's otherwise, which on AMD takes twice the time.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import torch
from torch import nn


class FusedLinear(nn.Module):
    """A linear layer, with its ReLU."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, *, relu: bool) -> None:
        """Take the weights of a layer, to compute in ``dtype``."""
        super().__init__()
        self.bias = nn.Parameter(layer.bias.detach().to(dtype), requires_grad=False)
        weight = layer.weight.detach().to(dtype)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        self._dtype = dtype
        self._then = "relu" if relu else "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """For x of any shape [... x inputs]: [... x outputs]."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x.to(self._dtype), self._packed, self.bias, self._then, [], ""
        )
        return result


class FusedConvolution(nn.Module):
    """A convolution, with its ReLU."""

    def __init__(self, layer: nn.Conv2d, *, relu: bool) -> None:
        """Take the weights of a layer, in the precision in which it has them."""
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


def product_of_rows(one_AC: torch.Tensor, other_BC: torch.Tensor) -> torch.Tensor:
    """``one @ other.T`` [A x B], without a derivative, by what is fastest on the device."""
    if can_fuse(one_AC.device, one_AC.dtype):
        return _product(one_AC.detach(), other_BC.detach())
    return one_AC.detach() @ other_BC.detach().T


def _product(one_AC: torch.Tensor, other_BC: torch.Tensor) -> torch.Tensor:
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
        one_AC, other_BC, None, "none", [], ""
    )
    return product


def can_fuse(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this PyTorch has the operators, and they work on that device in that precision."""
    return (
        device.type == "cpu"
        and dtype in (torch.bfloat16, torch.float32)
        and torch.backends.mkldnn.is_available()
        and _works(dtype)
    )


@lru_cache(maxsize=2)
@torch.inference_mode()
def _works(dtype: torch.dtype) -> bool:
    """One of each kind against the plain one: not every build has all for every processor."""
    ones, images = torch.ones(3, 16, dtype=dtype), torch.ones(1, 16, 9, 9, dtype=dtype)
    # Without random numbers: it may be asked in any thread, and those are everybody's.
    linear = nn.utils.skip_init(nn.Linear, 16, 8).to(dtype)
    convolution = nn.utils.skip_init(nn.Conv2d, 16, 8, 3).to(dtype)
    for parameter in (*linear.parameters(), *convolution.parameters()):
        parameter.copy_(0.1 * torch.arange(parameter.numel()).sin().view_as(parameter))
    try:
        pairs = (
            (FusedLinear(linear, dtype, relu=True)(ones), linear(ones).relu()),
            (FusedConvolution(convolution, relu=True)(images), convolution(images).relu()),
            (_product(ones, linear.weight), ones @ linear.weight.T),
        )
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return all(torch.allclose(found, expected, atol=0.02) for found, expected in pairs)


def fused(layers: nn.Sequential) -> nn.Sequential:
    """The same network of fused layers; those that are neither linear nor convolutions stay."""
    found: list[nn.Module] = []
    each = list(layers)
    for layer, after in itertools.zip_longest(each, each[1:]):
        relu = isinstance(after, nn.ReLU)
        if isinstance(layer, nn.Linear):
            found.append(FusedLinear(layer, layer.weight.dtype, relu=relu))
        elif isinstance(layer, nn.Conv2d):
            found.append(FusedConvolution(layer, relu=relu))
        elif not isinstance(layer, nn.ReLU):
            found.append(layer)
    return nn.Sequential(*found)
