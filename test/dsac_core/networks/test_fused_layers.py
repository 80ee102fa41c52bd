# SPDX-License-Identifier: Apache-2.0
"""Fused layers against the plain ones, where this PyTorch has them."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dsac_core.networks import fused_layers
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.networks.fused_layers import (
    FusedConvolution,
    FusedLinear,
    can_fuse,
    fused,
    product_of_rows,
)
from dsac_core.networks.xfeat_encoder import load_keypoint_layers, load_xfeat_encoder

CPU = torch.device("cpu")


BOTH = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["low", "full"])
ROUNDING = {torch.bfloat16: 2e-2, torch.float32: 1e-5}


def test_only_on_a_cpu_in_precisions_that_it_has() -> None:
    assert not can_fuse(CPU, torch.float16)
    assert not can_fuse(torch.device("cuda"), torch.bfloat16)


@BOTH
@pytest.mark.parametrize("broken", ["missing", "wrong", "refused"])
def test_nothing_is_fused_where_that_does_not_work(
    dtype: torch.dtype, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> torch.Tensor:
        msg = "not on this processor"
        raise RuntimeError(msg)

    operators = {
        "missing": SimpleNamespace(),
        "wrong": SimpleNamespace(
            _reorder_linear_weight=lambda weight: weight,
            _linear_pointwise=lambda *_: torch.zeros(3, 8, dtype=dtype),
            _reorder_convolution_weight=lambda weight, *_: weight,
            _convolution_pointwise=lambda *_: torch.zeros(1, 8, 7, 7, dtype=dtype),
        ),
        "refused": SimpleNamespace(_reorder_linear_weight=refuse),
    }
    monkeypatch.setattr(torch.ops, "mkldnn", operators[broken])
    fused_layers._works.cache_clear()
    try:
        assert not can_fuse(CPU, dtype)
    finally:
        fused_layers._works.cache_clear()


@BOTH
def test_this_pytorch_has_the_operators(dtype: torch.dtype) -> None:
    """The version that is pinned does; a later one that has them no more should be noticed."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch is built without oneDNN")
    assert can_fuse(CPU, dtype)


needs_fusing = pytest.mark.skipif(
    not (can_fuse(CPU, torch.bfloat16) and can_fuse(CPU, torch.float32)),
    reason="this PyTorch has no fused layers for this CPU",
)


@needs_fusing
@BOTH
@pytest.mark.parametrize("relu", [False, True])
@torch.inference_mode()
def test_a_linear_layer(relu: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(24, 40)
    x = torch.randn(37, 24)
    one = FusedLinear(layer, dtype, relu=relu)
    expected = layer.to(dtype)(x.to(dtype))
    expected = expected.relu() if relu else expected
    found = one(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=0.0, atol=0.5 * ROUNDING[dtype])
    assert bool((found < 0).any()) is not relu


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(500, 1000), (3, 7), (0, 4), (4, 0)])
def test_a_product_of_rows(sizes: tuple[int, int], dtype: torch.dtype) -> None:
    """In double precision nothing is fused."""
    generator = torch.Generator().manual_seed(0)
    one, other = (
        nn.functional.normalize(torch.randn(count, 64, generator=generator), dim=1)
        .to(dtype)
        .requires_grad_()
        for count in sizes
    )
    found = product_of_rows(one, other)
    assert found.dtype == dtype
    assert not found.requires_grad
    assert found.shape == sizes
    exact = one.detach().double() @ other.detach().double().T
    assert torch.allclose(found.double(), exact, atol=ROUNDING.get(dtype, 1e-12))


@needs_fusing
@BOTH
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (4, 0)])
@torch.inference_mode()
def test_a_convolution(stride: int, padding: int, relu: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, 3, stride=stride, padding=padding).to(dtype)
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    one = FusedConvolution(layer, relu=relu)
    for size in ((32, 48), (17, 23)):  # the same packed weights for images of any size
        images = torch.randn(2, 8, *size).to(dtype, memory_format=torch.channels_last)
        expected = layer(images).relu() if relu else layer(images)
        found = one(images)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0.0, atol=ROUNDING[dtype])
        assert bool((found < 0).any()) is not relu


@needs_fusing
@BOTH
@torch.inference_mode()
def test_the_encoder_says_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    plain = copy.deepcopy(load_xfeat_encoder()).to(dtype)
    quick = copy.deepcopy(plain)
    quick.fuse()
    assert not any(isinstance(module, nn.Conv2d | nn.ReLU) for module in quick.modules())
    for size in ((96, 128), (64, 160)):
        image = 255.0 * torch.rand(1, 1, *size)
        before, after = plain(image), quick(image)
        scale = before.features_BCHW.float().std()
        error = (before.features_BCHW - after.features_BCHW).float().square().mean().sqrt()
        assert error < ROUNDING[dtype] * scale
        torch.testing.assert_close(
            after.reliability_BHW, before.reliability_BHW, rtol=0.0, atol=2.5 * ROUNDING[dtype]
        )


@needs_fusing
@BOTH
@torch.inference_mode()
def test_the_keypoint_branch_says_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layers = load_keypoint_layers().to(dtype)
    cells = torch.randn(50, 64).to(dtype)
    before, after = layers(cells).float(), fused(layers)(cells).float()
    assert (before - after).square().mean().sqrt() < ROUNDING[dtype] * before.std()


@needs_fusing
@BOTH
@torch.inference_mode()
def test_a_head_says_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head = CoordinateHead(HeadConfig(width=64))
    head.centre.copy_(torch.tensor([3.0, -2.0, 1.0]))
    features = 2.0 * torch.randn(200, 128)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        expected = head(features)
    head.fuse(dtype)
    found = head(features)
    assert found.dtype == torch.float32
    spread = (expected - expected.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    assert (found - expected).square().sum(dim=1).mean().sqrt() < ROUNDING[dtype] * spread
