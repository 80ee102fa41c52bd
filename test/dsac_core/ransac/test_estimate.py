# SPDX-License-Identifier: Apache-2.0
"""The whole RANSAC on synthetic grids of 80 x 60 cells, with every known fault of its ancestors."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from grids import Grid, stacked, to_pose
from scipy.spatial.transform import Rotation

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.grid import cell_centres
from dsac_core.geometry.pose import invert, pose_error
from dsac_core.networks.score_net import ScoreNet
from dsac_core.ransac.config import RGBD_RANSAC, RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import RansacResult, estimate_poses, refine_poses
from dsac_core.ransac.scoring import hard_inlier_share, soft_inlier_count
from dsac_core.ransac.selection import Selection

CONFIG = RansacConfig()


def stack(grids: list[Grid]) -> Correspondences:
    return stacked([grid.correspondences() for grid in grids])


def estimate(given: Correspondences, seed: int = 0, config: RansacConfig = CONFIG) -> RansacResult:
    return estimate_poses(given, config, torch.Generator().manual_seed(seed))


def error_of(result: RansacResult, grid: Grid, image: int = 0) -> tuple[float, float]:
    return pose_error(to_pose(result.cam_T_world_B34[image]), grid.world_T_cam)


@pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])
@pytest.mark.parametrize("inliers", [0.1, 0.3, 0.5, 0.8])
def test_poses_are_at_the_floor(inliers: float, depth: bool) -> None:
    """Gated outliers and the rim of the threshold may cost a little; a wrong minimum costs all."""
    errors, floors = [], []
    for seed in range(8):
        grid = Grid(inliers, seed, depth=depth)
        result = estimate(grid.correspondences(), seed, RGBD_RANSAC if depth else CONFIG)
        assert result.found_B[0]
        errors.append(error_of(result, grid)[0])
        floors.append(grid.floor())
        agreeing = result.inliers_BN[0].numpy()
        assert agreeing[grid.true].mean() > 0.99
    assert np.mean(errors) < 1.3 * np.mean(floors) + 1e-4


@pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])
def test_every_tenth_cell_with_much_noise_is_enough(depth: bool) -> None:
    for seed in range(5):
        grid = Grid(0.1, seed, noise=5.0, depth=depth)
        result = estimate(grid.correspondences(), seed, RGBD_RANSAC if depth else CONFIG)
        assert result.found_B[0]
        assert error_of(result, grid)[0] < 0.05


def test_more_noise_is_no_other_problem() -> None:
    for seed in range(3):
        grid = Grid(0.3, seed, noise=5.0)
        result = estimate(grid.correspondences())
        assert error_of(result, grid)[0] < 0.02


def test_two_focal_lengths() -> None:
    grid = Grid(0.5, focal=(525.0, 390.0))
    result = estimate(grid.correspondences())
    assert error_of(result, grid)[0] < 3 * grid.floor() + 1e-3


def test_a_batch_is_as_good_as_one_by_one() -> None:
    grids = [Grid(inliers, seed) for seed, inliers in enumerate([0.8, 0.3, 0.5])]
    result = estimate(stack(grids))
    assert result.found_B.all()
    for image, grid in enumerate(grids):
        alone = error_of(estimate(grid.correspondences()), grid)[0]
        assert error_of(result, grid, image)[0] < 1.3 * alone + 1e-3


def test_an_image_without_a_pose_does_not_take_the_batch_with_it() -> None:
    """All NaN, all weightless, and pure outliers, between two good images."""
    grids = [Grid(0.5, 0), Grid(0.5, 1), Grid(0.5, 2), Grid(0.0, 3), Grid(0.5, 4)]
    given = stack(grids)
    given.points_BN3[1] = torch.nan
    given.weights_BN[2] = 0.0
    given = Correspondences(given.pixels_BN2, given.points_BN3, given.weights_BN, given.focal_B2)
    result = estimate(given, config=RansacConfig(max_draws=8192))
    assert result.found_B.tolist()[:3] == [True, False, False]
    assert result.found_B[4]
    for image in (0, 4):
        assert error_of(result, grids[image], image)[0] < 0.01
    assert result.inliers_BN[1:3].sum() == 0


def test_the_same_seed_gives_the_same_pose_on_any_number_of_threads() -> None:
    given = Grid(0.3).correspondences()
    threads = torch.get_num_threads()
    poses = []
    try:
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            poses.append(estimate(given, seed=5))
    finally:
        torch.set_num_threads(threads)
    for other in poses[1:]:
        assert other.draws == poses[0].draws
        assert torch.equal(other.cam_T_world_B34, poses[0].cam_T_world_B34)
        assert torch.equal(other.inliers_BN, poses[0].inliers_BN)


def test_the_seed_matters_and_acts_every_time() -> None:
    given = Grid(0.3, noise=3.0).correspondences()
    generator = torch.Generator().manual_seed(1)
    first = estimate_poses(given, CONFIG, generator)
    again = estimate_poses(given, CONFIG, generator)
    fresh = estimate_poses(given, CONFIG, torch.Generator().manual_seed(1))
    assert torch.equal(first.cam_T_world_B34, fresh.cam_T_world_B34)
    # All seeds reach the same minimum; the path there differs in the last digits or the draws.
    assert error_of(again, Grid(0.3, noise=3.0))[0] < 0.02


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_broken_cells_are_as_good_as_absent(value: float) -> None:
    grid = Grid(0.5)
    grid.points[::7] = value
    grid.true[::7] = False
    result = estimate(grid.correspondences())
    assert result.found_B[0]
    assert not result.inliers_BN[0, ::7].any()
    assert error_of(result, grid)[0] < 1.3 * grid.floor() + 1e-3
    assert result.score_B.isfinite().all()
    assert result.covariance_B66.isfinite().all()


def test_one_broken_cell_changes_nothing() -> None:
    """The published code's selection is arbitrary then."""
    grid = Grid(0.5)
    clean = estimate(grid.correspondences())
    grid.points[np.nonzero(~grid.true)[0][0], 1] = np.nan
    broken = estimate(grid.correspondences())
    pose = to_pose(clean.cam_T_world_B34[0])
    assert pose_error(to_pose(broken.cam_T_world_B34[0]), pose)[0] < 1e-3


