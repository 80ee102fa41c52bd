# SPDX-License-Identifier: Apache-2.0
"""Depth from features alone, in a scene of which every depth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dsac_core.errors import ConfigError
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.grid import cell_centres
from dsac_core.training.cell_buffer import CellBuffer
from dsac_core.training.feature_stereo import StereoConfig, StereoSummary, estimate_depth
from dsac_core.training.stereo_views import StereoViews

CAMERA = Camera(320, 240, fx=260.0, fy=255.0, cx=158.0, cy=121.0)
WALL = np.array([0.15, -0.1, 1.0])  # its normal, times one over its distance in "units"
CONFIG = StereoConfig()


def poses(count: int = 8, unit: float = 1.0) -> list[NDArray[np.float64]]:
    """Cameras beside each other that look at the wall from two units away, a little turned."""
    rng = np.random.default_rng(3)
    result = []
    for index in range(count):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("yxz", rng.uniform(-8, 8, 3), degrees=True).as_matrix()
        pose[:3, 3] = unit * np.array([0.12 * index, rng.uniform(-0.1, 0.1), -2.0])
        result.append(pose)
    return result


def true_depth(pixels: NDArray[np.float64], camera: Camera, pose: NDArray[np.float64]) -> NDArray:
    """Along the optical axis, to the wall through the origin."""
    ray = np.column_stack([(pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy],
                           np.ones(len(pixels))])  # fmt: skip
    along = ray @ pose[:3, :3].T
    return -(WALL @ pose[:3, 3]) / (along @ WALL)


def look_of(points: NDArray[np.float64], unit: float) -> torch.Tensor:
    """Features [N x 128] that vary over a fifth of a unit, as those of a good texture do."""
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(3, 128)) * 6.0 / unit
    return torch.from_numpy(np.cos(points @ waves + rng.uniform(0, 6.28, 128))).float()


def recording(
    unit: float = 1.0,
    views: list[NDArray[np.float64]] | None = None,
    *,
    camera: Camera = CAMERA,
    measured: float = 0.0,
    measured_wrong_by: float | None = None,
    dtype: torch.dtype = torch.float32,
    textured: bool = True,
) -> tuple[CellBuffer, list[NDArray[np.float64]]]:
    """The cells of all views, and the true depth of each; ``measured`` of them have a depth."""
    cells = CellBuffer(50_000, 128, dtype, torch.device("cpu"))
    truths = []
    for pose in poses(unit=unit) if views is None else views:
        pixels = cell_centres(camera.height // 8, camera.width // 8)
        depth = true_depth(pixels.double().numpy(), camera, pose)
        ray = np.column_stack([(pixels.numpy() - [camera.cx, camera.cy]) / [camera.fx, camera.fy],
                               np.ones(len(pixels))])  # fmt: skip
        points = (ray * depth[:, None]) @ pose[:3, :3].T + pose[:3, 3]
        features = look_of(points, unit) if textured else torch.ones(len(points), 128)
        known = torch.zeros(len(pixels))
        known[: int(measured * len(pixels))] = 0.5 * unit
        if measured_wrong_by is not None:
            known = torch.from_numpy(depth * measured_wrong_by).float()
            known[::3] = 0.0
        cells.add_image(features, pixels, known, camera, pose)
        truths.append(depth)
    return cells, truths


def estimate(cells: CellBuffer, config: StereoConfig = CONFIG) -> StereoSummary:
    return estimate_depth(cells, config, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("unit", [1.0, 30.0])
def test_depth_is_found_whatever_the_size_of_the_scene(unit: float) -> None:
    cells, truths = recording(unit)
    summary = estimate(cells)
    assert summary.typical_depth is not None
    assert summary.typical_depth == pytest.approx(float(np.median(truths)), rel=0.15)
    assert summary.images == len(truths)
    found, error = [], []
    for number, truth in enumerate(truths):
        depth = cells.image(number).depth_N.numpy()
        found.append(depth > 0)
        error.append(np.abs(depth / truth - 1)[depth > 0])
    assert np.concatenate(found).mean() > 0.5
    assert summary.share == pytest.approx(np.concatenate(found).mean(), abs=1e-6)
    assert np.quantile(np.concatenate(error), 0.8) < 0.1
    assert (np.concatenate(error) < CONFIG.tolerance).mean() > 0.93


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_loses_nothing_that_counts(dtype: torch.dtype) -> None:
    cells, truths = recording(dtype=dtype)
    assert estimate(cells).share > 0.5
    depth = cells.image(3).depth_N.numpy()
    assert np.median(np.abs(depth / truths[3] - 1)[depth > 0]) < 0.06


def test_measured_depth_stays_and_says_how_exact_it_is() -> None:
    cells, _ = recording(measured=0.25)
    before = cells.image(2).depth_N.clone()
    estimate(cells)
    after = cells.image(2).depth_N
    assert torch.equal(after[before > 0], before[before > 0])
    assert (after[before == 0] > 0).any()
    batch = cells.draw(4000, torch.Generator().manual_seed(0))
    measured = batch.depth_B == 0.5
    estimated = (batch.depth_B > 0) & ~measured
    assert torch.allclose(batch.depth_tolerance_B[measured], torch.tensor(0.1), atol=1e-3)
    assert torch.allclose(batch.depth_tolerance_B[estimated], torch.tensor(0.25), atol=1e-3)


@pytest.mark.parametrize("factor", [1.0, 0.97, 1.04])
def test_measured_depth_is_scaled_to_agree_with_the_poses(factor: float) -> None:
    cells, truths = recording(views=poses(14), measured_wrong_by=factor)
    summary = estimate(cells)
    assert summary.depth_scale == pytest.approx(1.0 / factor, abs=0.012)
    measured = np.arange(len(truths[5])) % 3 != 0
    ratio = cells.image(5).depth_N.numpy()[measured] / truths[5][measured]
    np.testing.assert_allclose(ratio, factor * summary.depth_scale, rtol=1e-5)


def test_depth_in_another_unit_is_left_alone() -> None:
    cells, truths = recording(views=poses(14), measured_wrong_by=1000.0)
    assert estimate(cells).depth_scale == 1.0
    assert float(cells.image(0).depth_N.max()) > 500.0 * truths[0].min()


def test_a_varied_image_has_the_depth_of_its_source_and_is_nobodys_neighbour() -> None:
    cells, truths = recording()
    pose = poses()[2]
    roll = np.eye(4)
    roll[:3, :3] = Rotation.from_euler("z", 25, degrees=True).as_matrix()
    zoomed = replace(CAMERA, fx=1.4 * CAMERA.fx, fy=1.4 * CAMERA.fy, cx=0.0, cy=0.0)
    pixels = cell_centres(20, 26) - torch.tensor([100.0, 80.0])
    before = cells.images
    cells.add_image(torch.randn(520, 128), pixels, None, zoomed, pose @ roll, varied_from=2)
    summary = estimate(cells)
    assert summary.images == before
    depth = cells.image(before).depth_N.numpy()
    truth = true_depth(pixels.double().numpy(), zoomed, pose @ roll)
    assert (depth > 0).mean() > 0.4
    assert np.median(np.abs(depth / truth - 1)[depth > 0]) < 0.06
    views = StereoViews(cells)
    assert all(before not in views.neighbours(n, 0.3, 8) for n in range(before))
    del truths


def test_where_all_looks_alike_nothing_is_claimed() -> None:
    cells, _ = recording(textured=False)
    assert estimate(cells) == StereoSummary(None)
    assert not (cells.image(0).depth_N > 0).any()


def test_from_one_place_there_is_no_depth() -> None:
    still = [poses()[0]] * 5
    cells, _ = recording(views=still)
    assert estimate(cells).typical_depth is None
    alone, _ = recording(views=still[:1])
    assert estimate(alone).typical_depth is None


def test_it_ends_when_there_was_enough_and_goes_as_far_again() -> None:
    depths = []
    for _ in range(2):
        cells, _ = recording()
        generator = torch.Generator().manual_seed(5)
        summary = estimate_depth(cells, CONFIG, generator, enough=lambda done: done >= 3)
        assert summary.images == 3
        depths.append(torch.cat([cells.image(number).depth_N for number in range(cells.images)]))
        filled = [bool((cells.image(number).depth_N > 0).any()) for number in range(cells.images)]
        assert sum(filled) == 3
    assert torch.equal(depths[0], depths[1])


def test_of_many_cells_so_many_are_looked_at() -> None:
    cells, truths = recording()
    estimate(cells, replace(CONFIG, max_cells=800))
    for number in range(len(truths)):
        assert 0 < int((cells.image(number).depth_N > 0).sum()) <= 100


def test_neighbours_are_apart_and_look_the_same_way() -> None:
    views = [*poses(8), poses(8)[3].copy()]
    views[-1][:3, :3] = views[-1][:3, :3] @ Rotation.from_euler("y", 120, degrees=True).as_matrix()
    views[-1][0, 3] += 0.3
    cells, _ = recording(views=views)
    chosen = StereoViews(cells).neighbours(3, 0.3, 4)
    assert 3 not in chosen
    assert 8 not in chosen  # at the right distance, but it looks away
    assert len(set(chosen)) == 4
    sides = {number < 3 for number in chosen}
    assert sides == {True, False}


def test_similarity_is_highest_at_the_true_depth() -> None:
    cells, truths = recording()
    sought = torch.tensor([300, 610, 633])
    tried = torch.from_numpy(1.0 / truths[4][sought.numpy()])
    for cell, inverse in zip(sought.tolist(), tried.tolist(), strict=True):
        around = torch.tensor([0.6, 1.0, 1.6]) * inverse
        similarity = StereoViews(cells).similarity(4, [2, 6], torch.tensor([cell]), around)
        assert int(similarity.argmax()) == 1
        assert similarity[0, 1] > 0.6


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"stereo\.neighbours"):
        StereoConfig(neighbours=0)
