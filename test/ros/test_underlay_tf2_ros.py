# SPDX-License-Identifier: Apache-2.0
"""What our node relies on in tf2_ros: true of the real one and of the stand-in alike."""

from __future__ import annotations

import math
import threading
import time as wall
from collections.abc import Callable, Iterator

import pytest
import rclpy
import tf2_ros
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from tf2_ros import Buffer

Xyz = tuple[float, float, float]


def transform(
    parent: str, child: str, seconds: float, xyz: Xyz = (0.0, 0.0, 0.0), yaw: float = 0.0
) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id = parent
    message.header.stamp = Time(nanoseconds=round(seconds * 1e9)).to_msg()
    message.child_frame_id = child
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = xyz
    rotation.z, rotation.w = math.sin(yaw / 2), math.cos(yaw / 2)
    return message


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


def xyz(message: TransformStamped) -> Xyz:
    t = message.transform.translation
    return t.x, t.y, t.z


def yaw(message: TransformStamped) -> float:
    q = message.transform.rotation
    return 2.0 * math.atan2(q.z, q.w)


@pytest.fixture
def buffer() -> Buffer:
    """odom moves in map, base moves in odom, camera sits on base."""
    buffer = Buffer()
    for second in (10.0, 11.0, 12.0):
        buffer.set_transform(transform("odom", "base", second, (second, 0.0, 0.0)), "test")
    for second in (10.0, 11.0):
        buffer.set_transform(transform("map", "odom", second, (0.0, second, 0.0)), "test")
    buffer.set_transform_static(transform("base", "camera", 0.0, (0.0, 0.0, 1.5)), "test")
    return buffer


class TestLookup:
    def test_result_maps_source_into_target(self, buffer: Buffer) -> None:
        found = buffer.lookup_transform("odom", "camera", at(11.0))
        assert xyz(found) == pytest.approx((11.0, 0.0, 1.5))
        assert (found.header.frame_id, found.child_frame_id) == ("odom", "camera")
        assert Time.from_msg(found.header.stamp).nanoseconds == 11 * 10**9

    def test_inverse(self, buffer: Buffer) -> None:
        assert xyz(buffer.lookup_transform("camera", "odom", at(11.0))) == pytest.approx(
            (-11.0, 0.0, -1.5)
        )

    def test_siblings_meet_at_their_parent(self, buffer: Buffer) -> None:
        buffer.set_transform_static(transform("base", "lidar", 0.0, (0.2, 0.0, 0.5)), "test")
        assert xyz(buffer.lookup_transform("lidar", "camera", at(11.0))) == pytest.approx(
            (-0.2, 0.0, 1.0)
        )

    def test_rotation_is_applied_in_the_right_order(self) -> None:
        buffer = Buffer()
        buffer.set_transform_static(transform("a", "b", 0.0, (1.0, 0.0, 0.0), math.pi / 2), "test")
        buffer.set_transform_static(transform("b", "c", 0.0, (2.0, 0.0, 0.0), math.pi / 4), "test")
        found = buffer.lookup_transform("a", "c", Time())
        assert xyz(found) == pytest.approx((1.0, 2.0, 0.0))
        assert yaw(found) == pytest.approx(3 * math.pi / 4)

    def test_interpolates_translation_and_rotation(self) -> None:
        buffer = Buffer()
        buffer.set_transform(transform("a", "b", 1.0, (0.0, 0.0, 0.0), 0.2), "test")
        buffer.set_transform(transform("a", "b", 2.0, (4.0, 0.0, 0.0), 1.0), "test")
        found = buffer.lookup_transform("a", "b", at(1.25))
        assert xyz(found) == pytest.approx((1.0, 0.0, 0.0))
        assert yaw(found) == pytest.approx(0.4)

    def test_interpolates_along_the_shorter_arc(self) -> None:
        buffer = Buffer()
        buffer.set_transform(transform("a", "b", 1.0, yaw=math.radians(170)), "test")
        buffer.set_transform(transform("a", "b", 2.0, yaw=math.radians(-170)), "test")
        found = buffer.lookup_transform("a", "b", at(1.5))
        assert abs(math.remainder(yaw(found) - math.pi, 2 * math.pi)) < 1e-6

    def test_order_of_arrival_does_not_matter(self) -> None:
        buffer = Buffer()
        for second in (3.0, 1.0, 2.0):
            buffer.set_transform(transform("a", "b", second, (second, 0.0, 0.0)), "test")
        assert xyz(buffer.lookup_transform("a", "b", at(1.5))) == pytest.approx((1.5, 0.0, 0.0))

    def test_time_zero_is_the_latest_common_time(self, buffer: Buffer) -> None:
        found = buffer.lookup_transform("map", "camera", Time())
        assert Time.from_msg(found.header.stamp).nanoseconds == 11 * 10**9
        assert xyz(found) == pytest.approx((11.0, 11.0, 1.5))

    def test_time_may_be_a_message(self, buffer: Buffer) -> None:
        found = buffer.lookup_transform("odom", "base", at(10.5).to_msg())
        assert xyz(found) == pytest.approx((10.5, 0.0, 0.0))

    def test_static_holds_at_any_time(self, buffer: Buffer) -> None:
        for second in (0.0, 1.0, 1e6):
            found = buffer.lookup_transform("base", "camera", at(second))
            assert xyz(found) == pytest.approx((0.0, 0.0, 1.5))

    def test_same_frame_is_the_identity_even_when_unknown(self, buffer: Buffer) -> None:
        found = buffer.lookup_transform("nowhere", "nowhere", at(5.0))
        assert xyz(found) == (0.0, 0.0, 0.0)
        assert found.transform.rotation.w == 1.0

    def test_a_leading_slash_is_dropped_on_the_way_in(self) -> None:
        buffer = Buffer()
        buffer.set_transform_static(transform("/a", "/b", 0.0, (1.0, 0.0, 0.0)), "test")
        assert xyz(buffer.lookup_transform("a", "b", Time())) == (1.0, 0.0, 0.0)