@pytest.mark.parametrize("where", ["pixels_BN2", "weights_BN"])
def test_broken_pixels_and_weights_are_left_out(where: str) -> None:
    given = Grid(0.5).correspondences()
    getattr(given, where)[0, :100] = torch.nan
    result = estimate(Correspondences(**vars(given)))
    assert result.found_B[0]
    assert not result.inliers_BN[0, :100].any()


def hopeless() -> dict[str, Correspondences]:
    def made(points: np.ndarray, pixels: np.ndarray | None = None) -> Correspondences:
        grid = Grid(1.0)
        grid.points, grid.weights = points, np.ones(len(points))
        grid.pixels = grid.pixels[: len(points)] if pixels is None else pixels
        return grid.correspondences()

    good = Grid(1.0)
    weightless = good.correspondences()
    weightless.weights_BN[:] = 0.0
    negative = good.correspondences()
    negative.weights_BN[:] = -1.0
    return {
        "constant": made(np.ones((4800, 3))),
        "zero": made(np.zeros((4800, 3))),
        "all NaN": made(np.full((4800, 3), np.nan)),
        "all infinite": made(np.full((4800, 3), np.inf)),
        "three cells": made(good.points[:3]),
        "one cell": made(good.points[:1]),
        "no cell": made(good.points[:0]),
        "zero weights": weightless,
        "negative weights": Correspondences(**vars(negative)),
        "a line": made(np.outer(np.linspace(0, 1, 4800), [1.0, 2.0, 3.0])),
        "one pixel": made(good.points, np.zeros((4800, 2))),
    }


@pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])
@pytest.mark.parametrize("name", hopeless())
def test_where_there_is_no_pose_none_is_found(name: str, depth: bool) -> None:
    given, config = hopeless()[name], CONFIG
    if depth:
        measured = torch.from_numpy(Grid(1.0, depth=True).measured)[None].float()
        measured = measured[:, : given.points_BN3.shape[1]]
        if name == "one pixel":  # with depth, one line of sight
            measured = measured * torch.tensor([0.0, 0.0, 1.0])
        given, config = replace(given, camera_points_BN3=measured), RGBD_RANSAC
    started = time.monotonic()
    result = estimate(given, config=config)
    assert result.found_B.tolist() == [False]
    assert result.draws <= CONFIG.max_draws
    assert time.monotonic() - started < 10  # against a stall of minutes, not a measurement


@pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])
def test_no_pose_is_found_among_pure_outliers(depth: bool) -> None:
    """Some pose always has a few inliers; they are no more than chance gives."""
    for seed in range(5):
        given = Grid(0.0, seed, depth=depth).correspondences()
        result = estimate(given, seed, RGBD_RANSAC if depth else CONFIG)
        assert result.found_B.tolist() == [False]
        assert result.draws == CONFIG.max_draws


def test_four_cells_are_too_few_for_the_least_number_of_inliers() -> None:
    grid = Grid(1.0, shape=(2, 2), noise=0.0)
    assert not estimate(grid.correspondences()).found_B[0]
    few = RansacConfig(min_inliers=4)
    assert estimate(grid.correspondences(), config=few).inliers_BN.sum() <= 4


def test_a_weight_of_zero_takes_no_part() -> None:
    grid = Grid(0.5)
    given = grid.correspondences()
    given.weights_BN[0, ::2] = 0.0
    result = estimate(given)
    assert not result.inliers_BN[0, ::2].any()
    assert error_of(result, grid)[0] < 0.01


@pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])
def test_weights_guide_the_sampling(depth: bool) -> None:
    """Two percent of inliers are too rare to be drawn, unless their weight says where they are."""
    grid = Grid(0.02, seed=1, noise=0.5, depth=depth)
    given = grid.correspondences()
    given.weights_BN[0] = torch.where(torch.from_numpy(grid.true), 1.0, 1e-3)
    threshold = 0.1 if depth else 10.0
    result = estimate(given, config=RansacConfig(max_draws=1024, inlier_threshold=threshold))
    assert error_of(result, grid)[0] < 0.05


def test_few_cells_with_weight_among_many_without() -> None:
    """Fifty of 4800: who scores is drawn from these."""
    grid = Grid(0.3, noise=0.5)
    chosen = np.random.default_rng(0).permutation(4800)[:50]
    grid.weights[:] = 0.0
    grid.weights[chosen] = 1.0
    result = estimate(grid.correspondences())
    assert result.found_B[0]
    assert int(result.inliers_BN.sum()) == pytest.approx(grid.true[chosen].sum(), abs=2)
    assert error_of(result, grid)[0] < 0.02


def test_weights_count_in_the_refinement() -> None:
    """Half of the cells err by ten times as much, and their weights say so."""
    plain, weighted = [], []
    for seed in range(6):
        exact, noisy = Grid(1.0, seed, noise=0.3), Grid(1.0, seed, noise=3.0)
        noisy.points[::2] = exact.points[::2]
        given = noisy.correspondences()
        plain.append(error_of(estimate(given), noisy)[0])
        given.weights_BN[0, 1::2] = 0.01
        weighted.append(error_of(estimate(given), noisy)[0])
    assert np.median(weighted) < 0.3 * np.median(plain)


