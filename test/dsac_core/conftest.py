# SPDX-License-Identifier: Apache-2.0
"""Recordings in the documented formats, written by the tests themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from dsac_core.geometry.camera import Camera
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.scene.scene_map import Calibration, SceneMap

TYPES = get_typestore(Stores.ROS2_JAZZY)
STORAGE = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
START = 1_760_000_000_000_000_000  # ns


def _rigid(xyz: Any = (0.0, 0.0, 0.0), rotvec: Any = (0.0, 0.0, 0.0)) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    pose[:3, 3] = xyz
    return pose


@pytest.fixture(scope="session")
def rigid() -> Any:
    """A pose [4 x 4] from a translation and a rotation vector."""
    return _rigid


class RosMessages:
    """Messages by their fields, as rosbags has them; stamps are seconds since START."""

    def __getattr__(self, name: str) -> Any:
        for package in ("sensor_msgs", "geometry_msgs", "nav_msgs", "tf2_msgs", "std_msgs"):
            if f"{package}/msg/{name}" in TYPES.types:
                return TYPES.types[f"{package}/msg/{name}"]
        raise AttributeError(name)

    def header(self, seconds: float, frame: str) -> Any:
        stamp = START + round(seconds * 1e9)
        time = TYPES.types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
        return self.Header(time, frame)

    def image(
        self, seconds: float, pixels: np.ndarray, encoding: str = "rgb8", frame: str = "camera"
    ) -> Any:
        height, width = pixels.shape[:2]
        data = np.frombuffer(pixels.tobytes(), dtype=np.uint8)
        step = len(data) // height
        return self.Image(self.header(seconds, frame), height, width, encoding, 0, step, data)

    def compressed(self, seconds: float, pixels_rgb: np.ndarray, kind: str = "png") -> Any:
        _, data = cv2.imencode(f".{kind}", pixels_rgb[..., ::-1])
        kinds = {"png": "rgb8; png compressed bgr8", "jpg": "rgb8; jpeg compressed bgr8"}
        return self.CompressedImage(self.header(seconds, "camera"), kinds[kind], data.ravel())

    def info(self, seconds: float, camera: Camera) -> Any:
        k = camera.matrix.ravel()
        p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel()
        return self.CameraInfo(
            self.header(seconds, "camera"),
            camera.height,
            camera.width,
            "plumb_bob",
            np.array(camera.distortion or (0.0,) * 5),
            k,
            np.eye(3).ravel(),
            p,
            0,
            0,
            self.RegionOfInterest(0, 0, 0, 0, do_rectify=False),
        )

    def pose(self, a_T_b: np.ndarray) -> Any:
        x, y, z, w = Rotation.from_matrix(a_T_b[:3, :3]).as_quat()
        return self.Pose(self.Point(*a_T_b[:3, 3]), self.Quaternion(x, y, z, w))

    def odometry(
        self, seconds: float, odom_T_base: np.ndarray, frame: str = "odom", child: str = "base_link"
    ) -> Any:
        zero = self.Vector3(0.0, 0.0, 0.0)
        return self.Odometry(
            self.header(seconds, frame),
            child,
            self.PoseWithCovariance(self.pose(odom_T_base), np.zeros(36)),
            self.TwistWithCovariance(self.Twist(zero, zero), np.zeros(36)),
        )

    def pose_stamped(self, seconds: float, map_T_cam: np.ndarray) -> Any:
        return self.PoseStamped(self.header(seconds, "map"), self.pose(map_T_cam))

    def transforms(self, *chain: tuple[str, str, np.ndarray]) -> Any:
        stamped = []
        for parent, child, parent_T_child in chain:
            pose = self.pose(parent_T_child)
            p = pose.position
            transform = self.Transform(self.Vector3(p.x, p.y, p.z), pose.orientation)
            stamped.append(self.TransformStamped(self.header(0.0, parent), child, transform))
        return self.TFMessage(stamped)


@pytest.fixture(scope="session")
def ros() -> RosMessages:
    """Makes ROS messages without ROS."""
    return RosMessages()


@pytest.fixture
def write_bag(tmp_path: Path) -> Any:
    """Writes [(topic, seconds of the log, message)] as a rosbag2 and returns its folder."""

    def write(
        messages: list[tuple[str, float, Any]], name: str = "walk", storage: str = "mcap"
    ) -> Path:
        folder = tmp_path / name
        with Writer(folder, version=9, storage_plugin=STORAGE[storage]) as writer:
            connections: dict[str, Any] = {}
            for topic, seconds, message in messages:
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
                data = TYPES.serialize_cdr(message, kind)
                writer.write(connections[topic], START + round(seconds * 1e9), data)
        return folder

    return write


@pytest.fixture
def robot_bag(ros: RosMessages) -> SimpleNamespace:
    """A small bag as a robot records it: 5 images between 8 odometry poses, a TF chain."""
    rng = np.random.default_rng(0)
    camera = Camera(width=64, height=48, fx=50.0, fy=52.0, cx=31.5, cy=23.5)
    base_T_mount = _rigid([0.2, 0.1, 0.9], [0.0, 0.1, 0.3])
    mount_T_camera = _rigid([0.01, 0.0, 0.02], [-1.2, 1.2, -1.2])
    poses = [_rigid([0.1 * i, 0.02 * i * i, 0.0], [0.0, 0.0, 0.1 * i]) for i in range(8)]
    images = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(5)]
    depth = [rng.integers(500, 4000, (48, 64), dtype=np.uint16) for _ in range(5)]
    times = [0.15, 0.25, 0.3, 0.45, 0.6]  # of the images; odometry is at 0.1 i
    messages: list[tuple[str, float, Any]] = [
        (
            "/tf_static",
            0.0,
            ros.transforms(
                ("base_link", "mount", base_T_mount), ("mount", "camera", mount_T_camera)
            ),
        )
    ]
    messages += [("/odom", 0.1 * i, ros.odometry(0.1 * i, pose)) for i, pose in enumerate(poses)]
    for time, pixels, millimetres in zip(times, images, depth, strict=True):
        messages.append(("/camera/camera_info", time + 0.001, ros.info(time, camera)))
        messages.append(("/camera/image_raw", time + 0.002, ros.image(time, pixels)))
        depth_message = ros.image(time, millimetres, "16UC1")
        messages.append(("/camera/depth/image_raw", time + 0.003, depth_message))
    return SimpleNamespace(
        camera=camera,
        base_T_camera=base_T_mount @ mount_T_camera,
        poses=poses,
        images=images,
        depth=depth,
        times=times,
        messages=messages,
    )


@dataclass
class SevenScenesFolder:
    """A folder in the 7-Scenes layout, with the truth that was written."""

    path: Path
    poses: dict[str, np.ndarray] = field(default_factory=dict)  # world_T_depth
    images: dict[str, np.ndarray] = field(default_factory=dict)  # RGB
    depth: dict[str, np.ndarray] = field(default_factory=dict)  # mm


@pytest.fixture
def seven_scenes(tmp_path: Path) -> SevenScenesFolder:
    """Train: sequences 1 and 3 (2 + 1 frames); test: sequence 12 (1 frame, as JPEG)."""
    rng = np.random.default_rng(1)
    made = SevenScenesFolder(tmp_path / "room")
    made.path.mkdir()
    (made.path / "TrainSplit.txt").write_text("sequence1\nsequence3 \r\n")
    (made.path / "TestSplit.txt").write_text("sequence12\n")
    for sequence, index in (("seq-01", 0), ("seq-01", 5), ("seq-03", 0), ("seq-12", 30)):
        folder = made.path / sequence
        folder.mkdir(exist_ok=True)
        key = f"{sequence}/frame-{index:06d}"
        small = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        image = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC)
        ending = "jpg" if sequence == "seq-12" else "png"
        cv2.imwrite(str(folder / f"frame-{index:06d}.color.{ending}"), image[..., ::-1])
        depth = np.full((480, 640), 2000, dtype=np.uint16)
        depth[:, :100], depth[:100], depth[300:] = 0, 65535, 1500
        cv2.imwrite(str(folder / f"frame-{index:06d}.depth.png"), depth)
        pose = _rigid(rng.normal(size=3), rng.normal(size=3))
        lines = ["\t ".join(f"{value: .7e}" for value in row) + "\t \n" for row in pose]
        (folder / f"frame-{index:06d}.pose.txt").write_text("".join(lines))
        made.poses[key], made.images[key], made.depth[key] = pose, image, depth
    return made


@pytest.fixture
def scene_map() -> SceneMap:
    """A map of nothing in particular, with weights of every kind different from their defaults."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        head = CoordinateHead(HeadConfig())
        head.feature_mean.normal_()
        head.feature_std.uniform_(0.5, 2.0)
        head.centre.copy_(torch.tensor([12.34567, -3.2, 0.1]))
    return SceneMap(
        name="lab",
        frame_id="map",
        regressor=head.eval().requires_grad_(requires_grad=False),
        camera=Camera(
            640, 480, 525.0, 520.0, 319.5, 239.5, "plumb_bob", (0.1, -0.2, 0.0, 0.0, 0.0)
        ),
        bounds=np.array([[-1.0, -2.0, 0.0], [3.0, 4.0, 2.5]]),
        calibration=Calibration(0.05, 0.21, 3.5),
        map_T_scene=_rigid([1.0, 2.0, 3.0], [0.1, 0.2, 0.3]),
        training={"dataset": "walk", "images": 42},
    )
