# SPDX-License-Identifier: Apache-2.0
"""Keyframes by motion."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsac_core.data.bag_topics import BagTopics
from dsac_core.data.keyframes import ANGLE_PER_METRE, keyframes
from dsac_core.data.open_dataset import describe, open_dataset
from dsac_core.errors import ConfigError


def walk(x_N: np.ndarray, rigid: Any) -> np.ndarray:
    return np.array([rigid([x, 0.0, 0.0]) for x in x_N])


def test_few_poses_that_all_move_are_all_kept(rigid: Any) -> None:
    assert keyframes(walk(np.arange(50) * 0.02, rigid), 50).indices == list(range(50))


def test_they_are_equally_far_apart_whatever_the_speed(rigid: Any) -> None:
    """A second at rest, a slow metre, a rest with trembling, a fast metre."""
    tremble = np.random.default_rng(0).normal(1.0, 1e-3, 300)
    x_N = np.concatenate([np.zeros(30), np.arange(0, 1, 0.002), tremble, np.arange(1, 2, 0.02)])
    chosen = keyframes(walk(x_N, rigid), 20)
    assert 19 <= len(chosen.indices) <= 20
    steps = np.diff(x_N[chosen.indices])
    assert steps.min() >= chosen.spacing
    assert steps.max() <= chosen.spacing + 0.02
    assert chosen.indices[0] == 0


def test_turning_is_motion_too(rigid: Any) -> None:
    poses = np.array([rigid([0.0, 0.0, 0.0], [0.0, angle, 0.0]) for angle in np.arange(0, 3, 0.01)])
    chosen = keyframes(poses, 10)
    assert 9 <= len(chosen.indices) <= 10
    turned = np.diff(np.arange(0, 3, 0.01)[chosen.indices])
    assert turned.min() >= chosen.spacing * ANGLE_PER_METRE - 1e-9
    assert turned.max() <= chosen.spacing * ANGLE_PER_METRE + 0.011


@pytest.mark.parametrize("angle", [0.0, 90.0, -90.0, 180.0, 270.0, 360.0])
def test_views_that_are_nearly_the_same_at_any_angle(angle: float, rigid: Any) -> None:
    """A quaternion and its negative are one rotation, and may both come from matrices."""
    degrees = (angle - 0.05, angle + 0.05)
    poses = [rigid([0.0, 0.0, 0.0], [0.0, 0.0, math.radians(value)]) for value in degrees]
    assert keyframes(np.array(poses), 2).indices == [0]


def test_a_metre_is_as_far_as_thirty_degrees(rigid: Any) -> None:
    """Alternately, so that the spacing has to be less than both to keep each."""
    poses = [rigid([index, 0.0, 0.0], [0.0, 0.0, 0.0]) for index in range(5)]
    poses += [rigid([4.0, 0.0, 0.0], [0.0, 0.0, math.radians(30.0 * i)]) for i in range(1, 5)]
    assert keyframes(np.array(poses), 9).indices == list(range(9))
    assert keyframes(np.array(poses), 5).indices == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("most", [1, 2, 7, 99])
def test_never_more_than_asked_for(most: int, rigid: Any) -> None:
    x_N = np.random.default_rng(1).uniform(0, 100, 100)
    assert 1 <= len(keyframes(walk(x_N, rigid), most).indices) <= most


def test_a_recording_with_fewer_images_is_left_whole(seven_scenes: Any) -> None:
    whole = open_dataset(seven_scenes.path)
    same = open_dataset(seven_scenes.path, BagTopics(keyframes=3))
    assert describe(same) == describe(whole)
    assert [f.name for f in same.frames("train")] == [f.name for f in whole.frames("train")]


def test_of_a_folder(seven_scenes: Any) -> None:
    whole = open_dataset(seven_scenes.path)
    thinned = open_dataset(seven_scenes.path, BagTopics(keyframes=2))
    words = describe(thinned)
    assert "of 3 images of split train keyframes" in words
    assert "train (2 images), test (1 images)" in words
    names = [frame.name for frame in whole.frames("train")]
    kept = [frame.name for frame in thinned.frames("train")]
    assert len(kept) == thinned.count("train") == 2
    assert kept[0] == names[0]
    assert set(kept) <= set(names)
    assert thinned.count("test") == 1


def test_of_a_bag(robot_bag: Any, write_bag: Any) -> None:
    path: Path = write_bag(robot_bag.messages)
    whole = list(open_dataset(path).frames("all", with_depth=True))
    thinned = open_dataset(path, BagTopics(keyframes=3))
    assert "of 5 images keyframes" in describe(thinned)
    frames = list(thinned.frames("all", with_depth=True))
    assert thinned.count("all") == len(frames) == 3
    by_name = {frame.name: frame for frame in whole}
    for frame, pose in zip(frames, thinned.poses("all"), strict=True):  # type: ignore[attr-defined]
        np.testing.assert_array_equal(frame.image, by_name[frame.name].image)
        np.testing.assert_array_equal(frame.depth, by_name[frame.name].depth)
        np.testing.assert_array_equal(frame.world_T_cam, pose)
    (second,) = thinned.frames("all", indices={1})
    assert second.name == frames[1].name


def test_a_number_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="at least 1 keyframe, got 0"):
        BagTopics(keyframes=0)
