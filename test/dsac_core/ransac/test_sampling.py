# SPDX-License-Identifier: Apache-2.0
"""Minimal sets: who is drawn, who is accepted."""

from __future__ import annotations

import pytest
import torch
from grids import SmallGrid, stacked

from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.estimate import estimator_of
from dsac_core.ransac.sampling import draw_sets, sample_minimal_sets, solve_minimal_sets

DEPTH = pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])


def config_of(grid: SmallGrid, **options: int) -> RansacConfig:
    return RansacConfig(inlier_threshold=grid.threshold, **options)


def test_correspondences_are_drawn_as_often_as_their_weights_say() -> None:
    grid = SmallGrid(depth=False)
    grid.weights[:] = 0.0
    grid.weights[:4] = [1.0, 2.0, 3.0, 4.0]
    drawn = draw_sets(
        grid.correspondences(torch.float64), 10_000, 4, torch.Generator().manual_seed(0)
    )
    assert drawn.shape == (1, 10_000, 4)
    share = torch.bincount(drawn.flatten(), minlength=140) / 40_000
    torch.testing.assert_close(share[:4], torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=0.01, rtol=0)
    assert share[4:].sum() == 0.0


def test_the_generator_alone_decides() -> None:
    given = SmallGrid(depth=False).correspondences(torch.float64)
    first = draw_sets(given, 50, 3, torch.Generator().manual_seed(7))
    assert torch.equal(first, draw_sets(given, 50, 3, torch.Generator().manual_seed(7)))
    assert not torch.equal(first, draw_sets(given, 50, 3, torch.Generator().manual_seed(8)))


@DEPTH
def test_accepted_sets_fit_their_own_correspondences(depth: bool) -> None:
    grid = SmallGrid(depth=depth, inliers=0.4)
    given, config = grid.correspondences(torch.float64), config_of(grid)
    estimator = estimator_of(given)
    rows = sample_minimal_sets(given, estimator, config, torch.Generator().manual_seed(0))
    assert rows.shape == (1, 64, estimator.check_size)
    poses, accepted = solve_minimal_sets(given, estimator, rows, config)
    assert accepted.all()
    errors = estimator.errors(given, poses)[0].gather(1, rows[0])
    assert errors.max() < grid.threshold
    # Four tenths are right; of the sets that were kept, nearly all poses are near the truth.
    near = (poses - grid.truth_B34[:, None]).flatten(2).abs().amax(dim=2) < 0.5
    assert near.double().mean() > (0.7 if depth else 0.4)


@DEPTH
def test_without_any_weight_nothing_is_accepted(depth: bool) -> None:
    grid = SmallGrid(depth=depth, inliers=1.0)
    grid.weights[:] = 0.0
    given, config = grid.correspondences(torch.float64), config_of(grid, max_draws=256)
    estimator = estimator_of(given)
    rows = sample_minimal_sets(given, estimator, config, torch.Generator().manual_seed(0))
    _, accepted = solve_minimal_sets(given, estimator, rows, config)
    assert not accepted.any()


@DEPTH
def test_no_set_has_a_correspondence_twice(depth: bool) -> None:
    """The one that is checked with would fit every root, as it was solved for."""
    grid = SmallGrid(depth=depth, shape=(3, 3), inliers=1.0)
    given, config = grid.correspondences(torch.float64), config_of(grid)
    estimator = estimator_of(given)
    rows = sample_minimal_sets(given, estimator, config, torch.Generator().manual_seed(0))
    _, accepted = solve_minimal_sets(given, estimator, rows, config)
    assert accepted.all()
    distinct = [len(set(row.tolist())) for row in rows[0]]
    assert set(distinct) == {estimator.check_size}
    repeated = rows.clone()
    repeated[0, :, -1] = repeated[0, :, 0]
    assert not solve_minimal_sets(given, estimator, repeated, config)[1].any()


@DEPTH
def test_draws_are_bounded_and_what_is_missing_is_not_accepted(depth: bool) -> None:
    grid = SmallGrid(depth=depth)
    grid.points[:] = 0.0
    given, config = grid.correspondences(torch.float64), config_of(grid, max_draws=512)
    estimator = estimator_of(given)
    rows = sample_minimal_sets(given, estimator, config, torch.Generator().manual_seed(0))
    poses, accepted = solve_minimal_sets(given, estimator, rows, config)
    assert not accepted.any()
    assert poses.isfinite().all()


@DEPTH
def test_images_do_not_mix(depth: bool) -> None:
    grids = [SmallGrid(depth=depth, seed=seed, inliers=1.0) for seed in range(3)]
    given = stacked([grid.correspondences(torch.float64) for grid in grids])
    config, estimator = config_of(grids[0]), estimator_of(given)
    rows = sample_minimal_sets(given, estimator, config, torch.Generator().manual_seed(0))
    poses, accepted = solve_minimal_sets(given, estimator, rows, config)
    assert accepted.all()
    for image, grid in enumerate(grids):
        distance = (poses[image] - grid.truth_B34).flatten(1).abs().amax(dim=1)
        assert distance.median() < 0.3
