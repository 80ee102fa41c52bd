# SPDX-License-Identifier: Apache-2.0
"""A robot that walks to and fro before its camera, and keeps what the relocalizer answers."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from dsac_ros.msg import RelocalizationStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from dsac_ros.messages import time_message, transform_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsac_core.geometry.camera import Camera

NANOSECONDS = 1_000_000_000
RATE = 15.0  # Hz
DRIFT_METRES, DRIFT_RADIANS = 0.001, 0.0005  # of the odometry, per image
CLOCK_PERIOD = 0.02  # s


@dataclass(frozen=True)
class Views:
    """Images along a walk, and where they were taken."""

    images: list[np.ndarray]  # uint8 H x W x 3
    map_T_base: np.ndarray  # [N x 4 x 4]
    mapped: bool = True  # else no pose of them is right
    depths: list[np.ndarray] = field(default_factory=list)  # uint16 H x W, mm; none: colour only


@dataclass
class World:
    """What the robot sends; a fault changes it."""

    camera: bool = True
    calibration: Callable[[CameraInfo], CameraInfo | None] = lambda info: info
    scale: float = 1.0  # of the images and of their calibration
    elsewhere: bool = False  # images of another place
    odometry: bool = True
    odometry_delay: float = 0.0  # s after the image
    # An image message as the robot would send it -> those that are sent instead, and whether a
    # pose of each may come.
    images: Callable[[Image], list[tuple[Image, bool]]] = lambda image: [(image, True)]
    depth: Callable[[Image], Image | None] = lambda depth: depth
    depth_delay: float = 0.0  # s after the image


@dataclass
class Robot:
    """Publishes in the thread that calls ``step``; what comes back waits in ``events``."""

    here: Views
    elsewhere: Views
    base_T_cam: np.ndarray
    lens: Camera
    rng: np.random.Generator
    sim_time: bool = False
    world: World = field(default_factory=World)
    offset: float = 0.0  # s, of the robot's clock to the true one
    events: SimpleQueue[tuple[float, Any]] = field(default_factory=SimpleQueue)
    on_sent: Callable[[int, np.ndarray | None], None] = lambda _stamp, _pose: None
    on_moved: Callable[[np.ndarray, np.ndarray], None] = lambda _base, _odom: None

    def __post_init__(self) -> None:
        self.node = Node("soak_robot")
        publisher = self.node.create_publisher
        self._image = publisher(Image, "image", 5)
        self._info = publisher(CameraInfo, "camera_info", 5)
        self._depth = publisher(Image, "depth", 5)
        self._tf = publisher(TFMessage, "/tf", 100)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._tf_static = publisher(TFMessage, "/tf_static", latched)
        self._clock = publisher(Clock, "/clock", 10) if self.sim_time else None
        for kind, topic in (
            (PoseWithCovarianceStamped, "relocalizer/pose"),
            (RelocalizationStatus, "relocalizer/status"),
            (TFMessage, "/tf"),
        ):
            self.node.create_subscription(kind, topic, self._keep, 200)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        self.position = 0  # along the walk to and fro
        self._odom_T_map = np.eye(4)
        self._delayed: list[tuple[float, int, Any, Any]] = []  # when, which, publisher, message
        self._number = itertools.count()
        self._next_image = self._next_clock = 0.0

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()

    def send_static(self) -> None:
        transform = transform_message(self.base_T_cam, "base", "optical", 1)
        self._tf_static.publish(TFMessage(transforms=[transform]))

    def jump_odometry(self) -> None:
        """From now on the odometry says something else, as after a start of its node."""
        self._shift(self.rng.uniform(-3.0, 3.0, 2), self.rng.uniform(-3.0, 3.0))

    def carry_away(self) -> None:
        """The robot is put down elsewhere along the walk; the odometry does not notice."""
        before = self._pose()
        self.position += len(self.here.images) // 2
        self._odom_T_map = self._odom_T_map @ before @ np.linalg.inv(self._pose())

    def stamp(self) -> int:
        """The robot's time, ns."""
        return time.time_ns() + int(self.offset * NANOSECONDS)

    def step(self) -> None:
        """Send what is due."""
        now = time.monotonic()
        if self._clock is not None and now >= self._next_clock:
            self._next_clock = now + CLOCK_PERIOD
            self._clock.publish(Clock(clock=time_message(self.stamp())))
        while self._delayed and self._delayed[0][0] <= now:
            _, _, publisher, message = heapq.heappop(self._delayed)
            publisher.publish(message)
        if now >= self._next_image:
            self._next_image = max(self._next_image + 1.0 / RATE, now)
            self._send(now)

    def _send(self, now: float) -> None:
        world, stamp = self.world, self.stamp()
        self.position += 1
        self._shift(
            self.rng.normal(0.0, DRIFT_METRES, 2), float(self.rng.normal(0.0, DRIFT_RADIANS))
        )
        map_T_base, odom_T_base = self._pose(), self._odom_T_map @ self._pose()
        self.on_moved(map_T_base, odom_T_base)
        if world.odometry:
            transform = transform_message(odom_T_base, "odom", "base", stamp)
            self._publish_at(
                now + world.odometry_delay, self._tf, TFMessage(transforms=[transform])
            )
        lens = self.lens.scaled(
            round(world.scale * self.lens.width), round(world.scale * self.lens.height)
        )
        info = world.calibration(calibration(lens, stamp))
        if info is not None:
            self._info.publish(info)
        if not world.camera:
            return
        views = self.elsewhere if world.elsewhere else self.here
        index = _to_and_fro(self.position, len(views.images))
        image = views.images[index]
        if world.scale != 1.0:
            image = cv2.resize(image, (lens.width, lens.height), interpolation=cv2.INTER_LINEAR)
        for message, good in world.images(image_message(image, stamp)):
            truth = map_T_base if views.mapped and good else None
            self.on_sent(nanoseconds_of(message.header.stamp), truth)
            self._image.publish(message)
        if views.depths:
            depth = world.depth(depth_message(views.depths[index], stamp))
            if depth is not None:
                self._publish_at(now + world.depth_delay, self._depth, depth)

    def _publish_at(self, due: float, publisher: Any, message: Any) -> None:
        heapq.heappush(self._delayed, (due, next(self._number), publisher, message))

    def _pose(self) -> np.ndarray:
        poses = self.here.map_T_base
        return np.asarray(poses[_to_and_fro(self.position, len(poses))])

    def _shift(self, metres: np.ndarray, radians: float) -> None:
        shift = np.eye(4)
        shift[:2, 3] = metres
        shift[:3, :3] = Rotation.from_rotvec([0.0, 0.0, radians]).as_matrix()
        # About the robot: a turn about a far origin would be a jump.
        pose = self._pose()
        self._odom_T_map = self._odom_T_map @ pose @ shift @ np.linalg.inv(pose)

    def _keep(self, message: Any) -> None:
        self.events.put((time.monotonic(), message))


def image_message(image: np.ndarray, stamp: int) -> Image:
    """uint8 H x W x 3, as rgb8."""
    return _pixels_message(image, "rgb8", stamp)


def depth_message(depth: np.ndarray, stamp: int) -> Image:
    """uint16 H x W in millimetres, as 16UC1."""
    return _pixels_message(depth, "16UC1", stamp)


def nanoseconds_of(stamp: Any) -> int:
    return int(stamp.sec * NANOSECONDS + stamp.nanosec)


def _pixels_message(pixels: np.ndarray, encoding: str, stamp: int) -> Image:
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.step = pixels.strides[0]
    message.header.frame_id, message.header.stamp = "optical", time_message(stamp)
    message.data = pixels.tobytes()
    return message


def calibration(lens: Camera, stamp: int) -> CameraInfo:
    info = CameraInfo(width=lens.width, height=lens.height, distortion_model="plumb_bob")
    info.header.frame_id, info.header.stamp = "optical", time_message(stamp)
    info.d = [0.0] * 5
    info.k = [float(value) for value in lens.matrix.reshape(-1)]
    return info


def _to_and_fro(position: int, count: int) -> int:
    there = position % (2 * count - 2)
    return there if there < count else 2 * count - 2 - there
