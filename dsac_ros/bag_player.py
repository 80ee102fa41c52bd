# SPDX-License-Identifier: Apache-2.0
"""Publishes a bag as it was recorded: same topics, stamps, rate and bytes."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from dsac_core.data.bag_reader import header_stamp
from dsac_core.errors import DatasetError
from dsac_ros.replay_records import SentFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rclpy.node import Node
    from rclpy.publisher import Publisher
    from rosbags.interfaces import Connection

    from dsac_ros.bag import Bag

LATCHED = "TRANSIENT_LOCAL"
LATCHED_DEPTH = 100


class BagPlayer:
    """One publisher per recorded topic.

    Args:
        node: Owns the publishers.
        bag: An open bag.
        image_topic: The images to keep account of.
        without: Topics that are not published.
        clock_rate: Hz of /clock; 0 publishes none.

    Raises:
        DatasetError: The bag has a message type that is not installed here.
    """

    def __init__(
        self, node: Node, bag: Bag, image_topic: str, without: Collection[str], clock_rate: float
    ) -> None:
        """Create the publishers."""
        self._node = node
        self._bag = bag
        self._image_topic = image_topic
        self._connections = [
            c for c in bag.connections(without) if not (clock_rate > 0 and c.topic == "/clock")
        ]
        self._publishers: dict[str, Publisher] = {}
        for connection in self._connections:
            if connection.topic not in self._publishers:
                self._publishers[connection.topic] = node.create_publisher(
                    _message_class(connection), connection.topic, _profile(connection)
                )
        self._clock_period = 1.0 / clock_rate if clock_rate > 0 else 0.0
        self._clock = node.create_publisher(Clock, "/clock", 10) if clock_rate > 0 else None

    @property
    def listeners(self) -> int:
        """How many subscribers the images have."""
        return int(self._publishers[self._image_topic].get_subscription_count())

    def publish_clock(self, bag_time: int) -> None:
        """Say what time it is, if that was asked for; nanoseconds."""
        if self._clock is not None:
            self._clock.publish(Clock(clock=Time(nanoseconds=bag_time).to_msg()))

    def publish_latched(self) -> None:
        """Send what late joiners get anyway (/tf_static), so that it is there before the images."""
        latched = [c for c in self._connections if _is_latched(c)]
        for connection, _, serialized in self._bag.messages(latched) if latched else ():
            self._publishers[connection.topic].publish(serialized)

    def play(
        self,
        rate: float,
        on_frame: Callable[[SentFrame], None],
        *,
        start: float = 0.0,
        duration: float | None = None,
    ) -> None:
        """Publish the bag once, ``rate`` times as fast as it was recorded.

        Args:
            rate: 1.0 is the recorded rate.
            on_frame: Told of every image, right before it is sent.
            start: Seconds of the bag to skip.
            duration: Seconds of the bag to play; None plays to its end.
        """
        first = self._bag.start + int(start * 1e9)
        stop = None if duration is None else first + int(duration * 1e9)
        began = time.monotonic()
        next_clock = began
        chosen = [c for c in self._connections if not _is_latched(c)]
        for connection, recorded, serialized in self._bag.messages(chosen, first, stop):
            due = began + (recorded - first) / 1e9 / rate
            now = time.monotonic()
            while now < due:
                if self._clock is not None and now >= next_clock:
                    self.publish_clock(first + int((now - began) * rate * 1e9))
                    next_clock = now + self._clock_period
                wake = min(due, next_clock) if self._clock is not None else due
                time.sleep(max(0.0, wake - now))
                now = time.monotonic()
            if not self._node.context.ok():
                return
            if connection.topic == self._image_topic:
                on_frame(SentFrame(header_stamp(serialized), time.monotonic()))
            self._publishers[connection.topic].publish(serialized)


def _message_class(connection: Connection) -> Any:
    package, _, name = connection.msgtype.split("/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        msg = (
            f"the bag's topic {connection.topic} has type {connection.msgtype}, which is not"
            " installed: install it, or leave the topic out"
        )
        raise DatasetError(msg) from error


def _is_latched(connection: Connection) -> bool:
    profiles = getattr(connection.ext, "offered_qos_profiles", [])
    if not profiles:
        return connection.topic.endswith("/tf_static")
    return any(profile.durability.name == LATCHED for profile in profiles)


def _profile(connection: Connection) -> QoSProfile:
    """As it was recorded; reliable where that is not known, which suits every subscriber."""
    profiles = getattr(connection.ext, "offered_qos_profiles", [])
    best_effort = bool(profiles) and all(p.reliability.name == "BEST_EFFORT" for p in profiles)
    latched = _is_latched(connection)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=LATCHED_DEPTH if latched else 10,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
