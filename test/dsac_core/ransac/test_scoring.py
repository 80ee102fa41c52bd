# SPDX-License-Identifier: Apache-2.0
"""Inlier counts, and their gradient."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from dsac_core.ransac.config import RGBD_RANSAC, RansacConfig
from dsac_core.ransac.scoring import (
    agreement,
    hard_inlier_count,
    soft_inlier_count,
    soft_inlier_share,
)

CONFIG = RansacConfig()
ERRORS = torch.tensor([[[0.0, 9.9, 10.0, 10.1, 1e4]]], dtype=torch.float64)
WEIGHTS = torch.tensor([[1.0, 1.0, 2.0, 0.5, 1.0]], dtype=torch.float64)


def random_errors(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Errors [2 x 3 x 40] to both sides of the threshold, weights [2 x 40], some of them zero."""
    generator = torch.Generator().manual_seed(seed)
    errors = 20.0 * torch.rand(2, 3, 40, generator=generator, dtype=torch.float64)
    weights = torch.rand(2, 40, generator=generator, dtype=torch.float64)
    return errors, weights * (weights > 0.3)


def test_the_soft_count_is_a_sum_of_sigmoids() -> None:
    expected = sum(
        weight / (1 + math.exp(min(0.5 * (error - 10.0), 700.0)))
        for error, weight in zip(ERRORS[0, 0].tolist(), WEIGHTS[0].tolist(), strict=True)
    )
    count = soft_inlier_count(ERRORS, WEIGHTS, CONFIG)
    torch.testing.assert_close(count, torch.tensor([[expected]], dtype=torch.float64))


def test_the_soft_count_with_depth_is_the_same_in_units_of_the_threshold() -> None:
    count = soft_inlier_count(ERRORS, WEIGHTS, CONFIG)
    torch.testing.assert_close(soft_inlier_count(ERRORS / 100.0, WEIGHTS, RGBD_RANSAC), count)


def test_the_hard_count_wants_errors_below_the_threshold_and_weight() -> None:
    assert hard_inlier_count(ERRORS, WEIGHTS, CONFIG).tolist() == [[2]]
    weights = WEIGHTS.clone()
    weights[0, 0] = 0.0
    assert hard_inlier_count(ERRORS, weights, CONFIG).tolist() == [[1]]


def test_errors_of_zero_count_nearly_whole_and_huge_ones_not_at_all() -> None:
    """A sigmoid of 5 at zero, whatever the threshold."""
    _, weights = random_errors()
    wrong = torch.rand(2, 3, 40, generator=torch.Generator().manual_seed(1)) > 0.5
    for threshold in (1e-3, 0.1, 10.0):
        config = replace(CONFIG, inlier_threshold=threshold)
        expected = ((~wrong) * weights[:, None]).sum(dim=2) / (1.0 + math.exp(-5.0))
        found = soft_inlier_count(1e3 * threshold * wrong.double(), weights, config)
        torch.testing.assert_close(found, expected)


def test_each_hypothesis_of_each_image_is_counted_alone() -> None:
    errors, weights = random_errors()
    for score in (soft_inlier_count, hard_inlier_count, agreement):
        together = score(errors, weights, CONFIG)
        assert together.shape == (2, 3)
        for image in range(2):
            for hypothesis in range(3):
                alone = score(errors[image, hypothesis][None, None], weights[image][None], CONFIG)
                torch.testing.assert_close(alone[0, 0], together[image, hypothesis])


def test_the_gradient_of_the_soft_count() -> None:
    errors = ERRORS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda e: soft_inlier_count(e, WEIGHTS, CONFIG), errors)


def test_the_share_is_the_soft_count_over_the_correspondences_that_take_part() -> None:
    errors, weights = random_errors()
    share = soft_inlier_share(CONFIG)(errors, weights)
    count = soft_inlier_count(errors, weights, CONFIG)
    taking_part = torch.tensor([[(row > 0).sum().item()] for row in weights])
    assert 0 < taking_part.min() < 40
    torch.testing.assert_close(share, 100.0 * count / taking_part)
    sharper = soft_inlier_share(replace(CONFIG, sharpness=300.0))(errors, weights)
    torch.testing.assert_close(sharper, 3.0 * share)


def test_the_share_does_not_depend_on_how_many_correspondences_there_are() -> None:
    errors, weights = random_errors()
    share = soft_inlier_share(CONFIG)
    twice = share(errors.repeat(1, 1, 2), weights.repeat(1, 2))
    torch.testing.assert_close(twice, share(errors, weights))
    without = torch.zeros(2, 40, dtype=torch.float64)
    padded = share(torch.cat([errors, errors], 2), torch.cat([weights, without], 1))
    torch.testing.assert_close(padded, share(errors, weights))


def test_the_share_of_nothing_is_zero() -> None:
    errors, weights = random_errors()
    errors.requires_grad_()
    share = soft_inlier_share(CONFIG)(errors, torch.zeros_like(weights))
    assert torch.equal(share, torch.zeros(2, 3, dtype=torch.float64))
    (slope,) = torch.autograd.grad(share.sum(), errors)
    assert (slope == 0).all()


def test_the_gradient_of_the_share() -> None:
    errors, weights = random_errors()
    errors = errors[:, :, :6].clone().requires_grad_()
    share = soft_inlier_share(CONFIG)
    assert torch.autograd.gradcheck(lambda e: share(e, weights[:, :6]), errors)


def test_agreement_falls_with_the_square_of_the_error_to_nothing_at_the_threshold() -> None:
    squared = torch.tensor([[[0.0, 25.0, 99.0, 100.0, 101.0, 1e8]]], dtype=torch.float64)
    for column, expected in enumerate([1.0, 0.75, 0.01, 0.0, 0.0, 0.0]):
        weights = torch.zeros(1, 6, dtype=torch.float64)
        weights[0, column] = 2.0
        assert agreement(squared, weights, CONFIG).item() == pytest.approx(2.0 * expected)
    weights = torch.arange(1.0, 7.0, dtype=torch.float64)[None]
    assert agreement(squared, weights, CONFIG).item() == pytest.approx(1 + 2 * 0.75 + 3 * 0.01)


def test_agreement_ranks_as_the_truncated_cost_does() -> None:
    errors, weights = random_errors()
    cost = (errors.square().clamp_max(100.0) * weights[:, None]).sum(dim=2)
    expected = weights.sum(dim=1)[:, None] - cost / 100.0
    torch.testing.assert_close(agreement(errors.square(), weights, CONFIG), expected)
