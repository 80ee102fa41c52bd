# SPDX-License-Identifier: Apache-2.0
"""The buffer, and which frames are held out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert
from dsac_core.training.cell_buffer import MEASURED_DEPTH_TOLERANCE, CellBuffer
from dsac_core.training.held_out import held_out_positions


def filled(rigid: Any, capacity: int) -> tuple[CellBuffer, list[Camera], list[np.ndarray]]:
    buffer = CellBuffer(capacity, 2, torch.float32, torch.device("cpu"))
    cameras = [Camera(640, 480, 500.0 + i, 510.0 + i, 320.0, 240.0) for i in range(3)]
    poses = [rigid([i, 0.5, -i], [0.1 * i, 0.2, 0.0]) for i in range(3)]
    for i in range(3):
        features = torch.stack([torch.full((10,), float(i)), torch.arange(10.0)], dim=1)
        pixels = torch.stack([torch.arange(10.0), torch.full((10,), 100.0 * i)], dim=1)
        depth = None if i == 1 else torch.full((10,), 1.0 + i)
        buffer.add_image(features, pixels, depth, cameras[i], poses[i])
    return buffer, cameras, poses


def test_every_cell_is_drawn_with_the_geometry_of_its_image(rigid: Any) -> None:
    buffer, cameras, poses = filled(rigid, 100)
    assert (buffer.size, buffer.capacity) == (30, 100)
    batch = buffer.draw(2000, torch.Generator().manual_seed(0))
    seen = set()
    for n in range(2000):
        image, cell = (int(value) for value in batch.features_BC[n])
        seen.add((image, cell))
        assert batch.pixels_B2[n].tolist() == [cell, 100 * image]
        assert batch.depth_B[n] == (0.0 if image == 1 else 1.0 + image)
        assert batch.intrinsics_B4[n, 0] == cameras[image].fx
        expected = torch.from_numpy(invert(poses[image])[:3]).float()
        torch.testing.assert_close(batch.cam_T_world_B34[n], expected)
    assert len(seen) == 30


def test_what_does_not_fit_is_left_out(rigid: Any) -> None:
    buffer, _, _ = filled(rigid, 14)
    assert buffer.size == 14
    batch = buffer.draw(500, torch.Generator().manual_seed(0))
    assert batch.features_BC[:, 0].max() == 1.0


def test_the_seed_decides_the_draw(rigid: Any) -> None:
    buffer, _, _ = filled(rigid, 100)
    first, again = (buffer.draw(50, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first.features_BC, again.features_BC)


def test_feature_statistics(rigid: Any) -> None:
    mean, std = filled(rigid, 100)[0].feature_statistics()
    torch.testing.assert_close(mean, torch.tensor([1.0, 4.5]))
    torch.testing.assert_close(std[1], torch.arange(10.0).repeat(3).std())


@pytest.mark.parametrize("count", [10, 11, 37, 260, 2000])
@pytest.mark.parametrize("share", [0.01, 0.06, 0.49])
@pytest.mark.parametrize("stretches", [1, 4, 50])
def test_held_out_positions_are_spread_runs(count: int, share: float, stretches: int) -> None:
    positions = held_out_positions(count, share, stretches)
    assert positions
    assert min(positions) >= 0
    assert max(positions) < count
    assert len(positions) <= max(1, 1.6 * share * count)
    runs = sum(position - 1 not in positions for position in positions)
    assert runs <= stretches


def test_cells_of_chosen_images_come_image_by_image_and_once(rigid: Any) -> None:
    buffer, cameras, _ = filled(rigid, 100)
    batch = buffer.draw_from([2, 0], 8, torch.Generator().manual_seed(0))
    assert batch.features_BC[:, 0].tolist() == 8 * [2.0] + 8 * [0.0]
    assert batch.intrinsics_B4[:, 0].tolist() == 8 * [cameras[2].fx] + 8 * [cameras[0].fx]
    for cells in batch.features_BC[:, 1].split(8):
        assert len(set(cells.tolist())) == 8
    again = buffer.draw_from([1], 300, torch.Generator().manual_seed(0)).features_BC
    assert set(again[:, 0].tolist()) == {1.0}
    assert set(again[:, 1].tolist()) == set(range(10))


def test_variations_are_drawn_where_they_are_wanted(rigid: Any) -> None:
    buffer, cameras, poses = filled(rigid, 100)
    features = torch.stack([torch.full((10,), 7.0), torch.arange(10.0)], dim=1)
    buffer.add_image(features, torch.zeros(10, 2), None, cameras[0], poses[0], varied_from=0)
    taken, all_of_them = (
        buffer.draw(600, torch.Generator().manual_seed(0), varied=varied).features_BC[:, 0]
        for varied in (False, True)
    )
    assert set(taken.tolist()) == {0.0, 1.0, 2.0}
    assert set(all_of_them.tolist()) == {0.0, 1.0, 2.0, 7.0}
    buffer.add_image(features + 1.0, torch.zeros(10, 2), None, cameras[0], poses[0])
    later = buffer.draw(600, torch.Generator().manual_seed(0), varied=False)
    assert set(later.features_BC[:, 0].tolist()) == {0.0, 1.0, 2.0, 8.0}
    assert buffer.taken == [0, 1, 2, 4]


def test_the_depth_of_cells_has_a_tolerance(rigid: Any) -> None:
    buffer, _, _ = filled(rigid, 100)
    buffer.set_depth(1, torch.tensor([2, 5]), torch.tensor([3.0, 4.0]), 0.5)
    cells = buffer.image(1)
    assert torch.nonzero(cells.depth_N)[:, 0].tolist() == [2, 5]
    assert cells.depth_N[[2, 5]].tolist() == [3.0, 4.0]
    assert cells.depth_tolerance_N[[2, 5]].tolist() == [0.5, 0.5]
    assert cells.depth_tolerance_N.dtype == torch.float32
    assert (buffer.image(0).depth_tolerance_N - MEASURED_DEPTH_TOLERANCE).abs().max() < 1e-3
