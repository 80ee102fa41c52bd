# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from dsac_core.errors import ConfigError
from dsac_core.geometry.pose import is_rigid
from dsac_core.synthetic import WALKS, RoomOptions, WalkOptions, office, render_view, walk_poses
from dsac_core.synthetic.walk import IMAGE_EVERY, STATE_RATE, base_T_link, link_T_cam


def distance_to_box(points_N2, box):
    """Distances [N] in the plane from points to the footprint of a box; 0 inside."""
    cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
    offset = points_N2 - np.asarray(box.centre[:2])
    local = offset @ np.array([[cosine, -sine], [sine, cosine]])
    outside = np.maximum(np.abs(local) - np.asarray(box.half[:2]), 0.0)
    return np.linalg.norm(outside, axis=1)


def yaws(walk):
    return np.unwrap(np.arctan2(walk.world_T_base[:, 1, 0], walk.world_T_base[:, 0, 0]))


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("name", WALKS)
def test_the_robot_drives_into_nothing(name, seed):
    room = office(seed)
    path = walk_poses(name, room.options).world_T_base[:, :2, 3]
    for box in room.boxes:
        assert distance_to_box(path, box).min() > 0.25, box


@pytest.mark.parametrize("name", WALKS)
def test_speeds_are_those_of_a_careful_robot(name):
    walk = walk_poses(name, RoomOptions())
    speed = np.linalg.norm(np.diff(walk.world_T_base[:, :2, 3], axis=0), axis=1) * STATE_RATE
    turning = np.degrees(np.abs(np.diff(yaws(walk)))) * STATE_RATE
    assert speed.max() < 0.7
    assert np.median(speed[speed > 0.1]) > 0.3
    assert turning.max() < 60
    # Smooth: no jerk in the velocity from one state to the next.
    assert np.abs(np.diff(speed)).max() * STATE_RATE < 2.0


@pytest.mark.parametrize(("name", "seconds"), [("mapping", (38, 50)), ("test", (23, 30))])
def test_length_and_timing(name, seconds):
    walk = walk_poses(name, RoomOptions())
    assert seconds[0] < walk.times[-1] < seconds[1]
    np.testing.assert_allclose(np.diff(walk.image_times), IMAGE_EVERY / STATE_RATE)
    assert len(walk.world_T_cam) == len(walk.image_times)
    assert all(is_rigid(pose) for pose in walk.world_T_cam[::50])


@pytest.mark.parametrize("name", WALKS)
def test_the_camera_keeps_away_from_what_it_looks_at(name, room, small):
    for pose in walk_poses(name, room.options).world_T_cam[::20]:
        _, depth = render_view(room, small, pose)
        assert np.percentile(depth, 3) > 0.75
        assert np.median(depth) > 1.0


def test_the_test_walk_is_another_path_that_sees_the_same_places():
    mapped = walk_poses("mapping", RoomOptions()).world_T_cam
    tested = walk_poses("test", RoomOptions()).world_T_cam
    apart = np.linalg.norm(tested[:, None, :3, 3] - mapped[None, :, :3, 3], axis=-1)
    angle = np.degrees(np.arccos(np.clip(tested[:, :3, 2] @ mapped[:, :3, 2].T, -1, 1)))
    nearest = np.where(angle < 20, apart, np.inf).min(axis=1)
    assert 0.25 < np.median(nearest) < 0.6
    assert nearest.max() < 1.2


def test_the_camera_is_where_the_options_put_it():
    options = WalkOptions(camera_height=0.8, camera_forward=0.2, camera_pitch_deg=10.0)
    pose = base_T_link(options) @ link_T_cam()
    np.testing.assert_allclose(pose[:3, 3], [0.2, 0.0, 0.8])
    forward = pose[:3, 2]
    assert np.degrees(np.arcsin(-forward[2])) == pytest.approx(10.0)
    assert forward[0] > 0.9
    np.testing.assert_allclose(pose[:3, 0], [0.0, -1.0, 0.0], atol=1e-12)  # x is to the right


def test_vibration_is_small_and_seeded():
    one = walk_poses("test", RoomOptions(), WalkOptions(seed=1)).world_T_base
    two = walk_poses("test", RoomOptions(), WalkOptions(seed=2)).world_T_base
    same = walk_poses("test", RoomOptions(), WalkOptions(seed=1)).world_T_base
    np.testing.assert_array_equal(one, same)
    assert 0 < np.abs(one[:, 2, 3] - two[:, 2, 3]).max() < 0.01
    np.testing.assert_array_equal(one[:, :2, 3], two[:, :2, 3])


def test_a_part_keeps_poses_and_times(mapping):
    part = mapping.part(10, 5)
    np.testing.assert_array_equal(part.world_T_cam, mapping.world_T_cam[10:15])
    np.testing.assert_array_equal(part.image_times, mapping.image_times[10:15])


def test_an_unknown_walk_names_those_that_exist():
    with pytest.raises(ConfigError, match="mapping, test"):
        walk_poses("moonwalk", RoomOptions())


@pytest.mark.parametrize(("first", "count"), [(0, 0), (-1, 5), (10, 100000)])
def test_a_part_that_is_not_there_is_refused(mapping, first, count):
    with pytest.raises(ConfigError, match="has images 0 to"):
        mapping.part(first, count)
