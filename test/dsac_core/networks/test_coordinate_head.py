# SPDX-License-Identifier: Apache-2.0
"""The head."""

from __future__ import annotations

import pytest
import torch

from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_head import MIN_SCALE, CoordinateHead, HeadConfig


def make_head(**config: int) -> CoordinateHead:
    torch.manual_seed(0)
    return CoordinateHead(HeadConfig(**config))


def test_it_has_the_documented_size() -> None:
    head = make_head()
    assert sum(parameter.numel() for parameter in head.parameters()) == 560_388
    assert head(torch.randn(7, 128)).shape == (7, 3)
    assert head(torch.empty(0, 128)).shape == (0, 3)


def test_other_shapes() -> None:
    head = make_head(in_channels=10, width=16, blocks=1)
    assert head(torch.randn(5, 10)).shape == (5, 3)
    # enter, one block of three, two of the neck, leave
    assert sum(p.numel() for p in head.parameters()) == 11 * 16 + 5 * 17 * 16 + 17 * 4


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3, 1e6])
def test_the_output_is_finite_for_features_of_any_size(scale: float) -> None:
    points = make_head()(scale * torch.randn(100, 128))
    assert points.isfinite().all()
    assert points.dtype == torch.float32


def test_the_homogeneous_coordinate_bounds_the_distance() -> None:
    head = make_head()
    xyzw = torch.tensor([[1.0, -2.0, 3.0, -1e4], [1.0, -2.0, 3.0, 1e4]])
    near_infinity, near = head._from_homogeneous(xyzw)
    torch.testing.assert_close(near_infinity, torch.tensor([1.0, -2.0, 3.0]) / MIN_SCALE)
    assert near.norm() < 1e-3


def test_features_are_standardised_and_the_centre_is_added() -> None:
    head, features = make_head(), torch.randn(20, 128)
    plain = head(features)
    head.feature_mean.fill_(3.0)
    head.feature_std.fill_(2.0)
    head.centre.copy_(torch.tensor([10.0, 20.0, 30.0]))
    moved = head(2.0 * features + 3.0)
    torch.testing.assert_close(moved, plain + torch.tensor([10.0, 20.0, 30.0]), atol=1e-4, rtol=0)


def test_half_precision_features_are_taken() -> None:
    head, features = make_head(), torch.randn(20, 128)
    torch.testing.assert_close(head(features.half()), head(features), atol=0.05, rtol=0.05)


def test_every_parameter_gets_a_gradient_and_no_buffer_does() -> None:
    head = make_head()
    head(torch.randn(50, 128)).square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert {name for name, _ in head.named_buffers()} == {"feature_mean", "feature_std", "centre"}


@pytest.mark.parametrize("name", ["in_channels", "width", "blocks"])
@pytest.mark.parametrize("size", [0, 10**6])
def test_sizes_that_cannot_be_are_refused(name: str, size: int) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be between 1 and 4096, got {size}"):
        HeadConfig(**{name: size})
