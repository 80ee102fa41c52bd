# SPDX-License-Identifier: Apache-2.0
"""rosbag2, written with rosbags as a robot would record it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsac_core.data.bag import Bag
from dsac_core.data.bag_topics import BagTopics
from dsac_core.data.open_dataset import choose_split, open_dataset
from dsac_core.errors import CameraError, DatasetError, DsacError
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import interpolate


def without(messages: list[Any], *topics: str) -> list[Any]:
    return [entry for entry in messages if entry[0] not in topics]


def error_of(path: Path, topics: BagTopics | None = None, *, with_depth: bool = False) -> str:
    with pytest.raises(DsacError) as caught:
        list(Bag(path, topics).frames("all", with_depth=with_depth))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_topics_are_found_by_type_and_frames_by_tf(
    storage: str, robot_bag: Any, write_bag: Any
) -> None:
    dataset = open_dataset(write_bag(robot_bag.messages, storage=storage))
    assert isinstance(dataset, Bag)
    assert (dataset.name, dataset.splits()) == ("walk", ("all",))
    assert choose_split(dataset, "train") == "all"
    frames = list(dataset.frames("all"))
    assert dataset.count("all") == len(frames) == 5
    for frame, image, time in zip(frames, robot_bag.images, robot_bag.times, strict=True):
        np.testing.assert_array_equal(frame.image, image)
        assert frame.stamp == pytest.approx(1_760_000_000 + time, abs=1e-6)
        assert frame.depth is None
        assert (frame.camera.fx, frame.camera.fy) == (50.0, 52.0)
        before = int(time * 10 + 1e-6)
        between = interpolate(
            robot_bag.poses[before], robot_bag.poses[before + 1], time * 10 - before
        )
        np.testing.assert_allclose(frame.world_T_cam, between @ robot_bag.base_T_camera, atol=1e-6)
    assert len({frame.name for frame in frames}) == 5


def test_a_pose_at_the_very_stamp_is_taken_as_it_is(robot_bag: Any, write_bag: Any) -> None:
    frame = list(Bag(write_bag(robot_bag.messages)).frames("all"))[2]
    expected = robot_bag.poses[3] @ robot_bag.base_T_camera
    np.testing.assert_allclose(frame.world_T_cam, expected, atol=1e-12)


def test_indices_are_those_of_the_whole_sequence(robot_bag: Any, write_bag: Any) -> None:
    bag = Bag(write_bag(robot_bag.messages))
    chosen = list(bag.frames("all", indices={1, 4}))
    assert len(chosen) == 2
    np.testing.assert_array_equal(chosen[0].image, robot_bag.images[1])
    np.testing.assert_array_equal(chosen[1].image, robot_bag.images[4])


@pytest.mark.parametrize("first", ["image", "depth"])
def test_depth_is_that_of_the_same_stamp_in_metres(
    first: str, robot_bag: Any, write_bag: Any, ros: Any
) -> None:
    messages = without(robot_bag.messages, "/camera/depth/image_raw")
    offset = -0.01 if first == "depth" else 0.01
    for time, depth in zip(robot_bag.times, robot_bag.depth, strict=True):
        depth[0, 0] = 0
        message = ros.image(time, depth, "16UC1")
        messages.append(("/camera/depth/image_raw", time + offset, message))
    messages.sort(key=lambda entry: entry[1])
    frames = list(Bag(write_bag(messages)).frames("all", with_depth=True))
    assert len(frames) == 5
    for frame, depth, image in zip(frames, robot_bag.depth, robot_bag.images, strict=True):
        np.testing.assert_allclose(frame.depth, depth / 1000.0, atol=1e-6)
        np.testing.assert_array_equal(frame.image, image)
        assert frame.depth.dtype == np.float32


def test_depth_in_metres_with_every_kind_of_no_reading(
    robot_bag: Any, write_bag: Any, ros: Any
) -> None:
    messages = without(robot_bag.messages, "/camera/depth/image_raw")
    depth = np.full((48, 64), 1.25, dtype=np.float32)
    depth[0, :4] = [np.nan, np.inf, -np.inf, -1.0]
    message = ros.image(robot_bag.times[0], depth, "32FC1")
    messages.append(("/camera/depth/image_raw", robot_bag.times[0], message))
    frames = list(Bag(write_bag(messages)).frames("all", with_depth=True))
    (frame,) = (frame for frame in frames if frame.depth is not None)
    assert len(frames) > 1  # images without depth come without it
    assert frame.depth[0, :4].tolist() == [0, 0, 0, 0]
    assert frame.depth[1, 1] == 1.25


def test_depth_that_is_not_there_is_asked_for_in_vain(robot_bag: Any, write_bag: Any) -> None:
    path = write_bag(without(robot_bag.messages, "/camera/depth/image_raw"))
    message = error_of(path, with_depth=True)
    assert "no depth topic" in message
    assert "/camera/image_raw" in message


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_compressed_images(kind: str, robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/camera/image_raw", "/camera/depth/image_raw")
    smooth = np.zeros((48, 64, 3), np.uint8)
    smooth[..., 0], smooth[..., 2] = np.arange(64) * 3, 40
    for time in robot_bag.times:
        topic = "/camera/image_raw/compressed"
        messages.append((topic, time, ros.compressed(time, smooth, kind)))
    frames = list(Bag(write_bag(messages)).frames("all"))
    assert len(frames) == 5
    assert np.abs(frames[0].image.astype(int) - smooth).max() <= (0 if kind == "png" else 12)


@pytest.mark.parametrize("encoding", ["bgr8", "rgba8", "mono8"])
def test_other_encodings_come_out_as_rgb(
    encoding: str, robot_bag: Any, write_bag: Any, ros: Any
) -> None:
    messages = without(robot_bag.messages, "/camera/image_raw")
    image = robot_bag.images[0]
    pixels = {
        "bgr8": image[..., ::-1],
        "rgba8": np.dstack([image, np.full((48, 64), 255, np.uint8)]),
        "mono8": image[..., 1],
    }[encoding]
    expected = np.dstack([image[..., 1]] * 3) if encoding == "mono8" else image
    messages.append(("/camera/image_raw", 0.15, ros.image(0.15, pixels, encoding)))
    (frame,) = Bag(write_bag(messages)).frames("all")
    np.testing.assert_array_equal(frame.image, expected)


def test_several_pose_topics_want_a_choice(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    truth = [
        ("/truth", 0.1 * i, ros.odometry(0.1 * i, pose, frame="map"))
        for i, pose in enumerate(reversed(robot_bag.poses))
    ]
    path = write_bag(robot_bag.messages + truth)
    message = error_of(path)
    assert "--pose-topic" in message
    assert "/odom" in message
    assert "/truth" in message
    frame = next(Bag(path, BagTopics(pose="/truth")).frames("all", indices={2}))
    expected = robot_bag.poses[4] @ robot_bag.base_T_camera
    np.testing.assert_allclose(frame.world_T_cam, expected, atol=1e-9)


def test_several_image_topics_want_a_choice(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    camera = Camera(64, 48, 77.0, 77.0, 31.5, 23.5)
    other = [
        ("/rear/image_raw", 0.3, ros.image(0.3, robot_bag.images[0])),
        ("/rear/camera_info", 0.3, ros.info(0.3, camera)),
    ]
    path = write_bag(robot_bag.messages + other)
    assert "--image-topic" in error_of(path)
    (frame,) = Bag(path, BagTopics(image="/rear/image_raw")).frames("all")
    assert frame.camera.fx == 77.0  # the calibration beside the image is its own


@pytest.mark.parametrize(
    ("topics", "role"),
    [
        (BagTopics(image="/nope"), "image"),
        (BagTopics(pose="/camera/image_raw"), "pose"),
        (BagTopics(camera_info="/nope"), "camera_info"),
    ],
)
def test_a_topic_that_is_not_there_lists_those_that_are(
    topics: BagTopics, role: str, robot_bag: Any, write_bag: Any
) -> None:
    message = error_of(write_bag(robot_bag.messages), topics)
    assert f"no {role} topic" in message
    for topic in ("/odom (nav_msgs/msg/Odometry)", "/camera/image_raw", "/tf_static"):
        assert topic in message


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("/camera/image_raw", "no image topic"),
        ("/odom", "no pose topic (Odometry or PoseStamped"),
        ("/camera/camera_info", "no camera_info topic (CameraInfo)"),
    ],
)
def test_a_bag_without_it_lists_its_topics(
    topic: str, words: str, robot_bag: Any, write_bag: Any
) -> None:
    message = error_of(write_bag(without(robot_bag.messages, topic)))
    assert words in message
    assert "/tf_static (tf2_msgs/msg/TFMessage)" in message


def test_images_outside_the_track_are_left_out(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    """Before the first pose, after the last, and in a gap of more than a second."""
    messages = [*robot_bag.messages, ("/odom", 5.0, ros.odometry(5.0, np.eye(4)))]
    messages += [
        ("/camera/image_raw", time, ros.image(time, robot_bag.images[0]))
        for time in (-0.5, 2.0, 5.0, 5.1)
    ]
    stamps = [frame.stamp for frame in Bag(write_bag(messages)).frames("all")]
    assert np.round(np.array(sorted(stamps)) - 1_760_000_000, 3).tolist() == [*robot_bag.times, 5.0]


def test_clocks_that_do_not_meet(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/odom")
    messages += [("/odom", 0.1, ros.odometry(1e6 + i, np.eye(4))) for i in range(3)]
    assert "one clock" in error_of(write_bag(messages))


def test_poses_of_the_camera_need_no_tf(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/odom", "/tf_static")
    messages += [
        ("/pose", 0.1 * i, ros.pose_stamped(0.1 * i, pose))
        for i, pose in enumerate(robot_bag.poses)
    ]
    frame = list(Bag(write_bag(messages)).frames("all"))[2]
    np.testing.assert_allclose(frame.world_T_cam, robot_bag.poses[3], atol=1e-12)


def test_frames_that_nothing_joins(robot_bag: Any, write_bag: Any) -> None:
    message = error_of(write_bag(without(robot_bag.messages, "/tf_static")))
    assert "'base_link'" in message
    assert "'camera'" in message


def test_a_tf_tree_with_a_loop_is_no_endless_loop(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/tf_static")
    loop = ros.transforms(("a", "camera", np.eye(4)), ("camera", "a", np.eye(4)))
    assert "does not join" in error_of(write_bag([("/tf_static", 0.0, loop), *messages]))


def test_static_transforms_in_several_messages(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    first, rest = robot_bag.messages[0][2].transforms, robot_bag.messages[1:]
    apart = [("/tf_static", 0.01 * i, ros.TFMessage([one])) for i, one in enumerate(first)]
    frame = list(Bag(write_bag(apart + rest)).frames("all"))[2]
    expected = robot_bag.poses[3] @ robot_bag.base_T_camera
    np.testing.assert_allclose(frame.world_T_cam, expected, atol=1e-12)


def test_an_unset_quaternion_in_tf_is_named(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = list(robot_bag.messages)
    broken = ros.transforms(("base_link", "lidar", np.eye(4)))
    broken.transforms[0].transform.rotation = ros.Quaternion(0.0, 0.0, 0.0, 0.0)
    messages.insert(1, ("/tf_static", 0.0, broken))
    assert len(list(Bag(write_bag(messages)).frames("all"))) == 5  # nobody needs the lidar


@pytest.mark.parametrize("kind", ["NaN", "unset quaternion"])
def test_poses_that_are_none_are_left_out(
    kind: str, robot_bag: Any, write_bag: Any, ros: Any
) -> None:
    messages = list(robot_bag.messages)
    for topic, _, message in messages:
        if topic == "/odom" and round(message.header.stamp.nanosec / 1e8) == 3:
            if kind == "NaN":
                message.pose.pose.position.x = float("nan")
            else:
                message.pose.pose.orientation = ros.Quaternion(0.0, 0.0, 0.0, 0.0)
    frames = list(Bag(write_bag(messages)).frames("all"))
    assert len(frames) == 5
    assert all(np.isfinite(frame.world_T_cam).all() for frame in frames)
    between = interpolate(robot_bag.poses[2], robot_bag.poses[4], 0.5) @ robot_bag.base_T_camera
    np.testing.assert_allclose(frames[2].world_T_cam, between, atol=1e-6)


def test_a_calibration_of_another_size(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/camera/camera_info")
    messages.append(("/camera/camera_info", 0.0, ros.info(0.0, robot_bag.camera.scaled(128, 96))))
    message = error_of(write_bag(messages))
    assert "64x48" in message
    assert "128x96" in message


def test_an_uncalibrated_camera(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/camera/camera_info")
    info = ros.info(0.0, robot_bag.camera)
    info.k, info.p = np.zeros(9), np.zeros(12)
    path = write_bag([("/camera/camera_info", 0.0, info), *messages])
    with pytest.raises(CameraError, match="not calibrated"):
        Bag(path)


def test_a_calibration_may_change(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/camera/camera_info")
    zoomed = Camera(64, 48, 99.0, 99.0, 31.5, 23.5)
    messages += [
        ("/camera/camera_info", 0.0, ros.info(0.0, robot_bag.camera)),
        ("/camera/camera_info", 0.4, ros.info(0.4, zoomed)),
    ]
    focal = [frame.camera.fx for frame in Bag(write_bag(messages)).frames("all")]
    assert focal == [50.0, 50.0, 50.0, 99.0, 99.0]


def test_a_bag_has_no_other_split(robot_bag: Any, write_bag: Any) -> None:
    with pytest.raises(DatasetError, match="no split 'test'"):
        Bag(write_bag(robot_bag.messages)).count("test")


def test_a_bare_mcap_file(robot_bag: Any, write_bag: Any) -> None:
    (file,) = write_bag(robot_bag.messages).glob("*.mcap")
    dataset = open_dataset(file)
    assert dataset.count("all") == 5


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("kept", [0, 300, 0.5, 0.9])
def test_a_truncated_bag_is_one_line(
    kept: float, storage: str, robot_bag: Any, write_bag: Any
) -> None:
    path = write_bag(robot_bag.messages, storage=storage)
    (file,) = [*path.glob("*.mcap"), *path.glob("*.db3")]
    content = file.read_bytes()
    file.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    assert "walk" in error_of(path)


@pytest.mark.parametrize("content", ["", "{broken: [", "rosbag2_bagfile_information: {}\n"])
def test_damaged_metadata_is_one_line(content: str, robot_bag: Any, write_bag: Any) -> None:
    path = write_bag(robot_bag.messages)
    (path / "metadata.yaml").write_text(content)
    assert "not a readable rosbag2" in error_of(path)


def test_a_storage_file_that_is_missing_is_one_line(robot_bag: Any, write_bag: Any) -> None:
    path = write_bag(robot_bag.messages)
    for file in path.glob("*.mcap"):
        file.unlink()
    assert "not a readable rosbag2" in error_of(path)


def test_an_image_that_cannot_be_decoded(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/camera/image_raw")
    image = ros.image(0.15, robot_bag.images[0])
    image.data = image.data[:100]
    path = write_bag([*messages, ("/camera/image_raw", 0.15, image)])
    assert "cannot be decoded" in error_of(path)


def test_an_encoding_that_nobody_knows(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/camera/image_raw")
    image = ros.image(0.15, robot_bag.images[0], "holo8")
    path = write_bag([*messages, ("/camera/image_raw", 0.15, image)])
    assert "cannot be decoded" in error_of(path)


def test_a_compressed_image_that_is_damaged(robot_bag: Any, write_bag: Any, ros: Any) -> None:
    messages = without(robot_bag.messages, "/camera/image_raw")
    image = ros.compressed(0.15, robot_bag.images[0])
    image.data = image.data[:40]
    path = write_bag([*messages, ("/camera/image_raw/compressed", 0.15, image)])
    assert "cannot be decoded" in error_of(path)
