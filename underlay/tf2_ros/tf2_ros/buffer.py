# SPDX-License-Identifier: Apache-2.0
"""The transform buffer: set_transform in, lookup_transform out."""

from __future__ import annotations

import math
import threading
import time as wall
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time

from tf2_ros.exceptions import TransformException
from tf2_ros.rigid import Rigid, normalized
from tf2_ros.timeline import Sample
from tf2_ros.tree import Tree

DEFAULT_CACHE_TIME = 10 * 10**9


class Buffer:
    """Keeps transforms for cache_time and answers with target_T_source at a time.

    With a node, a clock that jumps back (a bag that starts again) clears it.
    """

    def __init__(self, cache_time: Duration | None = None, node: Any = None) -> None:
        self._tree = Tree(cache_time.nanoseconds if cache_time else DEFAULT_CACHE_TIME)
        self._changed = threading.Condition()
        self.clock = node.get_clock() if node is not None else Clock()
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True
        )
        self.jump_handle = self.clock.create_jump_callback(
            threshold, post_callback=self.time_jump_callback
        )

    def time_jump_callback(self, time_jump: TimeJump) -> None:
        get_logger("tf2_buffer").warning("Detected jump back in time. Clearing tf buffer.")
        self.clear()

    def clear(self) -> None:
        """Forget all transforms that are not static."""
        with self._changed:
            self._tree.clear()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform. One that makes no sense is reported in the log and ignored."""
        self._insert(transform, authority, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that holds at all times."""
        self._insert(transform, authority, static=True)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008 - the real signature; a Duration is immutable
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Whether lookup_transform would succeed, within timeout."""
        message = self._wait(target_frame, source_frame, _nanoseconds(time), timeout)
        return (not message, message) if return_debug_tuple else not message

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008
    ) -> TransformStamped:
        """target_T_source at a time; Time() means the latest time that all parts are known for.

        Raises:
            LookupException, ConnectivityException, ExtrapolationException,
            InvalidArgumentException: when timeout passed without it.
        """
        self._wait(target_frame, source_frame, _nanoseconds(time), timeout)
        with self._changed:
            rigid, stamp = self._tree.lookup(target_frame, source_frame, _nanoseconds(time))
        return _message(target_frame, source_frame, rigid, stamp)

    def _wait(self, target: str, source: str, time: int, timeout: Duration) -> str:
        """Why the lookup fails, '' when it does not; waits up to timeout for it to succeed."""
        deadline = wall.monotonic() + timeout.nanoseconds * 1e-9
        with self._changed:
            while True:
                try:
                    self._tree.lookup(target, source, time)
                except TransformException as error:
                    message = str(error)
                else:
                    return ""
                remaining = deadline - wall.monotonic()
                if remaining <= 0.0 or not self._changed.wait(remaining):
                    return message

    def _insert(self, transform: TransformStamped, authority: str, *, static: bool) -> None:
        parent = transform.header.frame_id.removeprefix("/")
        child = transform.child_frame_id.removeprefix("/")
        t, q = transform.transform.translation, transform.transform.rotation
        rigid = normalized(((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)))
        fault = _fault(parent, child, rigid)
        if fault is None:
            sample = Sample(_nanoseconds(transform.header.stamp), parent, rigid)
            with self._changed:
                if not self._tree.insert(child, sample, static=static):
                    fault = "TF_OLD_DATA", "its stamp is older than all that is kept"
                self._changed.notify_all()
        if fault is not None:
            get_logger("tf2").error(
                f"{fault[0]}: Ignoring transform from '{parent}' to '{child}' "
                f'by authority "{authority}": {fault[1]}'
            )


def _fault(parent: str, child: str, rigid: Rigid) -> tuple[str, str] | None:
    if parent == child:
        return "TF_SELF_TRANSFORM", "frame_id and child_frame_id are the same"
    if not child:
        return "TF_NO_CHILD_FRAME_ID", "child_frame_id is not set"
    if not parent:
        return "TF_NO_FRAME_ID", "frame_id is not set"
    translation, quaternion = rigid
    if any(math.isnan(value) for value in (*translation, *quaternion)):
        return "TF_NAN_INPUT", "it contains nan, or its quaternion is zero"
    return None


def _nanoseconds(time: Any) -> int:
    """Of an rclpy Time or a builtin_interfaces Time."""
    if hasattr(time, "nanosec"):
        return int(time.sec * 10**9 + time.nanosec)
    return int(time.nanoseconds)


def _message(target: str, source: str, rigid: Rigid, stamp: int) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id = target
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
    message.child_frame_id = source
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = rigid[0]
    rotation.x, rotation.y, rotation.z, rotation.w = rigid[1]
    return message
