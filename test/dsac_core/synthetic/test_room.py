# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from dsac_core.errors import ConfigError
from dsac_core.synthetic import RoomOptions, make_room, office, render_view


def test_the_same_seed_builds_the_same_room(room):
    again = make_room(RoomOptions(seed=0))
    np.testing.assert_array_equal(again.shape.corners, room.shape.corners)
    np.testing.assert_array_equal(again.atlas.picture, room.atlas.picture)
    np.testing.assert_array_equal(again.light.picture, room.light.picture)


def test_another_seed_is_another_place(room, small, mapping):
    other = office(7)
    centres = {tuple(np.round(box.centre, 1)) for box in room.boxes}
    same = sum(tuple(np.round(box.centre, 1)) in centres for box in other.boxes)
    assert same < 0.3 * len(room.boxes), "the furniture stands elsewhere"
    for at in (0, 200, 400):
        here, depth_here = render_view(room, small, mapping.world_T_cam[at])
        there, depth_there = render_view(other, small, mapping.world_T_cam[at])
        assert np.mean(np.abs(here.astype(float) - there).mean(axis=-1) > 15) > 0.5
        assert np.mean(np.abs(depth_here - depth_there) > 0.05) > 0.15


@pytest.mark.parametrize("seed", [0, 7])
def test_everything_is_inside_the_walls(seed):
    room = office(seed)
    half = np.array([room.options.length / 2, room.options.width / 2])
    corners = room.shape.corners.reshape(-1, 3)
    furniture = ~np.repeat(room.shape.two_sided, 4)  # leaves may brush the wall
    assert (np.abs(corners[furniture, :2]) < half + 0.03).all()
    assert (corners[:, 2] > -0.01).all()
    assert (corners[:, 2] < room.options.height + 0.01).all()


def test_no_two_pictures_are_the_same(room):
    """Crops of pictures at the finest level, hashed: posters and spines are all drawn anew."""
    sizes, corners = room.atlas.sizes[:, 0].astype(int), room.atlas.corners[:, 0].astype(int)
    seen = {
        room.atlas.picture[y : y + h, x : x + w].tobytes()
        for (x, y), (w, h) in zip(corners, sizes, strict=True)
        if w * h > 2000
    }
    count = sum(w * h > 2000 for w, h in sizes)
    assert count > 100
    assert len(seen) > 0.9 * count  # the drawers of one desk share their front


def test_light_varies_and_does_not_burn_out(room):
    used = room.light.picture[room.light.picture.max(axis=-1) > 0]
    light = used.mean(axis=-1) / 255 * room.light.full
    assert np.percentile(light, 5) < 0.5 < np.median(light) < 1.3
    assert np.mean(light > 1.9) < 0.02


@pytest.mark.parametrize(
    ("options", "words"),
    [({"seed": -1}, "-1"), ({"length": 2.0}, "2.0 x 5.0"), ({"height": float("nan")}, "nan")],
)
def test_impossible_rooms_are_refused_with_the_value(options, words):
    with pytest.raises(ConfigError, match=words):
        RoomOptions(**options)


@pytest.mark.parametrize("seed", range(1, 7))
def test_furniture_keeps_to_the_walls_for_every_seed(seed):
    """Whatever the seed, the middle of the room, where the walks go, is free."""
    from dsac_core.synthetic.builder import Builder
    from dsac_core.synthetic.interior import ROLES, WALLS, furnish
    from dsac_core.synthetic.noise import stream
    from dsac_core.synthetic.shell import add_materials

    options = RoomOptions(seed=seed)
    builder = Builder(stream(seed, "room"))
    add_materials(builder, seed)
    for number in range(4):
        furnish(builder, options.wall(number), WALLS[number], 3.3, ROLES[number])
    for box in builder.boxes:
        x, y = abs(box.centre[0]), abs(box.centre[1])
        assert x > options.length / 2 - 1.2 or y > options.width / 2 - 1.2
