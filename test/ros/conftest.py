# SPDX-License-Identifier: Apache-2.0
"""A real node in a process of its own, and a robot that feeds it over real DDS.

The robot stands in a corner of the synthetic office, of which a map is trained once per session.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "config" / "fastdds.xml"
# Before rclpy is imported: Fast DDS 2 and 3 know the file by different names.
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(PROFILE)
os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = str(PROFILE)
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

SCENE = "corner"
FIRST_IMAGE, IMAGES = 140, 50  # of the mapping walk: along one wall, looking at it
ITERATIONS = 300
MAPPING_LIMIT = 240  # s, far above what it takes
PATIENCE = 30.0  # s to wait for what should come at once
ATTEMPTS = 5  # at a service in that time


@dataclass(frozen=True)
class Place:
    """A piece of the office, the walk through it, and the camera."""

    room: Any
    walk: Any
    camera: Any

    def view(self, map_T_base: np.ndarray) -> np.ndarray:
        """What the camera sees, uint8 H x W x 3."""
        from dsac_core.synthetic import render_view

        return render_view(self.room, self.camera, map_T_base @ self.walk.base_T_cam)[0]

    @property
    def between(self) -> np.ndarray:
        """Poses of the base [N x 4 x 4] halfway between those of the mapped images."""
        return np.asarray(self.walk.world_T_base[1::2])


def _place(seed: int) -> Place:
    from dsac_core.synthetic import CAMERA, office, walk_poses

    room = office(seed=seed)
    walk = walk_poses("mapping", room.options).part(FIRST_IMAGE, IMAGES)
    return Place(room, walk, CAMERA.scaled(320, 240))


@pytest.fixture(scope="session")
def place() -> Place:
    return _place(seed=0)


@pytest.fixture(scope="session")
def another_place() -> Place:
    return _place(seed=7)


@pytest.fixture(scope="session")
def walk_bag(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The walk as a rosbag2, as a robot would have recorded it."""
    from dsac_core.synthetic import BagOptions, write_walk

    folder = tmp_path_factory.mktemp("bags")
    return Path(
        write_walk(folder, place.room, place.walk, BagOptions(camera=place.camera), name="walk")
    )


