# SPDX-License-Identifier: Apache-2.0
"""Correspondences of two sources in one RANSAC: neither can spoil what the other knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from grids import Grid, SmallGrid, stacked, to_pose

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import pose_error
from dsac_core.ransac.config import RGBD_RANSAC, RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimate_poses, estimator_of
from dsac_core.ransac.sampling import draw_sets, pools_of
from dsac_core.ransac.search import Hypotheses, search_hypotheses

DEPTH = pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])


def weighted(weights: list[float], second: list[bool] | None) -> Correspondences:
    count = len(weights)
    return Correspondences(
        torch.rand(1, count, 2),
        torch.rand(1, count, 3),
        torch.tensor([weights]),
        torch.ones(1, 2),
        source_BN=None if second is None else torch.tensor([second]),
    )


def drawn(given: Correspondences, count: int = 9000, size: int = 3) -> torch.Tensor:
    return draw_sets(given, count, size, torch.Generator().manual_seed(0))


def mixed(right: Grid, wrong: Grid) -> Correspondences:
    """The first source is a grid, the second another one as seen by the same camera."""
    one, other = right.correspondences(torch.float64), wrong.correspondences(torch.float64)
    assert one.weights_BN.shape == other.weights_BN.shape
    source = torch.arange(2 * one.weights_BN.shape[1])[None] >= one.weights_BN.shape[1]
    both = [torch.cat([getattr(one, name), getattr(other, name)], dim=1) for name in
            ("pixels_BN2", "points_BN3", "weights_BN")]  # fmt: skip
    measured = None
    if one.camera_points_BN3 is not None and other.camera_points_BN3 is not None:
        measured = torch.cat([one.camera_points_BN3, other.camera_points_BN3], dim=1)
    return Correspondences(*both, one.focal_B2, measured, source)


def search(given: Correspondences, threshold: float, seed: int = 0) -> Hypotheses:
    config = RansacConfig(inlier_threshold=threshold)
    generator = torch.Generator().manual_seed(seed)
    return search_hypotheses(given, estimator_of(given), config, generator)


def test_of_an_image_each_correspondence_has_its_source() -> None:
    camera = Camera(64, 48, 60.0, 62.0, 30.0, 25.0)
    second = torch.tensor([False, True, True, False])
    given = Correspondences.of_image(
        torch.rand(4, 2), torch.rand(4, 3), camera, torch.tensor([1.0, 3.0, 3.0, 1.0]),
        source_N=second,
    )  # fmt: skip
    assert given.source_BN is not None
    assert torch.equal(given.source_BN, second[None])
    assert given.weights_BN.tolist() == [[1.0, 3.0, 3.0, 1.0]]
    assert Correspondences.of_image(torch.rand(4, 2), torch.rand(4, 3), camera).source_BN is None


def test_the_source_stays_with_its_correspondence() -> None:
    """In a subset, in sets, in some images, on another device and in another type."""
    rows = torch.tensor([3, 0, 2])
    first = weighted([1.0, 2.0, 3.0, 4.0], [False, True, False, True])
    second = weighted([5.0, 6.0, 7.0, 8.0], [True, True, False, False])
    given = stacked([first, second])
    assert given.source_BN is not None
    subset = given.subset(rows).source_BN
    assert subset is not None
    assert subset.tolist() == [[True, False, False], [False, True, False]]
    sets = given.sets(torch.tensor([[[0, 1], [2, 3]], [[0, 3], [2, 1]]])).source_BN
    assert sets is not None
    assert sets.tolist() == [[False, True], [False, True], [True, False], [False, True]]
    picked = given.pick(torch.tensor([1])).source_BN
    assert picked is not None
    assert picked.tolist() == [[True, True, False, False]]
    for target in (torch.float64, torch.float16, "cpu"):
        moved = given.to(target)
        assert moved.source_BN is not None
        assert moved.source_BN.dtype == torch.bool
        assert torch.equal(moved.source_BN, given.source_BN)
    assert given.to(torch.float64).points_BN3.dtype == torch.float64


def test_what_is_not_finite_has_no_weight_in_its_source() -> None:
    given = weighted([1.0, 1.0, 1.0, 1.0], [False, False, True, True])
    points = given.points_BN3.clone()
    points[0, 1], points[0, 2] = torch.nan, torch.inf
    cleaned = replace(given, points_BN3=points)
    assert [pool.tolist() for pool in pools_of(cleaned)] == [
        [[1, 0, 0, 1]], [[1, 0, 0, 0]], [[0, 0, 0, 1]],
    ]  # fmt: skip


def test_sets_are_drawn_from_all_and_from_each() -> None:
    weights, second = [1.0, 2.0, 3.0, 4.0], [False, True, False, True]
    pools = pools_of(weighted(weights, second))
    assert [pool.tolist() for pool in pools] == [[weights], [[1, 0, 3, 0]], [[0, 2, 0, 4]]]


@pytest.mark.parametrize(
    ("weights", "second"),
    [
        ([1.0, 2.0, 3.0, 4.0], None),
        ([1.0, 2.0, 3.0, 4.0], [False] * 4),
        ([1.0, 2.0, 3.0, 4.0], [True] * 4),
        ([1.0, 2.0, 0.0, 0.0], [False, False, True, True]),
        ([0.0, 0.0, 3.0, 4.0], [False, False, True, True]),
    ],
)
def test_one_source_alone_is_drawn_from_as_before(
    weights: list[float], second: list[bool] | None
) -> None:
    given = weighted(weights, second)
    assert len(pools_of(given)) == 1
    assert torch.equal(drawn(given), drawn(weighted(weights, None)))


def test_a_source_that_one_image_of_a_batch_lacks_is_not_drawn_from_alone() -> None:
    both = weighted([1.0, 2.0, 3.0, 4.0], [False, True, False, True])
    one = weighted([1.0, 2.0, 3.0, 4.0], [False] * 4)
    assert len(pools_of(stacked([both, one]))) == 1
    assert len(pools_of(stacked([both, both]))) == 3


@pytest.mark.parametrize("weights", [[1.0, 2.0, 3.0, 4.0], [1.0] * 4])
def test_a_third_of_the_sets_is_of_each_source_alone(weights: list[float]) -> None:
    """And the rest by weight, whatever the source; equal weights are no exception."""
    second = [False, True, False, True]
    count = 9000
    rows = drawn(weighted(weights, second), count, 3)
    assert rows.shape == (1, count, 3)
    is_second = torch.tensor(second)[rows[0]]
    share = sum(w for w, other in zip(weights, second, strict=True) if other) / sum(weights)
    for alone, chance in ((is_second.all(dim=1), share), ((~is_second).all(dim=1), 1 - share)):
        expected = 1 / 3 + chance**3 / 3
        assert alone.double().mean().item() == pytest.approx(expected, abs=0.02)
    # Within each third, by weight.
    expected_share = torch.zeros(4, dtype=torch.float64)
    for keep in ([True] * 4, [not other for other in second], second):
        pool = torch.tensor(weights, dtype=torch.float64) * torch.tensor(keep)
        expected_share += pool / pool.sum() / 3
    found = torch.bincount(rows.flatten(), minlength=4) / (3 * count)
    torch.testing.assert_close(found.double(), expected_share, atol=0.01, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 64, 65])
def test_as_many_sets_as_were_asked_for(count: int) -> None:
    given = weighted([1.0, 2.0, 3.0, 4.0], [False, True, False, True])
    rows = drawn(given, count, 4)
    assert rows.shape == (1, count, 4)
    images = stacked([given, weighted([4.0, 3.0, 2.0, 1.0], [True, True, False, False])])
    assert drawn(images, count, 4).shape == (2, count, 4)


@DEPTH
@pytest.mark.parametrize("swapped", [False, True])
def test_a_source_that_knows_nothing_costs_few_draws(depth: bool, swapped: bool) -> None:
    """Nine tenths of all are wrong: a set in a thousand is right, unless one source is alone."""
    right = SmallGrid(depth=depth, inliers=0.7, noise=1.0)
    wrong = SmallGrid(depth=depth, inliers=0.0, seed=1)
    right.weights[:], wrong.weights[:] = 1.0, 6.0
    given = mixed(right, wrong)
    if swapped:
        assert given.source_BN is not None
        given = replace(given, source_BN=~given.source_BN)
    known = search(given, right.threshold)
    unknown = search(replace(given, source_BN=None), right.threshold)
    assert known.draws < 0.2 * unknown.draws
    pose = to_pose(known.poses_BH34[0, 0])
    distance, angle = pose_error(pose, right.world_T_cam)
    assert distance < 0.1
    assert angle < 0.05


@DEPTH
def test_two_sources_that_agree_end_as_soon_as_one(depth: bool) -> None:
    grid = SmallGrid(depth=depth, inliers=0.9)
    again = SmallGrid(depth=depth, inliers=0.9)
    found = search(mixed(grid, again), grid.threshold)
    assert found.draws <= 3 * 64
    assert pose_error(to_pose(found.poses_BH34[0, 0]), grid.world_T_cam)[0] < 0.1


@DEPTH
def test_the_whole_estimate_is_that_of_the_source_that_knows(depth: bool) -> None:
    """As good as without the other one; of the inliers, hardly any is of the other."""
    config = RGBD_RANSAC if depth else RansacConfig()
    right, wrong = Grid(0.6, 0, depth=depth), Grid(0.0, 1, depth=depth)
    given = mixed(right, wrong).to(torch.float32)
    result = estimate_poses(given, config, torch.Generator().manual_seed(0))
    alone = estimate_poses(right.correspondences(), config, torch.Generator().manual_seed(0))
    assert result.found_B[0]
    error = pose_error(to_pose(result.cam_T_world_B34[0]), right.world_T_cam)[0]
    floor = pose_error(to_pose(alone.cam_T_world_B34[0]), right.world_T_cam)[0]
    assert error < 2 * floor + 1e-3
    of_right, of_wrong = result.inliers_BN[0].chunk(2)
    assert of_right.numpy()[right.true].mean() > 0.99
    assert of_wrong.double().mean() < 0.01


@pytest.mark.parametrize("heavier", [0, 1])
def test_of_two_poses_that_of_more_weight_wins(heavier: int) -> None:
    """Each source agrees in itself with a pose of its own: weight decides, in score and choice."""
    grids = [SmallGrid(depth=False, inliers=1.0, seed=seed) for seed in (0, 1)]
    for number, grid in enumerate(grids):
        grid.weights[:] = 3.0 if number == heavier else 1.0
    given = mixed(*grids)
    config = RansacConfig(inlier_threshold=grids[0].threshold)
    result = estimate_poses(given, config, torch.Generator().manual_seed(0))
    pose = to_pose(result.cam_T_world_B34[0])
    errors = np.array([pose_error(pose, grid.world_T_cam)[0] for grid in grids])
    assert errors[heavier] < 0.05
    assert errors[1 - heavier] > 0.3
    count = len(grids[0].points)
    assert 0.8 * 3.0 * count < float(result.score_B[0]) < 1.2 * 3.0 * count
