# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader

from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import from_quaternion, invert
from dsac_core.synthetic import BagOptions, OdometryOptions, write_walk
from dsac_core.synthetic.sensor import SensorOptions

IMAGES = 8
TOPICS = {
    "/camera/image_raw": ("sensor_msgs/msg/Image", IMAGES),
    "/camera/depth/image_raw": ("sensor_msgs/msg/Image", IMAGES),
    "/camera/camera_info": ("sensor_msgs/msg/CameraInfo", IMAGES),
    "/odom": ("nav_msgs/msg/Odometry", 2 * IMAGES),
    "/ground_truth": ("nav_msgs/msg/Odometry", 2 * IMAGES),
    "/tf": ("tf2_msgs/msg/TFMessage", 2 * IMAGES),
    "/tf_static": ("tf2_msgs/msg/TFMessage", 1),
}


def read(path: Path):
    """Messages by topic, each as (time of reception, message)."""
    found = {}
    with AnyReader([path]) as reader:
        for connection, received, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            found.setdefault(connection.topic, []).append((received, message))
    return found


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def pose_of(pose):
    p, q = pose.position, pose.orientation
    return from_quaternion([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])


def transform_of(transform):
    t, q = transform.translation, transform.rotation
    return from_quaternion([t.x, t.y, t.z], [q.x, q.y, q.z, q.w])


@pytest.fixture(scope="module")
def walk(mapping):
    return mapping.part(200, IMAGES)


@pytest.fixture(scope="module")
def bag(tmp_path_factory, room, walk, small):
    return write_walk(tmp_path_factory.mktemp("bags"), room, walk, BagOptions(camera=small))


@pytest.fixture(scope="module")
def content(bag):
    return read(bag)


def test_name_and_files(bag):
    assert bag.name == "office_mapping"
    assert sorted(file.name for file in bag.iterdir()) == ["metadata.yaml", "office_mapping.mcap"]
    assert [entry.name for entry in bag.parent.iterdir()] == ["office_mapping"], "no leftovers"


def test_topics_types_and_counts(bag):
    with Reader(bag) as reader:
        found = {c.topic: (c.msgtype, c.msgcount) for c in reader.connections}
    assert found == TOPICS


def test_static_transforms_are_latched(bag):
    with Reader(bag) as reader:
        durability = {c.topic: c.ext.offered_qos_profiles[0].durability for c in reader.connections}
    assert durability.pop("/tf_static") == QosDurability.TRANSIENT_LOCAL
    assert set(durability.values()) == {QosDurability.VOLATILE}


def test_image_info_and_depth_have_equal_stamps_at_15_hz(content):
    stamps = [
        [stamp(message) for _, message in content[f"/camera/{topic}"]]
        for topic in ("image_raw", "camera_info", "depth/image_raw")
    ]
    assert stamps[0] == stamps[1] == stamps[2]
    np.testing.assert_allclose(np.diff(stamps[0]), 1e9 / 15, atol=2)
    assert set(stamps[0]) <= {stamp(message) for _, message in content["/ground_truth"]}
    assert set(stamps[0]) <= {stamp(message) for _, message in content["/odom"]}


def test_messages_are_received_in_order_and_after_their_stamp(bag, content):
    with Reader(bag) as reader:
        received = [time for _, time, _ in reader.messages()]
    assert received == sorted(received)
    for topic in ("/camera/image_raw", "/odom", "/ground_truth"):
        assert all(0 < received - stamp(message) < 50e6 for received, message in content[topic])


def test_images_and_calibration(content, small):
    _, image = content["/camera/image_raw"][0]
    _, depth = content["/camera/depth/image_raw"][0]
    _, info = content["/camera/camera_info"][0]
    assert (image.encoding, image.width, image.height, image.step) == ("rgb8", 160, 120, 480)
    assert (depth.encoding, depth.width, depth.height, depth.step) == ("16UC1", 160, 120, 320)
    frames = {m.header.frame_id for m in (image, depth, info)}
    assert frames == {"camera_optical_frame"}
    np.testing.assert_allclose(info.k.reshape(3, 3), small.matrix)
    np.testing.assert_allclose(info.p.reshape(3, 4)[:, :3], small.matrix)
    assert info.distortion_model == "plumb_bob"
    assert info.d.tolist() == [0.0] * 5
    metres = depth.data.view(np.uint16).reshape(120, 160) / 1000
    assert 0.6 < np.median(metres[metres > 0]) < 6
    assert image.data.reshape(120, 160, 3).std() > 20


