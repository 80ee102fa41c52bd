# SPDX-License-Identifier: Apache-2.0
"""The fast soft inlier count against the plain one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from grids import SmallGrid, stacked

from dsac_core.geometry.se3 import retract
from dsac_core.ransac import soft_score
from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimator_of
from dsac_core.ransac.scoring import soft_inlier_count

DEPTH = pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])


class Problem:
    """Two images and hypotheses around the truth: near, far, and some that look the other way."""

    def __init__(self, *, depth: bool) -> None:
        grids = [SmallGrid(depth=depth, seed=seed) for seed in range(2)]
        given = stacked([grid.correspondences(torch.float64) for grid in grids])
        given.weights_BN[:, ::9] = 0.0
        self.given = given
        self.config = RansacConfig(inlier_threshold=grids[0].threshold)
        truth = torch.cat([grid.truth_B34 for grid in grids])[:, None].expand(-1, 24, -1, -1)
        noise = torch.randn(2, 24, 6, dtype=torch.float64, generator=generator())
        size = torch.logspace(-3, 0, 24, dtype=torch.float64)[:, None]
        self.poses = retract(truth, noise * size)
        self.points = given.points_BN3
        self.estimator = estimator_of(self.correspondences(self.points))

    def correspondences(self, points_BN3: torch.Tensor) -> Correspondences:
        return replace(self.given, points_BN3=points_BN3)

    def fast(self, poses_BH34: torch.Tensor, points_BN3: torch.Tensor) -> torch.Tensor:
        given = self.correspondences(points_BN3)
        return soft_score.soft_inlier_counts(given, self.estimator, poses_BH34, self.config)

    def plain(self, poses_BH34: torch.Tensor, points_BN3: torch.Tensor) -> torch.Tensor:
        given = self.correspondences(points_BN3)
        errors = self.estimator.errors(given, poses_BH34)
        return soft_inlier_count(errors, given.weights_BN, self.config)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@DEPTH
@pytest.mark.parametrize("at_once", [1, 700, 10**9])
def test_counts_and_derivatives_are_those_of_the_plain_one(
    depth: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(soft_score._RESIDUALS_AT_ONCE, "cpu", at_once)
    problem = Problem(depth=depth)
    poses = problem.poses.clone().requires_grad_()
    points = problem.points.clone().requires_grad_()
    fast, plain = problem.fast(poses, points), problem.plain(poses, points)
    torch.testing.assert_close(fast, plain)
    outer = torch.randn(2, 24, dtype=torch.float64, generator=generator())
    expected = torch.autograd.grad((plain * outer).sum(), (poses, points))
    found = torch.autograd.grad((fast * outer).sum(), (poses, points))
    for one, other in zip(found, expected, strict=True):
        assert other.norm() > 0
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@DEPTH
def test_derivatives_agree_with_central_differences(depth: bool) -> None:
    problem = Problem(depth=depth)
    poses = problem.poses[:, :4].clone().requires_grad_()
    points = problem.points.clone().requires_grad_()
    assert torch.autograd.gradcheck(problem.fast, (poses, points), fast_mode=True)


@DEPTH
def test_a_residual_of_zero_has_no_derivative_and_does_no_harm(depth: bool) -> None:
    grid = SmallGrid(depth=depth, noise=0.0, inliers=1.0)
    points = grid.correspondences(torch.float64).points_BN3.requires_grad_()
    given = grid.correspondences(torch.float64, points)
    config = RansacConfig(inlier_threshold=grid.threshold)
    poses = grid.truth_B34[None]
    counts = soft_score.soft_inlier_counts(given, estimator_of(given), poses, config)
    (gradient,) = torch.autograd.grad(counts.sum(), points)
    assert gradient.isfinite().all()