def test_a_prior_finds_what_sampling_cannot() -> None:
    grid = Grid(0.02, seed=1)
    given = grid.correspondences()
    config = RansacConfig(max_draws=64)
    assert not estimate(given, config=config).found_B[0]
    prior = torch.from_numpy(invert(grid.world_T_cam)[:3])[None].float()
    generator = torch.Generator().manual_seed(0)
    result = estimate_poses(given, config, generator, prior_B34=prior)
    assert result.found_B[0]
    assert error_of(result, grid)[0] < 0.01


@pytest.mark.parametrize("kind", ["wrong", "none", "infinite"])
def test_a_wrong_prior_does_no_harm(kind: str) -> None:
    grids = [Grid(0.3, 0), Grid(0.5, 1)]
    priors = torch.stack([torch.from_numpy(invert(g.world_T_cam)[:3]).float() for g in grids])
    priors[0] = {
        "wrong": torch.eye(3, 4),
        "none": torch.full((3, 4), torch.nan),
        "infinite": torch.full((3, 4), torch.inf),
    }[kind]
    generator = torch.Generator().manual_seed(0)
    result = estimate_poses(stack(grids), CONFIG, generator, prior_B34=priors)
    assert result.found_B.all()
    for image, grid in enumerate(grids):
        assert error_of(result, grid, image)[0] < 0.01


@pytest.mark.parametrize("selection", ["argmax", "softam", "dsac"])
def test_selections(selection: Selection) -> None:
    """Of good hypotheses any choice is a good one, once it is refined."""
    grid = Grid(0.8)
    generator = torch.Generator().manual_seed(0)
    result = estimate_poses(grid.correspondences(), CONFIG, generator, selection=selection)
    assert result.found_B[0]
    assert error_of(result, grid)[0] < 1.3 * grid.floor() + 1e-4


def test_the_hard_count_chooses_as_well() -> None:
    grid = Grid(0.3)
    generator = torch.Generator().manual_seed(0)
    scorer = hard_inlier_share(CONFIG)
    result = estimate_poses(grid.correspondences(), CONFIG, generator, scorer=scorer)
    assert result.found_B[0]
    assert error_of(result, grid)[0] < 1.3 * grid.floor() + 1e-4


def test_a_score_network_chooses() -> None:
    """One that has learned nothing does not choose well, but from the same pool."""
    torch.manual_seed(0)
    given = Grid(0.8).correspondences()
    generator = torch.Generator().manual_seed(0)
    result = estimate_poses(given, CONFIG, generator, scorer=ScoreNet((60, 80)))
    best = estimate(given)
    assert result.draws == best.draws
    assert result.cam_T_world_B34.isfinite().all()
    assert result.score_B[0] <= best.score_B[0] + 0.01


def test_a_scorer_decides() -> None:
    """One that likes what others reject gets the worst hypothesis of the pool."""
    given = Grid(0.3).correspondences()

    def worst(errors_BHN: torch.Tensor, weights_BN: torch.Tensor) -> torch.Tensor:
        assert errors_BHN.shape[2] == weights_BN.shape[1] == 4800
        return -soft_inlier_count(errors_BHN, weights_BN, CONFIG)

    generator = torch.Generator().manual_seed(0)
    chosen = estimate_poses(given, CONFIG, generator, scorer=worst)
    assert chosen.score_B[0] < 0.5 * estimate(given).score_B[0]


def test_without_any_depth_no_pose_is_found() -> None:
    grid = Grid(1.0, depth=True)
    assert grid.measured is not None
    for value in (0.0, np.nan, np.inf, -1.0):
        grid.measured[:] = value
        assert estimate(grid.correspondences(), config=RGBD_RANSAC).found_B.tolist() == [False]


def test_cells_without_depth_take_no_part() -> None:
    grid = Grid(0.8, depth=True)
    assert grid.measured is not None
    grid.measured[::2] = 0.0
    result = estimate(grid.correspondences(), config=RGBD_RANSAC)
    assert result.found_B[0]
    assert not result.inliers_BN[0, ::2].any()
    assert error_of(result, grid)[0] < 0.01