@pytest.fixture(scope="session")
def scenes(map_walk: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for $DSAC_SCENES with a map of the place.

    $DSAC_TEST_SCENES may name one from before, to try a single test again without the training.
    """
    if "DSAC_TEST_SCENES" in os.environ:
        return Path(os.environ["DSAC_TEST_SCENES"])
    folder = tmp_path_factory.mktemp("scenes")
    map_walk(folder / SCENE, use_depth=False)
    return folder


@pytest.fixture(scope="session")
def map_walk(walk_bag: Path) -> Callable[..., None]:
    """Maps the place into a folder, with or without ``use_depth``."""
    import torch

    from dsac_core.data.bag import BagTopics
    from dsac_core.data.open_dataset import choose_split, open_dataset
    from dsac_core.networks.coordinate_head import HeadConfig
    from dsac_core.training.fast_map import map_scene
    from dsac_core.training.fast_map_config import FastMapConfig

    def map_into(folder: Path, *, use_depth: bool) -> None:
        # A small head on small batches learns a corner in seconds, on one busy core too.
        config = FastMapConfig(
            budget_seconds=MAPPING_LIMIT,
            iterations=ITERATIONS,
            batch_size=512,
            warmup_iterations=20,
            head=HeadConfig(width=128),
            use_depth=use_depth,
        )
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        dataset = open_dataset(walk_bag, BagTopics(pose="/ground_truth"))
        split = choose_split(dataset, "train")
        map_scene(dataset, split, config, name=SCENE, frame_id="map").save(folder)
        torch.set_num_threads(threads)

    return map_into


class RunningNode:
    """`relocalize` in a process group of its own."""

    def __init__(
        self,
        scenes: Path,
        log: Path,
        arguments: tuple[str, ...],
        program: tuple[str, ...] = ("-m", "dsac_ros.relocalizer_node"),
    ) -> None:
        self._log = log
        self._file = log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, *program, "--ros-args", *arguments],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            # A home of the test's own: there a node keeps its last pose.
            env={**os.environ, "DSAC_SCENES": str(scenes), "HOME": str(log.parent)},
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal to the group; the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        try:
            return self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            pytest.fail(f"the node does not end on {signal.Signals(number).name}: {self.output}")
        finally:
            self._file.close()


StartNode = Callable[..., RunningNode]


def _starter(scenes: Path, folder: Path, *program: str) -> Iterator[StartNode]:
    nodes: list[RunningNode] = []

    def start(*arguments: str, ready: bool = True) -> RunningNode:
        log = folder / f"node_{len(nodes)}.log"
        node = RunningNode(scenes, log, arguments, *([program] if program else []))
        nodes.append(node)
        if ready:
            node.wait_for("images from")
        return node

    yield start
    for node in nodes:
        node.stop()


@pytest.fixture
def start_node(scenes: Path, tmp_path: Path) -> Iterator[StartNode]:
    """Starts nodes with parameters; they end with the test."""
    yield from _starter(scenes, tmp_path)


@pytest.fixture
def start_node_without_map(tmp_path: Path) -> Iterator[StartNode]:
    """The same where no scene map is needed."""
    yield from _starter(tmp_path / "no scenes here", tmp_path)


@pytest.fixture
def start_stub(tmp_path: Path) -> Iterator[StartNode]:
    """The node with scenes that need no map: see stub_node."""
    program = ROOT / "test" / "helpers" / "stub_node.py"
    yield from _starter(tmp_path / "no scenes here", tmp_path, str(program))


@pytest.fixture(scope="session")
def ros() -> Iterator[None]:
    """rclpy in the test's own process."""
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()


class Robot:
    """Publishes what a robot publishes, and keeps what the relocalizer answers."""

    def __init__(self, namespace: str = "", image_topic: str = "image") -> None:
        from dsac_ros.msg import RelocalizationStatus
        from geometry_msgs.msg import PoseWithCovarianceStamped
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image
        from tf2_msgs.msg import TFMessage

        self.node = Node("robot", namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        publisher, subscription = self.node.create_publisher, self.node.create_subscription
        self.image = publisher(Image, image_topic, 5)
        self.compressed = publisher(CompressedImage, f"{image_topic}/compressed", 5)
        self.info = publisher(CameraInfo, "camera_info", 5)
        self._tf = publisher(TFMessage, "/tf", 100)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._tf_static = publisher(TFMessage, "/tf_static", latched)
        self.poses: list[Any] = []
        self.statuses: list[Any] = []
        self.transforms: list[Any] = []
        subscription(PoseWithCovarianceStamped, "relocalizer/pose", self.poses.append, 50)
        subscription(RelocalizationStatus, "relocalizer/status", self.statuses.append, 50)
        subscription(TFMessage, "/tf", self._on_tf, 100)
        self._stamp = 0

    def _on_tf(self, message: Any) -> None:
        self.transforms += [t for t in message.transforms if t.header.frame_id == "map"]

    def close(self) -> None:
        self._executor.remove_node(self.node)
        self.node.destroy_node()

    def spin(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        assert self._spin_until(condition, PATIENCE), f"waited {PATIENCE} s for {what}"

    def _spin_until(self, condition: Callable[[], bool], limit: float) -> bool:
        """Whether it came true; a condition may have a part in that, and is asked no more then."""
        deadline = time.monotonic() + limit
        while not condition():
            if time.monotonic() >= deadline:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """The answer of one of the relocalizer's services.

        Asked again after a while: a node that has only just been found may not have found the
        client, and then its answer is lost.
        """
        client = self.node.create_client(kind, f"relocalizer/{name}")
        self.wait(client.service_is_ready, name)
        for _ in range(ATTEMPTS):
            future = client.call_async(request)
            if self._spin_until(future.done, PATIENCE / ATTEMPTS):
                return future.result()
        pytest.fail(f"no answer of {name} in {PATIENCE} s")

    def connect(self, *, compressed: bool = False) -> None:
        """Wait until both sides see each other."""
        publisher = self.compressed if compressed else self.image
        self.wait(lambda: publisher.get_subscription_count() > 0, "a subscriber of the images")
        self.wait(lambda: self.info.get_subscription_count() > 0, "a subscriber of camera_info")
        self.wait(lambda: self.node.count_publishers("relocalizer/status") > 0, "~/status")
        self.spin(0.5)

    def send_static(self, base_T_cam: np.ndarray) -> None:
        from tf2_msgs.msg import TFMessage

        from dsac_ros.messages import transform_message

        self._tf_static.publish(
            TFMessage(transforms=[transform_message(base_T_cam, "base", "optical", 1)])
        )

    def send_odometry(self, odom_T_base: np.ndarray, stamp: int) -> None:
        from tf2_msgs.msg import TFMessage

        from dsac_ros.messages import transform_message

        self._tf.publish(
            TFMessage(transforms=[transform_message(odom_T_base, "odom", "base", stamp)])
        )

    def send_info(self, camera: Any, stamp: int, *, calibrated: bool = True) -> None:
        from sensor_msgs.msg import CameraInfo

        info = CameraInfo(width=camera.width, height=camera.height)
        info.header.frame_id = "optical"
        info.header.stamp = self._time(stamp)
        if calibrated:
            info.distortion_model = "plumb_bob"
            info.d = [0.0] * 5
            info.k = [float(value) for value in camera.matrix.reshape(-1)]
        self.info.publish(info)

    def send_image(
        self, image: np.ndarray, stamp: int, *, compressed: bool = False, frame_id: str = "optical"
    ) -> None:
        from sensor_msgs.msg import CompressedImage, Image

        if compressed:
            import cv2

            encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            small = CompressedImage(format="rgb8; jpeg compressed bgr8")
            small.header.frame_id, small.header.stamp = "optical", self._time(stamp)
            small.data = encoded.tobytes()
            self.compressed.publish(small)
            return
        message = Image(height=image.shape[0], width=image.shape[1], encoding="rgb8")
        message.step = 3 * image.shape[1]
        message.header.frame_id, message.header.stamp = frame_id, self._time(stamp)
        message.data = image.tobytes()
        self.image.publish(message)

    def see(
        self,
        place: Place,
        map_T_base: np.ndarray,
        *,
        odom_T_map: np.ndarray | None = None,
        stamp: int | None = None,
        compressed: bool = False,
    ) -> Any:
        """Send everything that belongs to one image, and wait for its status."""
        self._stamp = max(time.time_ns(), self._stamp + 1) if stamp is None else stamp
        stamp = self._stamp
        if odom_T_map is not None:
            self.send_odometry(odom_T_map @ map_T_base, stamp)
        self.send_info(place.camera, stamp)
        self.spin(0.03)  # topics are not ordered among each other
        self.send_image(place.view(map_T_base), stamp, compressed=compressed)
        return self.status_of(stamp)

    def status_of(self, stamp: int) -> Any:
        """The status of one image; the pose, if any, has come by then."""

        def found() -> list[Any]:
            return [s for s in self.statuses if nanoseconds(s.header.stamp) == stamp]

        self.wait(lambda: bool(found()), "the status of an image")
        self.spin(0.05)
        return found()[-1]

    @staticmethod
    def _time(stamp: int) -> Any:
        from dsac_ros.messages import time_message

        return time_message(stamp)


def nanoseconds(stamp: Any) -> int:
    return int(stamp.sec * 10**9 + stamp.nanosec)


@pytest.fixture
def make_robot(ros: None) -> Iterator[Callable[..., Robot]]:
    robots: list[Robot] = []

    def make(**options: Any) -> Robot:
        robots.append(Robot(**options))
        return robots[-1]

    yield make
    for robot in robots:
        robot.close()


@pytest.fixture
def robot(make_robot: Callable[..., Robot]) -> Robot:
    return make_robot()
