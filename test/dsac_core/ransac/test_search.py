# SPDX-License-Identifier: Apache-2.0
"""When the search ends, and what it keeps."""

from __future__ import annotations

import pytest
import torch
from grids import SmallGrid

from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.estimate import estimator_of
from dsac_core.ransac.search import Hypotheses, search_hypotheses

DEPTH = pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])


def search(grid: SmallGrid, prior: torch.Tensor | None = None, **options: float) -> Hypotheses:
    given = grid.correspondences(torch.float64)
    config = RansacConfig(inlier_threshold=grid.threshold, **options)
    generator = torch.Generator().manual_seed(0)
    return search_hypotheses(given, estimator_of(given), config, generator, prior)


@DEPTH
def test_hypotheses_come_best_first_and_no_more_than_asked_for(depth: bool) -> None:
    found = search(SmallGrid(depth=depth, inliers=0.9), hypotheses=20)
    assert found.poses_BH34.shape == (1, 20, 3, 4)
    assert (found.scores_BH.diff(dim=1) <= 0).all()
    rotation = found.poses_BH34[..., :3]
    identity = torch.eye(3, dtype=torch.float64).expand_as(rotation)
    torch.testing.assert_close(rotation @ rotation.transpose(2, 3), identity, atol=1e-6, rtol=0)


@DEPTH
def test_fewer_inliers_take_more_draws(depth: bool) -> None:
    draws = [search(SmallGrid(depth=depth, inliers=share)).draws for share in (0.9, 0.3, 0.12)]
    assert draws[0] == 64
    # ln(0.01) / ln(1 - 0.3^3) = 169, and 2664 for 0.12; some of the noisy inliers do not count.
    assert 100 < draws[1] < 1500
    assert draws[2] > 1500


def test_more_confidence_takes_more_draws() -> None:
    grid = SmallGrid(depth=False, inliers=0.3)
    assert search(grid, confidence=0.9999).draws > 1.3 * search(grid, confidence=0.9).draws


@DEPTH
def test_the_best_is_on_its_way_to_the_minimum(depth: bool) -> None:
    grid = SmallGrid(depth=depth, inliers=0.5, noise=4.0, shape=(20, 28))
    pose = search(grid).poses_BH34[:, 0]
    assert (pose - grid.truth_B34).abs().max() < 0.05


@DEPTH
@pytest.mark.parametrize("inliers", [0.06, 0.15, 0.3])
def test_a_prior_that_is_right_shortens_the_search(depth: bool, inliers: float) -> None:
    grid = SmallGrid(depth=depth, inliers=inliers, shape=(20, 28))
    nearby = grid.truth_B34.clone()
    nearby[:, :, 3] += 0.01
    with_prior, alone = search(grid, nearby), search(grid)
    assert with_prior.draws < max(65, 0.35 * alone.draws)
    assert (with_prior.poses_BH34[:, 0] - grid.truth_B34).abs().max() < 0.1


@DEPTH
@pytest.mark.parametrize("kind", ["elsewhere", "none"])
def test_a_prior_that_is_wrong_shortens_nothing(depth: bool, kind: str) -> None:
    grid = SmallGrid(depth=depth, inliers=0.15, shape=(20, 28))
    prior = torch.full_like(grid.truth_B34, torch.nan)
    if kind == "elsewhere":
        prior = grid.truth_B34.clone()
        prior[:, :, 3] += 2.0
    with_prior, alone = search(grid, prior), search(grid)
    assert with_prior.draws > 0.5 * alone.draws
    assert (with_prior.poses_BH34[:, 0] - grid.truth_B34).abs().max() < 0.1


@pytest.mark.parametrize("seed", range(8))
def test_a_prior_that_some_agree_with_does_not_hide_a_better_pose(seed: int) -> None:
    """A tenth of the points are where another camera would see them so."""
    grid = SmallGrid(depth=False, inliers=0.3, shape=(20, 28), seed=seed)
    moved = grid.truth_B34.clone()
    moved[:, :, 3] += torch.tensor([1.0, 0.5, -0.7], dtype=torch.float64)
    rotation, translation = moved[0, :, :3].numpy(), moved[0, :, 3].numpy()
    rival = (~grid.true).nonzero()[0][: len(grid.true) // 10]
    grid.points[rival] = (grid.camera_points[rival] - translation) @ rotation
    given = grid.correspondences(torch.float64)
    config = RansacConfig(inlier_threshold=grid.threshold)
    generator = torch.Generator().manual_seed(seed)
    found = search_hypotheses(given, estimator_of(given), config, generator, moved)
    assert (found.poses_BH34[:, 0] - grid.truth_B34).abs().max() < 0.1
