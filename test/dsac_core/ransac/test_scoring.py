# SPDX-License-Identifier: Apache-2.0
"""Inlier counts, and their gradient."""

from __future__ import annotations

import math

import torch

from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.scoring import hard_inlier_count, soft_inlier_count

CONFIG = RansacConfig()
ERRORS = torch.tensor([[[0.0, 9.9, 10.0, 10.1, 1e4]]], dtype=torch.float64)
WEIGHTS = torch.tensor([[1.0, 1.0, 2.0, 0.5, 1.0]], dtype=torch.float64)


def test_the_soft_count_is_a_sum_of_sigmoids() -> None:
    expected = sum(
        weight / (1 + math.exp(min(0.5 * (error - 10.0), 700.0)))
        for error, weight in zip(ERRORS[0, 0].tolist(), WEIGHTS[0].tolist(), strict=True)
    )
    count = soft_inlier_count(ERRORS, WEIGHTS, CONFIG)
    torch.testing.assert_close(count, torch.tensor([[expected]], dtype=torch.float64))


def test_the_hard_count_wants_errors_below_the_threshold_and_weight() -> None:
    assert hard_inlier_count(ERRORS, WEIGHTS, CONFIG).tolist() == [[2]]
    weights = WEIGHTS.clone()
    weights[0, 0] = 0.0
    assert hard_inlier_count(ERRORS, weights, CONFIG).tolist() == [[1]]


def test_the_gradient_of_the_soft_count() -> None:
    errors = ERRORS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda e: soft_inlier_count(e, WEIGHTS, CONFIG), errors)
