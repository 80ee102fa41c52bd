# SPDX-License-Identifier: Apache-2.0
"""Poses from TF, and frames that TF joins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import error_of

from dsac_core.data.bag import Bag
from dsac_core.data.bag_topics import BagTopics
from dsac_core.data.bag_transforms import MAX_STILL_GAP, TransformTree
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import interpolate, invert

SECOND = 1_000_000_000
START = 1_760_000_000 * SECOND


@pytest.fixture
def tf(ros: Any) -> Any:
    """A message of /tf with one transform at a time."""

    def make(seconds: float, parent: str, child: str, pose: np.ndarray) -> Any:
        message = ros.transforms((parent, child, pose))
        message.transforms[0].header.stamp = ros.header(seconds, parent).stamp
        return message

    return make


@pytest.fixture
def corrections(rigid: Any) -> list[np.ndarray]:
    """map_T_odom at 0, 0.4 and 0.8 s."""
    return [rigid([5.0 + 0.1 * i, -1.0, 0.0], [0.0, 0.0, 1.0 + 0.05 * i]) for i in range(3)]


@pytest.fixture
def tf_messages(robot_bag: Any, tf: Any, corrections: list[np.ndarray]) -> list[Any]:
    """The walk of `robot_bag` with its odometry in TF, and slower corrections of it."""
    messages = [entry for entry in robot_bag.messages if entry[0] != "/odom"]
    for i, pose in enumerate(robot_bag.poses):
        messages.append(("/tf", 0.1 * i, tf(0.1 * i, "odom", "base_link", pose)))
    for i, pose in enumerate(corrections):
        messages.append(("/tf", 0.4 * i, tf(0.4 * i, "map", "odom", pose)))
    return messages


def between(poses: list[np.ndarray], place: float) -> np.ndarray:
    before = int(place + 1e-6)
    return interpolate(poses[before], poses[before + 1], place - before)


@pytest.mark.parametrize(
    "topics",
    [None, BagTopics(pose="/tf"), BagTopics(world_frame="map"), BagTopics(world_frame="/map")],
)
def test_each_edge_is_interpolated_at_the_stamp_of_the_image(
    topics: BagTopics | None, tf_messages: list[Any], robot_bag: Any, write_bag: Any,
    corrections: list[np.ndarray],
) -> None:  # fmt: skip
    bag = Bag(write_bag(tf_messages), topics)
    assert bag.kind.endswith("poses of the camera in 'map' from /tf")
    frames = list(bag.frames("all"))
    assert len(frames) == 5
    for frame, time, ahead in zip(frames, robot_bag.times, bag.poses("all"), strict=True):
        map_T_odom = between(corrections, time / 0.4)
        odom_T_base = between(robot_bag.poses, time / 0.1)
        expected = map_T_odom @ odom_T_base @ robot_bag.base_T_camera
        np.testing.assert_allclose(frame.world_T_cam, expected, atol=1e-9)
        np.testing.assert_array_equal(frame.world_T_cam, ahead)


def test_any_frame_on_the_way_can_be_the_world(
    tf_messages: list[Any], robot_bag: Any, write_bag: Any
) -> None:
    bag = Bag(write_bag(tf_messages), BagTopics(world_frame="odom"))
    frame = list(bag.frames("all"))[2]
    expected = robot_bag.poses[3] @ robot_bag.base_T_camera
    np.testing.assert_allclose(frame.world_T_cam, expected, atol=1e-12)


def test_transforms_on_another_topic(
    tf_messages: list[Any], robot_bag: Any, write_bag: Any
) -> None:
    moved = [(f"/robot{topic}" if topic.startswith("/tf") else topic, *rest)
             for topic, *rest in tf_messages]  # fmt: skip
    path = write_bag(moved)
    assert "no pose topic" in error_of(lambda: Bag(path))
    topics = BagTopics(pose="/robot/tf", world_frame="odom")
    frame = list(Bag(path, topics).frames("all"))[2]
    expected = robot_bag.poses[3] @ robot_bag.base_T_camera
    np.testing.assert_allclose(frame.world_T_cam, expected, atol=1e-12)


def test_a_topic_with_poses_is_before_tf(
    tf_messages: list[Any], robot_bag: Any, write_bag: Any, ros: Any
) -> None:
    odometry = [("/odom", 0.1 * i, ros.odometry(0.1 * i, np.eye(4))) for i in range(8)]
    bag = Bag(write_bag(tf_messages + odometry))
    assert bag.kind.endswith("poses of 'base_link' from /odom")
    np.testing.assert_allclose(bag.poses("all")[0], robot_bag.base_T_camera, atol=1e-12)


def test_a_root_that_is_no_world_wants_a_choice(
    tf_messages: list[Any], tf: Any, write_bag: Any
) -> None:
    above = [("/tf", 0.8 * i, tf(0.8 * i, "/earth", "map", np.eye(4))) for i in range(2)]
    path = write_bag(tf_messages + above)
    message = error_of(lambda: Bag(path))
    assert "'earth', is none of map, odom, world" in message
    assert "'camera', 'mount', 'base_link', 'odom', 'map', 'earth' with --world-frame" in message
    message = error_of(lambda: Bag(path, BagTopics(world_frame="mars")))
    assert "TF does not join 'mars' and 'camera'" in message
    assert Bag(path, BagTopics(world_frame="earth")).count("all") == 5


def test_a_camera_that_nothing_moves(tf_messages: list[Any], write_bag: Any) -> None:
    path = write_bag(tf_messages)
    message = error_of(lambda: Bag(path, BagTopics(world_frame="base_link")))
    assert "no transform on /tf moves 'camera'" in message


def test_a_head_that_turns(robot_bag: Any, write_bag: Any, tf: Any, rigid: Any) -> None:
    """Odometry is of the base, and between base and camera there is an angle in /tf."""
    angles = [rigid([0.0, 0.0, 0.4], [0.0, 0.0, 0.2 * i]) for i in range(9)]
    messages = [entry for entry in robot_bag.messages if entry[0] != "/tf_static"]
    mount, camera = robot_bag.messages[0][2].transforms
    mount.header.frame_id = "neck"
    messages.insert(0, ("/tf_static", 0.0, type(robot_bag.messages[0][2])([mount, camera])))
    for i, angle in enumerate(angles):
        messages.append(("/tf", 0.1 * i, tf(0.1 * i, "base_link", "neck", angle)))
    frames = list(Bag(write_bag(messages)).frames("all"))
    assert len(frames) == 5
    for frame, time in zip(frames, robot_bag.times, strict=True):
        base_T_neck, odom_T_base = (
            between(poses, time / 0.1) for poses in (angles, robot_bag.poses)
        )
        expected = odom_T_base @ base_T_neck @ robot_bag.base_T_camera
        np.testing.assert_allclose(frame.world_T_cam, expected, atol=1e-9)


def tum_file(folder: Path, poses: list[np.ndarray], ros: Any, every: int = 1) -> Path:
    rows = []
    for i, pose in list(enumerate(poses))[::every]:
        p, q = ros.pose(pose).position, ros.pose(pose).orientation
        rows.append(f"{1_760_000_000 + i // 10}.{i % 10} {p.x} {p.y} {p.z} {q.x} {q.y} {q.z} {q.w}")
    file = folder / "slam.tum"
    file.write_text("\n".join(rows) + "\n")
    return file


@pytest.mark.parametrize("frame_id", [None, "base_link"])
def test_poses_of_a_file(
    frame_id: str | None, robot_bag: Any, write_bag: Any, ros: Any, tmp_path: Path
) -> None:
    file = tum_file(tmp_path, robot_bag.poses, ros)
    bag = Bag(write_bag(robot_bag.messages), BagTopics(poses=str(file), pose_frame=frame_id))
    assert bag.kind.endswith(f"poses of '{frame_id or 'camera'}' from {file}")
    body_T_cam = robot_bag.base_T_camera if frame_id else np.eye(4)
    assert bag.count("all") == 5
    np.testing.assert_allclose(bag.poses("all")[2], robot_bag.poses[3] @ body_T_cam, atol=1e-9)


def test_poses_of_a_file_may_be_those_of_keyframes(
    robot_bag: Any, write_bag: Any, ros: Any, tmp_path: Path
) -> None:
    file = tum_file(tmp_path, robot_bag.poses, ros, every=4)
    bag = Bag(write_bag(robot_bag.messages), BagTopics(poses=str(file)))
    expected = interpolate(robot_bag.poses[0], robot_bag.poses[4], 0.75)
    np.testing.assert_allclose(bag.poses("all")[2], expected, atol=1e-9)
    assert bag.kind.endswith(f"from {file} (none for 2 images)")


def test_whose_poses_they_are_can_be_said(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    """A PoseStamped names no frame that it is of; by default it is the camera."""
    messages = [entry for entry in robot_bag.messages if entry[0] != "/odom"]
    messages += [
        ("/amcl_pose", 0.1 * i, ros.pose_stamped(0.1 * i, pose))
        for i, pose in enumerate(robot_bag.poses)
    ]
    path = write_bag(messages)
    np.testing.assert_allclose(Bag(path).poses("all")[2], robot_bag.poses[3], atol=1e-12)
    of_base = Bag(path, BagTopics(pose_frame="base_link")).poses("all")[2]
    np.testing.assert_allclose(of_base, robot_bag.poses[3] @ robot_bag.base_T_camera, atol=1e-12)
    message = error_of(lambda: Bag(path, BagTopics(pose_frame="wheel")))
    assert "TF does not join 'wheel' and 'camera'" in message
    assert "--pose-frame" in message


def test_images_that_name_no_frame_have_that_of_their_calibration(
    robot_bag: Any, write_bag: Any
) -> None:
    for topic, _, message in robot_bag.messages:
        if topic == "/camera/image_raw":
            message.header.frame_id = ""
    poses = Bag(write_bag(robot_bag.messages)).poses("all")
    expected = robot_bag.poses[3] @ robot_bag.base_T_camera
    np.testing.assert_allclose(poses[2], expected, atol=1e-12)


@pytest.mark.parametrize(
    "topics",
    [
        {"pose": "/odom", "poses": "slam.tum"},
        {"world_frame": "map", "poses": "slam.tum"},
    ],
)
def test_two_sources_of_poses_are_refused(topics: dict[str, str]) -> None:
    assert "choose one of them" in error_of(lambda: BagTopics(**topics))


def test_a_topic_that_is_not_tf_has_no_world_frame(robot_bag: Any, write_bag: Any) -> None:
    path = write_bag(robot_bag.messages)
    message = error_of(lambda: Bag(path, BagTopics(pose="/odom", world_frame="map")))
    assert "no TF topic '/odom'" in message


def test_a_chain_down_another_branch(ros: Any, rigid: Any) -> None:
    tree = TransformTree()
    body_T_left, body_T_right = rigid([0.0, 0.1, 0.0], [0.1, 0.0, 0.0]), rigid([0.0, -0.1, 0.3])
    tree.add_static(
        ros.transforms(("body", "left", body_T_left), ("/body", "/right", body_T_right))
    )
    expected = invert(body_T_left) @ body_T_right
    pose = tree.chain("/left", "right").at(0)
    assert pose is not None
    np.testing.assert_allclose(pose, expected, atol=1e-12)
    assert not tree.chain("left", "right").moves


def test_the_parent_that_came_last_counts(tf: Any, rigid: Any) -> None:
    tree = TransformTree()
    for seconds, parent in ((0.0, "old"), (0.1, "old"), (0.2, "new"), (0.3, "new")):
        tree.add(tf(seconds, parent, "base", rigid([seconds, 0.0, 0.0])))
    assert tree.ancestors("base") == ["base", "new"]
    pose = tree.chain("new", "base").at(START + SECOND // 4)
    assert pose is not None
    assert pose[0, 3] == pytest.approx(0.25)
    with pytest.raises(DatasetError, match="does not join 'old'"):
        tree.chain("old", "base")


def test_a_silence_is_bridged_only_at_rest(tf: Any, rigid: Any) -> None:
    """Localization sends nothing while a robot stands."""
    gap = MAX_STILL_GAP // SECOND
    for moved, longer, known in ((0.01, 0, True), (0.03, 0, False), (0.01, 1, False)):
        tree = TransformTree()
        tree.add(tf(0.0, "map", "odom", rigid([0.0, 0.0, 0.0])))
        tree.add(tf(gap + longer, "map", "odom", rigid([moved, 0.0, 0.0])))
        assert (tree.chain("map", "odom").at(START + SECOND) is not None) == known


def test_transforms_that_are_none_are_left_out(tf: Any, rigid: Any) -> None:
    tree = TransformTree()
    for seconds, x in ((0.0, 0.0), (0.1, np.nan), (0.2, 2.0)):
        tree.add(tf(seconds, "map", "base", rigid([x, 0.0, 0.0])))
    pose = tree.chain("map", "base").at(START + SECOND // 10)
    assert pose is not None
    assert pose[0, 3] == pytest.approx(1.0)