class TestFailures:
    def test_all_are_transform_exceptions(self) -> None:
        for name in ("Lookup", "Connectivity", "Extrapolation", "InvalidArgument"):
            kind = getattr(tf2_ros, f"{name}Exception")
            assert issubclass(kind, tf2_ros.TransformException)

    def test_unknown_frame(self, buffer: Buffer) -> None:
        with pytest.raises(tf2_ros.LookupException, match="nowhere"):
            buffer.lookup_transform("map", "nowhere", Time())

    @pytest.mark.parametrize("name", ["", "/map"])
    def test_bad_frame_name(self, buffer: Buffer, name: str) -> None:
        with pytest.raises(tf2_ros.InvalidArgumentException):
            buffer.lookup_transform(name, "camera", Time())

    @pytest.mark.parametrize("seconds", [0.0, 11.0])
    def test_unconnected_trees(self, buffer: Buffer, seconds: float) -> None:
        buffer.set_transform_static(transform("mars", "rover", 0.0), "test")
        with pytest.raises(tf2_ros.ConnectivityException):
            buffer.lookup_transform("map", "rover", at(seconds))

    def test_future(self, buffer: Buffer) -> None:
        with pytest.raises(tf2_ros.ExtrapolationException, match="into the future"):
            buffer.lookup_transform("map", "base", at(11.5))

    def test_future_on_the_target_side(self, buffer: Buffer) -> None:
        with pytest.raises(tf2_ros.ExtrapolationException, match="into the future"):
            buffer.lookup_transform("base", "map", at(11.5))

    def test_past(self, buffer: Buffer) -> None:
        with pytest.raises(tf2_ros.ExtrapolationException, match="into the past"):
            buffer.lookup_transform("odom", "base", at(9.0))

    def test_one_sample_holds_for_its_own_time_only(self) -> None:
        buffer = Buffer()
        buffer.set_transform(transform("a", "b", 5.0), "test")
        buffer.lookup_transform("a", "b", at(5.0))
        with pytest.raises(tf2_ros.ExtrapolationException):
            buffer.lookup_transform("a", "b", at(5.1))

    def test_can_transform(self, buffer: Buffer) -> None:
        assert buffer.can_transform("odom", "base", at(11.5))
        assert not buffer.can_transform("map", "base", at(11.5))
        assert not buffer.can_transform("map", "nowhere", Time())
        possible, reason = buffer.can_transform("map", "base", at(11.5), return_debug_tuple=True)
        assert not possible
        assert "into the future" in reason