def test_the_score_is_the_soft_inlier_count_of_the_pose() -> None:
    grid = Grid(0.5)
    given = grid.correspondences()
    result = estimate(given)
    in_camera = grid.points @ result.cam_T_world_B34[0, :, :3].double().numpy().T
    in_camera += result.cam_T_world_B34[0, :, 3].double().numpy()
    error = np.linalg.norm(in_camera[:, :2] / in_camera[:, 2:] * grid.focal - grid.pixels, axis=1)
    error = np.where(in_camera[:, 2] > 0.01, error, 1e4)
    expected = (1 / (1 + np.exp(np.clip(0.5 * error - 5.0, -50, 50)))).sum()
    assert float(result.score_B[0]) == pytest.approx(expected, rel=1e-3)
    assert int(result.inliers_BN.sum()) == pytest.approx(int((error < 10).sum()), abs=3)


HEAVY_TAILED_CAMERA = Camera(640, 480, 525.0, 525.0, 319.5, 239.5)


def heavy_tailed_frame(
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    pixels = cell_centres(60, 80).double()
    sigma = np.where(rng.random(len(pixels)) < 0.4, 0.5, 6.0)[:, None]
    seen = pixels.numpy() + sigma * rng.normal(size=(len(pixels), 2))
    depth = rng.uniform(1.0, 4.0, (len(pixels), 1))
    camera = HEAVY_TAILED_CAMERA
    rays = np.column_stack([(seen - [camera.cx, camera.cy]) / camera.fx, np.ones(len(pixels))])
    truth = np.eye(4)
    truth[:3, :3] = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    truth[:3, 3] = rng.normal(size=3)
    points = torch.from_numpy(rays * depth @ truth[:3, :3].T + truth[:3, 3])
    return points, pixels, truth


def test_robust_weights_bring_the_pose_nearer_where_errors_have_heavy_tails() -> None:
    """Inliers of 1 px among cells that err by several: least squares gives all the same weight."""
    plain, robust = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        points, pixels, truth = heavy_tailed_frame(rng)
        for errors, scale in ((plain, None), (robust, 2.0)):
            correspondences = Correspondences.of_image(pixels, points, HEAVY_TAILED_CAMERA)
            config = RansacConfig(robust_scale=scale)
            result = estimate_poses(correspondences, config, torch.Generator().manual_seed(0))
            estimate = np.eye(4)
            estimate[:3] = result.cam_T_world_B34[0].numpy()
            errors.append(pose_error(invert(estimate), truth)[0])
    assert np.median(robust) < 0.6 * np.median(plain)


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("scale", [None, 2.0])
def test_other_weights_move_a_pose_that_was_found(scale: float | None, settled: bool) -> None:
    """A second estimate finds what refining the first one does, without a draw."""
    config = RansacConfig(robust_scale=scale)
    rng = np.random.default_rng(0)
    points, pixels, _ = heavy_tailed_frame(rng)
    weights = torch.ones(len(points))
    first = estimate(Correspondences.of_image(pixels, points, HEAVY_TAILED_CAMERA), config=config)
    weights[::3] = 30.0
    other = Correspondences.of_image(pixels, points, HEAVY_TAILED_CAMERA, weights_N=weights)
    again = estimate(other, config=config)
    refined = refine_poses(other, first.cam_T_world_B34, config, settled=settled)
    assert (refined.draws, bool(refined.found_B[0])) == (0, True)
    moved = (again.cam_T_world_B34 - first.cam_T_world_B34).abs().max()
    apart = (again.cam_T_world_B34 - refined.cam_T_world_B34).abs().max()
    assert moved > 1e-4
    assert apart < 0.2 * moved
    agreement = (refined.inliers_BN == again.inliers_BN).double().mean()
    assert agreement > 0.98
