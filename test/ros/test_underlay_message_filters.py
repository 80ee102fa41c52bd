# SPDX-License-Identifier: Apache-2.0
"""What our node relies on in message_filters: true of the real one and of the stand-in alike."""

from __future__ import annotations

import time as wall
from collections.abc import Callable

import pytest
import rclpy
from message_filters import (
    ApproximateTimeSynchronizer,
    SimpleFilter,
    Subscriber,
    TimeSynchronizer,
)
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import String

Match = tuple[int, ...]


def stamped(milliseconds: int) -> CameraInfo:
    message = CameraInfo()
    message.header.stamp = Time(nanoseconds=milliseconds * 10**6).to_msg()
    return message


def milliseconds(message: CameraInfo) -> int:
    return Time.from_msg(message.header.stamp).nanoseconds // 10**6


class Bench:
    """Filters that are fed by hand, a synchronizer behind them, and what came out."""

    def __init__(self, inputs: int, make: Callable[[list[SimpleFilter]], SimpleFilter]) -> None:
        self.inputs = [SimpleFilter() for _ in range(inputs)]
        self.matches: list[Match] = []
        self.synchronizer = make(self.inputs)
        self.synchronizer.registerCallback(
            lambda *messages: self.matches.append(tuple(map(milliseconds, messages)))
        )

    def feed(self, *events: tuple[int, int]) -> list[Match]:
        for index, stamp in events:
            self.inputs[index].signalMessage(stamped(stamp))
        return self.matches


def test_filter_passes_its_arguments_on() -> None:
    source, seen = SimpleFilter(), []
    source.registerCallback(lambda *all_of_it: seen.append(all_of_it), "extra", 2)
    source.signalMessage("message")
    assert seen == [("message", "extra", 2)]


class TestTimeSynchronizer:
    def exact(self, inputs: int = 2, queue_size: int = 10) -> Bench:
        return Bench(inputs, lambda fs: TimeSynchronizer(fs, queue_size))

    def test_equal_stamps_match_in_any_order(self) -> None:
        assert self.exact().feed((0, 10), (1, 20), (0, 20), (1, 10)) == [(20, 20), (10, 10)]

    def test_near_is_not_equal(self) -> None:
        assert self.exact().feed((0, 10), (1, 11)) == []

    def test_all_inputs_are_needed(self) -> None:
        bench = self.exact(inputs=3)
        assert bench.feed((0, 10), (1, 10)) == []
        assert bench.feed((2, 10)) == [(10, 10, 10)]

    def test_a_match_comes_once(self) -> None:
        assert self.exact().feed((0, 10), (1, 10), (1, 10)) == [(10, 10)]

    def test_the_oldest_is_dropped_from_a_full_queue(self) -> None:
        bench = self.exact(queue_size=2)
        assert bench.feed((0, 10), (0, 20), (0, 30), (1, 10), (1, 20)) == [(20, 20)]


class TestApproximateTimeSynchronizer:
    def close(self, inputs: int = 2, queue_size: int = 10, slop: float = 0.05) -> Bench:
        return Bench(inputs, lambda fs: ApproximateTimeSynchronizer(fs, queue_size, slop))

    def test_within_slop(self) -> None:
        assert self.close().feed((0, 100), (1, 130)) == [(100, 130)]

    def test_beyond_slop(self) -> None:
        assert self.close().feed((0, 100), (1, 160)) == []

    def test_messages_stay_in_the_order_of_the_inputs(self) -> None:
        assert self.close(inputs=3).feed((2, 100), (0, 110), (1, 120)) == [(110, 120, 100)]

    def test_the_nearest_is_taken(self) -> None:
        assert self.close().feed((0, 60), (0, 90), (1, 100)) == [(90, 100)]

    def test_the_spread_counts_not_the_distance_to_the_newest(self) -> None:
        # 80 and 130 are both near 100, but 50 ms is not less than the slop.
        assert self.close(inputs=3).feed((0, 80), (1, 130), (2, 100)) == []

    def test_used_messages_are_gone(self) -> None:
        bench = self.close()
        assert bench.feed((0, 100), (1, 100), (1, 110)) == [(100, 100)]
        assert bench.feed((0, 120)) == [(100, 100), (120, 110)]

    def test_without_a_header_is_ignored(self) -> None:
        bench = self.close()
        bench.inputs[0].signalMessage(String())
        assert bench.feed((0, 100), (1, 100)) == [(100, 100)]


def test_subscribers_feed_a_synchronizer_over_dds() -> None:
    context = Context()
    rclpy.init(context=context)
    try:
        node = Node("synchronized", context=context)
        subscribers = [
            Subscriber(node, CameraInfo, "left", qos_profile=qos_profile_sensor_data),
            Subscriber(node, CameraInfo, "right"),
        ]
        assert [subscriber.getTopic() for subscriber in subscribers] == ["left", "right"]
        matches: list[Match] = []
        TimeSynchronizer(subscribers, 10).registerCallback(
            lambda *messages: matches.append(tuple(map(milliseconds, messages)))
        )
        publishers = [node.create_publisher(CameraInfo, topic, 10) for topic in ("left", "right")]
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        deadline = wall.monotonic() + 20.0
        while not matches:
            assert wall.monotonic() < deadline, "nothing came in 20 s"
            for publisher in publishers:
                publisher.publish(stamped(1000))
            executor.spin_once(timeout_sec=0.05)
        assert matches[0] == pytest.approx((1000, 1000))
        executor.shutdown()
    finally:
        rclpy.shutdown(context=context)
