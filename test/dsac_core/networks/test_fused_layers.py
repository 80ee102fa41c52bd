# SPDX-License-Identifier: Apache-2.0
"""Fused layers against the plain ones, bit by bit, where this PyTorch has them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.networks.fused_layers import FusedConvolution, FusedLinear, can_fuse, fused
from dsac_core.networks.xfeat_encoder import load_keypoint_layers, load_xfeat_encoder

CPU = torch.device("cpu")
LOW = torch.bfloat16


def test_only_in_bfloat16_on_a_cpu() -> None:
    assert not can_fuse(CPU, torch.float32)
    assert not can_fuse(torch.device("cuda"), LOW)


def test_nothing_is_fused_without_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert not can_fuse(CPU, LOW)


def test_this_pytorch_has_the_operators() -> None:
    """The version that is pinned does; a later one that has them no more should be noticed."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch is built without oneDNN")
    assert can_fuse(CPU, LOW)


needs_fusing = pytest.mark.skipif(
    not can_fuse(CPU, LOW), reason="this PyTorch has no fused layers for this CPU"
)


@needs_fusing
@pytest.mark.parametrize("relu", [False, True])
@torch.inference_mode()
def test_a_linear_layer(relu: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(24, 40)
    x = torch.randn(37, 24)
    expected = layer.to(LOW)(x.to(LOW))
    expected = expected.relu() if relu else expected
    found = FusedLinear(layer, relu=relu)(x)
    assert found.dtype == LOW
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-2)
    assert bool((found < 0).any()) is not relu


@needs_fusing
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (4, 0)])
@torch.inference_mode()
def test_a_convolution(stride: int, padding: int, relu: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, 3, stride=stride, padding=padding).to(LOW)
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    one = FusedConvolution(layer, relu=relu)
    for size in ((32, 48), (17, 23)):  # the same packed weights for images of any size
        images = torch.randn(2, 8, *size).to(LOW, memory_format=torch.channels_last)
        expected = layer(images).relu() if relu else layer(images)
        found = one(images)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0.0, atol=2e-2)
        assert bool((found < 0).any()) is not relu


@needs_fusing
@torch.inference_mode()
def test_the_encoder_says_the_same() -> None:
    torch.manual_seed(0)
    plain = copy.deepcopy(load_xfeat_encoder()).to(LOW)
    quick = copy.deepcopy(plain)
    quick.fuse()
    assert not any(isinstance(module, nn.Conv2d | nn.ReLU) for module in quick.modules())
    for size in ((96, 128), (64, 160)):
        image = 255.0 * torch.rand(1, 1, *size)
        before, after = plain(image), quick(image)
        scale = before.features_BCHW.float().std()
        error = (before.features_BCHW - after.features_BCHW).float().square().mean().sqrt()
        assert error < 0.02 * scale
        torch.testing.assert_close(
            after.reliability_BHW, before.reliability_BHW, rtol=0.0, atol=0.05
        )


@needs_fusing
@torch.inference_mode()
def test_the_keypoint_branch_says_the_same() -> None:
    torch.manual_seed(0)
    layers = load_keypoint_layers().to(LOW)
    cells = torch.randn(50, 64).to(LOW)
    before, after = layers(cells).float(), fused(layers)(cells).float()
    assert (before - after).square().mean().sqrt() < 0.02 * before.std()


@needs_fusing
@torch.inference_mode()
def test_a_head_says_the_same() -> None:
    torch.manual_seed(0)
    head = CoordinateHead(HeadConfig(width=64))
    head.centre.copy_(torch.tensor([3.0, -2.0, 1.0]))
    features = 2.0 * torch.randn(200, 128)
    with torch.autocast("cpu", LOW):
        expected = head(features)
    head.fuse()
    found = head(features)
    assert found.dtype == torch.float32
    spread = (expected - expected.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    assert (found - expected).square().sum(dim=1).mean().sqrt() < 0.02 * spread
