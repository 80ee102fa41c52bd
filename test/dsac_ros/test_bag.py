# SPDX-License-Identifier: Apache-2.0
"""Bags opened for replay; without ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from dsac_core.data.bag_reader import header_stamp
from dsac_core.errors import DatasetError
from dsac_ros.bag import Bag

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
S = 1_000_000_000


def header(stamp: int, frame: str) -> Any:
    time = TYPES["builtin_interfaces/msg/Time"](sec=stamp // S, nanosec=stamp % S)
    return TYPES["std_msgs/msg/Header"](stamp=time, frame_id=frame)


def transform(x: float) -> Any:
    return TYPES["geometry_msgs/msg/Transform"](
        translation=TYPES["geometry_msgs/msg/Vector3"](x=x, y=0.0, z=0.0),
        rotation=TYPES["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
    )


def pose_stamped(stamp: int, x: float) -> Any:
    return TYPES["geometry_msgs/msg/PoseStamped"](
        header=header(stamp, "map"),
        pose=TYPES["geometry_msgs/msg/Pose"](
            position=TYPES["geometry_msgs/msg/Point"](x=x, y=2.0, z=3.0),
            orientation=TYPES["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=1.0, w=0.0),
        ),
    )


def image(stamp: int) -> Any:
    return TYPES["sensor_msgs/msg/Image"](
        header=header(stamp, "optical"), height=2, width=2, encoding="mono8", is_bigendian=0,
        step=2, data=np.zeros(4, np.uint8),
    )  # fmt: skip


def tf(stamp: int, x: float) -> Any:
    return TYPES["tf2_msgs/msg/TFMessage"](
        transforms=[
            TYPES["geometry_msgs/msg/TransformStamped"](
                header=header(stamp, "odom"), child_frame_id="base", transform=transform(x)
            )
        ]
    )


def write(path: Path, topics: dict[str, list[Any]], storage: StoragePlugin) -> Path:
    with Writer(path, version=9, storage_plugin=storage) as writer:
        for topic, messages in topics.items():
            kind = messages[0].__msgtype__
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for index, message in enumerate(messages):
                writer.write(connection, (index + 1) * S, STORE.serialize_cdr(message, kind))
    return path


@pytest.fixture(params=[StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
def bag_path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    topics = {
        "/camera/image_raw": [image(S + 5), image(2 * S + 5)],
        "/camera/depth/image_raw": [image(S + 5)],
        "/truth": [pose_stamped(S, 1.0), pose_stamped(S + S // 4, 2.0)],
        "/tf": [tf(S, 4.0), tf(2 * S, 5.0)],
    }
    return write(tmp_path / "walk", topics, request.param)


def test_topics_poses_and_transforms(bag_path: Path) -> None:
    with Bag(bag_path) as bag:
        assert bag.colour_topic() == "/camera/image_raw"
        assert bag.types["/truth"] == "geometry_msgs/msg/PoseStamped"
        track = bag.poses("/truth")
        truth = track.world_T_body
        assert truth.stamps == [S, S + S // 4]
        middle = truth.at(S + S // 8)
        assert middle is not None
        assert middle[:3, 3].tolist() == pytest.approx([1.5, 2.0, 3.0])
        assert np.diag(middle).tolist() == pytest.approx([-1, -1, 1, 1])
        assert len(bag.transforms("odom", "base")) == 2
        assert len(bag.transforms("odom", "elsewhere")) == 0
        assert track.body_frame == ""


def test_stamps_are_read_from_the_serialized_message(bag_path: Path) -> None:
    with Bag(bag_path) as bag:
        images = [c for c in bag.connections() if c.topic == "/camera/image_raw"]
        stamps = [header_stamp(raw) for _, _, raw in bag.messages(images)]
    assert stamps == [S + 5, 2 * S + 5]


def test_some_topics_can_be_left_out(bag_path: Path) -> None:
    with Bag(bag_path) as bag:
        assert "/truth" not in {c.topic for c in bag.connections(without=["/truth"])}


def test_a_missing_topic_lists_the_others(bag_path: Path) -> None:
    with Bag(bag_path) as bag, pytest.raises(DatasetError) as caught:
        bag.poses("/ground_truth")
    message = str(caught.value)
    assert "\n" not in message
    for topic in ("/ground_truth", "/camera/image_raw", "/truth", "/tf"):
        assert topic in message


def test_a_topic_without_poses_is_refused(bag_path: Path) -> None:
    with Bag(bag_path) as bag, pytest.raises(DatasetError, match="carries no pose"):
        bag.poses("/camera/image_raw")


def test_the_choice_of_images_must_be_clear(tmp_path: Path) -> None:
    two = write(tmp_path / "two", {"/left": [image(S)], "/right": [image(S)]}, StoragePlugin.MCAP)
    with Bag(two) as bag, pytest.raises(DatasetError, match=r"several image topics.*/left"):
        bag.colour_topic()
    none = write(tmp_path / "none", {"/truth": [pose_stamped(S, 1.0)]}, StoragePlugin.MCAP)
    with Bag(none) as bag, pytest.raises(DatasetError, match="no image topic"):
        bag.colour_topic()


def test_what_is_no_bag(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        Bag(tmp_path / "nowhere")
    (tmp_path / "old.bag").touch()
    with pytest.raises(DatasetError, match="ROS 1"):
        Bag(tmp_path / "old.bag")
    with pytest.raises(DatasetError, match="not a readable rosbag2"):
        Bag(tmp_path).__enter__()


def test_a_truncated_bag(tmp_path: Path) -> None:
    path = write(tmp_path / "cut", {"/truth": [pose_stamped(S, 1.0)] * 100}, StoragePlugin.MCAP)
    file = next(path.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DatasetError, match="not a readable rosbag2"), Bag(path) as bag:
        bag.poses("/truth")
