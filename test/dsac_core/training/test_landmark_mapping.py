# SPDX-License-Identifier: Apache-2.0
"""Landmarks of a recording, and the depth that its cells have from them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from landmark_room import ROOM_CAMERA, LandmarkRoom, landmark_room

from dsac_core.progress import silent
from dsac_core.training.cell_buffer import MEASURED_DEPTH_TOLERANCE, CellBuffer
from dsac_core.training.landmark_config import LandmarkConfig
from dsac_core.training.landmark_mapping import FoundLandmarks, find_landmarks
from dsac_core.training.workers import ALONE, Workers

DEPTH = 3.0  # metres, typical of the room: at the default parallax, the baseline is its own


def found_in(
    room: LandmarkRoom, cells: CellBuffer, workers: Workers = ALONE, **changes: Any
) -> FoundLandmarks:
    settings: dict[str, Any] = {
        "depth_scale": 1.0,
        "seed": 0,
        "enough": lambda _: False,
        "progress": silent,
        **changes,
    }
    views = settings.pop("views", room.views)
    return find_landmarks(views, cells, DEPTH, LandmarkConfig(), workers, **settings)


def true_depth(room: LandmarkRoom, view: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each cell of a view: the depth of the point that is shown nearest to its centre, px off.

    Only of points that two views show.
    """
    own = room.views[view]
    pixels = own.pixels_K2 + own.intrinsics_4[2:]
    shown = room.shown[view]
    every = torch.cat(room.shown)
    often = torch.bincount(every[every >= 0], minlength=len(room.points_P3)) >= 2
    useful = (shown >= 0) & often[shown.clamp_min(0)]
    points = room.points_P3[shown.clamp_min(0)]
    depth = (points @ own.cam_T_world_34[2, :3] + own.cam_T_world_34[2, 3]).float()
    columns = ROOM_CAMERA.width // 8
    centres = torch.tensor(
        [[8 * c + 3.5, 8 * r + 3.5] for r in range(ROOM_CAMERA.height // 8) for c in range(columns)]
    )
    distance, nearest = torch.cdist(centres, pixels[useful]).min(dim=1)
    return depth[useful][nearest], distance


def test_cells_that_show_a_landmark_have_its_depth() -> None:
    room = landmark_room(noise=0.1)
    cells = room.cells()
    found_in(room, cells)
    close, several = 0, 0
    for view in range(len(room.views)):
        known = cells.image(view).depth_N > 0
        depth, distance = true_depth(room, view)
        assert (distance[known] <= 4.0 + 1e-3).all()
        alone = known & (distance < 3.0)
        close += int(((cells.image(view).depth_N - depth).abs() < 0.05 * depth)[alone].sum())
        several += int(alone.sum())
        assert known.sum() > 0.6 * (distance < 3.0).sum()
        tolerance = cells.image(view).depth_tolerance_N
        assert (tolerance[known] > MEASURED_DEPTH_TOLERANCE).all()
        assert (tolerance[~known] == 0).all()
    assert several > 200
    assert close > 0.95 * several  # in a cell that shows two points, it is one of them


def test_measured_depth_stays_and_looser_depth_does_not() -> None:
    room = landmark_room()
    cells = room.cells(depth_of=2)
    every = torch.arange(len(cells.image(4).pixels_N2))
    cells.set_depth(4, every, torch.full((len(every),), 7.0), 0.3)
    found_in(room, cells)
    assert (cells.image(2).depth_N == 9.0).all()
    assert (cells.image(2).depth_tolerance_N < 1.01 * MEASURED_DEPTH_TOLERANCE).all()
    loose = cells.image(4)
    changed = loose.depth_N != 7.0
    assert changed.sum() > 40
    assert (loose.depth_N[changed] < 5.0).all()
    assert (loose.depth_tolerance_N[changed] < 0.2).all()
    assert (loose.depth_tolerance_N[~changed] > 0.29).all()


def test_what_was_found_is_told() -> None:
    room = landmark_room()
    found = found_in(room, room.cells())
    assert found.tracks == len(found.map) > 100
    assert found.pairs == 28
    assert found.seconds > 0
    few = found_in(room, room.cells(), enough=lambda done: done >= 3)
    assert few.pairs == 3
    assert few.tracks == len(few.map) > 0


def test_measured_depth_is_scaled_first() -> None:
    """A sensor that measures a quarter too much."""
    room = landmark_room(with_depth=True)
    wrong = [view.with_depth_scaled(1.25) for view in room.views]
    right = found_in(room, room.cells()).map.points_L3
    scaled = found_in(room, room.cells(), views=wrong, depth_scale=0.8).map.points_L3
    torch.testing.assert_close(scaled, right, atol=1e-3, rtol=0)
    unscaled = found_in(room, room.cells(), views=wrong).map.points_L3
    assert len(unscaled) != len(right) or not torch.allclose(unscaled, right, atol=0.01)


def test_images_that_were_varied_have_no_landmarks_and_shift_no_numbers() -> None:
    """After the third image there is one that was made of it."""
    room = landmark_room()
    plain = room.cells()
    found_in(room, plain)
    mixed = CellBuffer(plain.capacity + 1200, 2, torch.float32, torch.device("cpu"))
    for number, pose in enumerate(room.poses):
        own = plain.image(number)
        mixed.add_image(own.features_NC, own.pixels_N2, None, ROOM_CAMERA, pose)
        if number == 2:
            mixed.add_image(own.features_NC, own.pixels_N2, None, ROOM_CAMERA, pose, varied_from=2)
    found_in(room, mixed)
    assert not mixed.image(3).depth_N.any()
    for number in range(len(room.views)):
        there = mixed.image(number + (number > 2)).depth_N
        assert torch.equal(there, plain.image(number).depth_N)


class Second(Workers):
    """The second of two workers: what the first one has, the first one has found."""

    rank, count = 1, 2

    def __init__(self, others: list[Any]) -> None:
        self._others = others

    def gather(self, value: Any) -> list[Any]:
        return [self._others.pop(0), value]


class Listening(Workers):
    """The first of two workers; remembers what it gave."""

    count = 2

    def __init__(self, second: list[Any]) -> None:
        self._second = second
        self.given: list[Any] = []

    def gather(self, value: Any) -> list[Any]:
        self.given.append(value)
        return [value, self._second.pop(0)]


def part_of(room: LandmarkRoom, views: slice) -> CellBuffer:
    part = room.cells()
    cells = CellBuffer(part.capacity, 2, torch.float32, torch.device("cpu"))
    for pose in room.poses[views]:
        own = part.image(0)
        cells.add_image(own.features_NC, own.pixels_N2, None, ROOM_CAMERA, pose)
    return cells


def test_workers_find_together_what_one_finds_alone() -> None:
    room = landmark_room()
    alone = room.cells()
    expected = found_in(room, alone)
    mine, its = slice(0, 3), slice(3, 8)
    first = Listening([room.views[its], None])
    cells_1, cells_2 = part_of(room, mine), part_of(room, its)
    found = found_in(room, cells_1, first, views=room.views[mine])
    again = found_in(room, cells_2, Second(first.given), views=room.views[its])
    assert found.tracks == again.tracks == expected.tracks
    for name, values in expected.map.tensors().items():
        assert torch.equal(found.map.tensors()[name], values)
        assert torch.equal(again.map.tensors()[name], values)
    for number in range(8):
        cells, image = (cells_1, number) if number < 3 else (cells_2, number - 3)
        assert torch.equal(cells.image(image).depth_N, alone.image(number).depth_N)


@pytest.mark.parametrize("emptied", [[1], list(range(8))])
def test_views_that_see_nothing_are_no_error(emptied: list[int]) -> None:
    room = landmark_room()
    for number in emptied:
        room = room.with_view_empty(number)
    cells = room.cells()
    found = found_in(room, cells)
    assert (found.map is not None) == (len(emptied) == 1)
    assert not cells.image(1).depth_N.any()


def test_an_image_of_which_no_cell_was_kept_is_no_error() -> None:
    room = landmark_room()
    full = room.cells()
    per_image = full.capacity // len(room.views)
    cells = CellBuffer(3 * per_image, 2, torch.float32, torch.device("cpu"))
    for number, pose in enumerate(room.poses):
        own = full.image(number)
        cells.add_image(own.features_NC, own.pixels_N2, None, ROOM_CAMERA, pose)
    found_in(room, cells)
    assert cells.image(2).depth_N.any()
    assert len(cells.image(3).depth_N) == 0
