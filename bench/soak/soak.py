# SPDX-License-Identifier: Apache-2.0
"""Feeds a running node under one fault after the other; the oracle judges the answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from dsac_ros.msg import RelocalizationStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from bench.soak.robot import Robot, World, nanoseconds_of
from bench.soak.vitals import Vitals, sample
from dsac_core.geometry.pose import from_quaternion
from dsac_ros.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.soak.oracle import Oracle

PATIENCE = 30.0  # s until the node must be LOCALIZED again, or must have answered
CALM = 1.0  # s between faults
TICK = 0.004  # s between looks for what is due
SAMPLE_PERIOD = 1.0  # s
STALL = 0.5  # s; the machine was busy elsewhere


class NodeEndedError(Exception):
    """The process is not there any more."""


@dataclass
class Soak:
    """What the faults have in hand.

    Args:
        robot: Feeds the node.
        oracle: Judges it.
        pid: Process of the node.
        scene: Folder of the scene map that the node was started with.
        rng: For all that is random.
    """

    robot: Robot
    oracle: Oracle
    pid: int
    scene: Path
    rng: np.random.Generator
    vitals: Vitals = field(default_factory=Vitals)
    stalls: float = 0.0  # s that the machine did not let this process run
    recoveries: list[float] = field(default_factory=list)  # s
    last_status: Any = None

    def __post_init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._next_sample = self._time_of_status = 0.0
        self.robot.on_sent, self.robot.on_moved = self.oracle.sent, self.oracle.moved

    @property
    def world(self) -> World:
        return self.robot.world

    def calm(self) -> None:
        """The fault is over: good images again, and the node must find itself."""
        self.robot.world = World()
        self.must_localize()
        self.drive(CALM)

    def drive(self, seconds: float) -> None:
        """Let the robot go on."""
        end = time.monotonic() + seconds
        self.drive_until(lambda: time.monotonic() >= end, seconds + PATIENCE)

    def drive_until(self, done: Callable[[], bool], limit: float = PATIENCE) -> bool:
        """The same until something has happened; False where that took too long."""
        end = time.monotonic() + limit
        before = time.monotonic()
        while not done():
            now = time.monotonic()
            self.stalls += now - before if now - before > STALL else 0.0
            before = now
            if now > end:
                return False
            self.robot.step()
            self._listen()
            if now >= self._next_sample:
                self._next_sample = now + SAMPLE_PERIOD
                self._take_sample(now)
            time.sleep(TICK)
        self._listen()
        return True

    def blind(self, seconds: float) -> None:
        """Nothing good is sent; where that takes long, the node must be LOST."""
        accepted = self.oracle.last_accept
        began = time.monotonic()
        self.drive(seconds)
        if self.oracle.last_accept > max(accepted, began + self.oracle.margin):
            self.oracle.violate("a fix although nothing can be seen")
        images = time.monotonic() - self._time_of_status < 1.0
        long = seconds > self.oracle.lost_after + self.oracle.margin
        if long and images and self.oracle.state is State.LOCALIZED:
            self.oracle.violate("LOCALIZED although blind")

    def must_localize(self, limit: float = PATIENCE) -> None:
        """The next images must be localized, sooner or later."""
        began = time.monotonic()
        if self.drive_until(lambda: self.oracle.last_accept > began, limit):
            self.recoveries.append(time.monotonic() - began)
        else:
            why = self.last_status.reason if self.last_status else "no status"
            self.oracle.violate(f"not localized within {limit:g} s: {why}")

    def must_start_over(self) -> None:
        """Some image must be SEARCHING before the node is LOCALIZED again."""
        began = self.oracle.counts["images SEARCHING"]
        self.oracle.forget(time.monotonic())
        if not self.drive_until(lambda: self.oracle.counts["images SEARCHING"] > began):
            self.oracle.violate(f"does not start over within {PATIENCE:g} s")

    def call(self, kind: Any, name: str, **request: Any) -> Any:
        """Call a service while images flow; None where no answer comes."""
        if name not in self._clients:
            self._clients[name] = self.robot.node.create_client(kind, f"relocalizer/{name}")
            self.drive_until(self._clients[name].service_is_ready)
        future = self._clients[name].call_async(kind.Request(**request))
        if not self.drive_until(future.done):
            self.oracle.violate(f"no answer of {name} within {PATIENCE:g} s")
            return None
        return future.result()

    def set_parameter(self, name: str, value: object) -> bool:
        """Whether the node takes the value."""
        message: ParameterMessage = Parameter(name, value=value).to_parameter_msg()
        answer = self.call(SetParameters, "set_parameters", parameters=[message])
        return bool(answer and answer.results and answer.results[0].successful)

    def _take_sample(self, now: float) -> None:
        try:
            self.vitals.samples.append(sample(self.pid, now))
        except (OSError, KeyError) as error:
            msg = f"{self.oracle.fault}: the node has ended"
            raise NodeEndedError(msg) from error

    def _listen(self) -> None:
        while not self.robot.events.empty():
            now, message = self.robot.events.get()
            if isinstance(message, RelocalizationStatus):
                self.last_status, self._time_of_status = message, now
                stamp, state = nanoseconds_of(message.header.stamp), State(message.state)
                self.oracle.counts["images without depth"] += "without depth" in message.reason
                self.oracle.on_status(stamp, state, message.localized, message.latency, now)
            elif isinstance(message, PoseWithCovarianceStamped):
                covariance = np.array(message.pose.covariance).reshape(6, 6)
                stamp = nanoseconds_of(message.header.stamp)
                self.oracle.on_pose(stamp, _pose(message.pose.pose), covariance, now)
            else:
                for each in message.transforms:
                    if each.header.frame_id == "map":
                        self.oracle.on_transform(_transform(each.transform), now)
        self.oracle.judge(time.monotonic())


def _pose(pose: Any) -> np.ndarray:
    return _matrix(pose.position, pose.orientation)


def _transform(transform: Any) -> np.ndarray:
    return _matrix(transform.translation, transform.rotation)


def _matrix(at: Any, turn: Any) -> np.ndarray:
    """4 x 4; all NaN where it is no pose."""
    try:
        return from_quaternion([at.x, at.y, at.z], [turn.x, turn.y, turn.z, turn.w])
    except ValueError:
        return np.full((4, 4), np.nan)