def test_ground_truth_and_extrinsics_give_the_pose_of_the_camera(content, walk):
    static = {t.child_frame_id: t for t in content["/tf_static"][0][1].transforms}
    assert static["camera_link"].header.frame_id == "base_link"
    assert static["camera_optical_frame"].header.frame_id == "camera_link"
    base_T_cam = transform_of(static["camera_link"].transform) @ transform_of(
        static["camera_optical_frame"].transform
    )
    truth = {stamp(m): pose_of(m.pose.pose) for _, m in content["/ground_truth"]}
    for (_, image), world_T_cam in zip(content["/camera/image_raw"], walk.world_T_cam, strict=True):
        np.testing.assert_allclose(truth[stamp(image)] @ base_T_cam, world_T_cam, atol=1e-9)
    message = content["/ground_truth"][0][1]
    assert (message.header.frame_id, message.child_frame_id) == ("map", "base_link")


def test_tf_is_the_odometry_and_both_drift(content, walk):
    moved = []
    for (_, odom), (_, tf), truth in zip(
        content["/odom"], content["/tf"], walk.world_T_base, strict=True
    ):
        assert (odom.header.frame_id, odom.child_frame_id) == ("odom", "base_link")
        (transform,) = tf.transforms
        assert stamp(transform) == stamp(odom)
        assert (transform.header.frame_id, transform.child_frame_id) == ("odom", "base_link")
        pose = pose_of(odom.pose.pose)
        np.testing.assert_allclose(transform_of(transform.transform), pose, atol=1e-12)
        moved.append((invert(walk.world_T_base[0]) @ truth)[:2, 3] - pose[:2, 3])
        covariance = odom.pose.covariance.reshape(6, 6)
        assert (np.linalg.eigvalsh(covariance) > 0).all()
    drift = np.linalg.norm(moved, axis=1)
    assert 0 < drift.max() < 0.1


def test_the_bytes_do_not_depend_on_the_number_of_processes(tmp_path, room, walk, small, content):
    options = BagOptions(camera=small, processes=2)
    again = read(write_walk(tmp_path, room, walk, options))
    for topic in ("/camera/image_raw", "/camera/depth/image_raw"):
        for (_, one), (_, two) in zip(content[topic], again[topic], strict=True):
            np.testing.assert_array_equal(one.data, two.data)


def test_progress_counts_to_the_end(tmp_path, room, walk, small):
    seen = []
    write_walk(
        tmp_path, room, walk.part(0, 3), BagOptions(camera=small), name="short",
        progress=lambda done, count: seen.append((done, count)),
    )  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (tmp_path / "short" / "short.mcap").is_file()


def test_a_whole_recording_is_kept_and_another_one_refused(bag, room, walk, small):
    before = (bag / "metadata.yaml").stat().st_mtime_ns
    write_walk(bag.parent, room, walk, BagOptions(camera=small))
    assert (bag / "metadata.yaml").stat().st_mtime_ns == before
    for other in (
        BagOptions(camera=small, sensor=SensorOptions(read_noise=3.0)),
        BagOptions(camera=small, odometry=OdometryOptions(seed=5)),
    ):
        with pytest.raises(DatasetError, match=r"other settings.*--overwrite"):
            write_walk(bag.parent, room, walk, other)


def test_a_damaged_recording_is_refused_then_overwritten(tmp_path, room, walk, small):
    short = walk.part(0, 1)
    options = BagOptions(camera=small)
    path = write_walk(tmp_path, room, short, options)
    mcap = path / "office_mapping.mcap"
    mcap.write_bytes(mcap.read_bytes()[:-1000])
    with pytest.raises(DatasetError, match="no whole recording"):
        write_walk(tmp_path, room, short, options)
    write_walk(tmp_path, room, short, options, overwrite=True)
    assert len(read(path)["/camera/image_raw"]) == 1


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path, room, walk, small):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="cannot write the recording"):
        write_walk(tmp_path / "file", room, walk.part(0, 1), BagOptions(camera=small))


def test_an_interrupted_recording_leaves_nothing(tmp_path, room, walk, small):
    def stop(done: int, count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_walk(tmp_path, room, walk, BagOptions(camera=small), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_renderer_that_dies_is_one_clear_line(tmp_path, room, walk, small, monkeypatch):
    monkeypatch.setattr("dsac_core.synthetic.frames.sys.executable", "/bin/false")
    with pytest.raises(DatasetError, match="ended early"):
        write_walk(tmp_path, room, walk, BagOptions(camera=small, processes=2))
    assert list(tmp_path.iterdir()) == []