class TestInput:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda m: setattr(m, "child_frame_id", "a"),
            lambda m: setattr(m, "child_frame_id", ""),
            lambda m: setattr(m.header, "frame_id", ""),
            lambda m: setattr(m.transform.translation, "x", math.nan),
            lambda m: setattr(m.transform.rotation, "w", 0.0),
        ],
        ids=["itself", "no child", "no parent", "nan", "zero quaternion"],
    )
    def test_nonsense_is_ignored(self, spoil: Callable[[TransformStamped], None]) -> None:
        buffer = Buffer()
        message = transform("a", "b", 1.0)
        spoil(message)
        buffer.set_transform(message, "test")
        assert not buffer.can_transform("a", "b", Time())

    def test_a_quaternion_of_another_length_is_normalised(self) -> None:
        buffer = Buffer()
        message = transform("a", "b", 1.0, yaw=0.6)
        message.transform.rotation.z *= 2.0
        message.transform.rotation.w *= 2.0
        buffer.set_transform(message, "test")
        found = buffer.lookup_transform("a", "b", Time())
        assert found.transform.rotation.w == pytest.approx(math.cos(0.3))
        assert yaw(found) == pytest.approx(0.6)

    def test_cache_keeps_ten_seconds(self) -> None:
        buffer = Buffer()
        for second in range(1, 15):
            buffer.set_transform(transform("a", "b", float(second)), "test")
        assert buffer.can_transform("a", "b", at(5.0))
        assert not buffer.can_transform("a", "b", at(2.5))

    def test_cache_time_is_an_argument(self) -> None:
        buffer = Buffer(cache_time=Duration(seconds=2.0))
        for second in range(1, 8):
            buffer.set_transform(transform("a", "b", float(second)), "test")
        assert buffer.can_transform("a", "b", at(5.5))
        assert not buffer.can_transform("a", "b", at(3.5))

    def test_older_than_the_cache_is_refused(self) -> None:
        buffer = Buffer()
        buffer.set_transform(transform("a", "b", 100.0), "test")
        buffer.set_transform(transform("a", "b", 50.0), "test")
        assert not buffer.can_transform("a", "b", at(50.0))

    def test_clear_forgets_what_moves_and_keeps_what_is_static(self, buffer: Buffer) -> None:
        buffer.clear()
        assert not buffer.can_transform("odom", "base", at(11.0))
        assert not buffer.can_transform("odom", "base", Time())
        assert buffer.can_transform("base", "camera", Time())


class TestTimeout:
    def test_waits_for_the_transform(self, buffer: Buffer) -> None:
        late = threading.Timer(
            0.2, lambda: buffer.set_transform(transform("map", "odom", 12.0), "test")
        )
        late.start()
        found = buffer.lookup_transform("map", "base", at(12.0), timeout=Duration(seconds=20))
        assert Time.from_msg(found.header.stamp).nanoseconds == 12 * 10**9
        late.join()

    def test_gives_up(self, buffer: Buffer) -> None:
        start = wall.monotonic()
        with pytest.raises(tf2_ros.ExtrapolationException):
            buffer.lookup_transform("map", "base", at(12.0), Duration(seconds=0.1))
        assert wall.monotonic() - start >= 0.09


@pytest.fixture
def ros() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    yield context
    rclpy.shutdown(context=context)


def spin_until(executor: SingleThreadedExecutor, condition: Callable[[], bool]) -> None:
    deadline = wall.monotonic() + 20.0
    while not condition():
        assert wall.monotonic() < deadline, "nothing came in 20 s"
        executor.spin_once(timeout_sec=0.05)


def test_broadcasters_reach_a_listener_that_comes_later(ros: Context) -> None:
    talker, hearer = (Node(name, context=ros) for name in ("talker", "hearer"))
    moving = tf2_ros.TransformBroadcaster(talker)
    fixed = tf2_ros.StaticTransformBroadcaster(talker)
    fixed.sendTransform(transform("base", "camera", 0.0, (1.0, 0.0, 0.0)))
    fixed.sendTransform([transform("base", "lidar", 0.0, (0.0, 1.0, 0.0))])
    buffer = Buffer()
    listener = tf2_ros.TransformListener(buffer, hearer)
    executor = SingleThreadedExecutor(context=ros)
    for node in (talker, hearer):
        executor.add_node(node)

    def arrived() -> bool:
        moving.sendTransform([transform("odom", "base", 7.0), transform("map", "odom", 7.0)])
        return all(
            buffer.can_transform(*pair, Time()) for pair in (("map", "camera"), ("camera", "lidar"))
        )

    spin_until(executor, arrived)
    assert xyz(buffer.lookup_transform("map", "camera", at(7.0))) == (1.0, 0.0, 0.0)
    listener.unregister()
    executor.shutdown()


def test_a_clock_that_jumps_back_clears_the_buffer(ros: Context) -> None:
    node = Node(
        "replayed",
        context=ros,
        parameter_overrides=[Parameter("use_sim_time", value=True)],
    )
    buffer = Buffer(node=node)
    clock = node.create_publisher(Clock, "/clock", 10)
    executor = SingleThreadedExecutor(context=ros)
    executor.add_node(node)

    def clock_says(seconds: float) -> bool:
        clock.publish(Clock(clock=at(seconds).to_msg()))
        return abs(node.get_clock().now().nanoseconds * 1e-9 - seconds) < 1e-6

    spin_until(executor, lambda: clock_says(100.0))
    buffer.set_transform(transform("a", "b", 100.0), "test")
    spin_until(executor, lambda: clock_says(101.0))
    assert buffer.can_transform("a", "b", Time())
    spin_until(executor, lambda: clock_says(3.0))
    assert not buffer.can_transform("a", "b", Time())
    executor.shutdown()
