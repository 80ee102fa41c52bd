# SPDX-License-Identifier: Apache-2.0
"""Transforms that hold for ever, to /tf_static, also for those who subscribe later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


class StaticTransformBroadcaster:
    """Each message holds all transforms sent so far; the first one per child frame counts."""

    def __init__(self, node: Any, qos: QoSProfile | int | None = None) -> None:
        if qos is None:
            qos = QoSProfile(
                depth=1,
                history=HistoryPolicy.KEEP_LAST,
                durability=DurabilityPolicy.TRANSIENT_LOCAL,
            )
        self.pub_tf = node.create_publisher(TFMessage, "/tf_static", qos)
        self.net_message = TFMessage()
        self._child_frame_ids: set[str] = set()

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Add one transform or several, and publish all."""
        several = [transform] if isinstance(transform, TransformStamped) else list(transform)
        for one in several:
            if one.child_frame_id not in self._child_frame_ids:
                self._child_frame_ids.add(one.child_frame_id)
                self.net_message.transforms.append(one)
        self.pub_tf.publish(self.net_message)
