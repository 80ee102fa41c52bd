# SPDX-License-Identifier: Apache-2.0
"""Listens to a running relocalizer and keeps what it says, with the time at which it came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from tf2_msgs.msg import TFMessage

from dsac_core.geometry.pose import from_quaternion
from dsac_ros.msg import RelocalizationStatus
from dsac_ros.replay_records import (
    Collection,
    ReceivedPose,
    ReceivedStatus,
    ReceivedTransform,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rclpy.node import Node

    FloatArray = NDArray[np.float64]

NANOSECONDS = 1_000_000_000


class PoseCollector:
    """Subscribes to a node's pose and status and to TF.

    Args:
        node: Owns the subscriptions; something must spin it.
        relocalizer: Name of the node to listen to.
    """

    def __init__(self, node: Node, relocalizer: str) -> None:
        """Subscribe."""
        self._node = node
        self.collected = Collection()
        self._map_frame = ""
        subscribe = node.create_subscription
        self._pose = subscribe(PoseWithCovarianceStamped, f"{relocalizer}/pose", self._on_pose, 100)
        self._status = subscribe(
            RelocalizationStatus, f"{relocalizer}/status", self._on_status, 100
        )
        self._tf = subscribe(TFMessage, "/tf", self._on_tf, 100)

    @property
    def status_topic(self) -> str:
        """The resolved name of the node's status."""
        return str(self._status.topic_name)

    @property
    def connected(self) -> bool:
        """Whether the node's publishers were found."""
        count = self._node.count_publishers
        return bool(count(self._pose.topic_name) and count(self._status.topic_name))

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        self._map_frame = message.header.frame_id
        pose = message.pose.pose
        self.collected.poses.append(
            ReceivedPose(
                stamp=_stamp(message.header.stamp),
                received=time.monotonic(),
                map_T_body=_pose(pose.position, pose.orientation),
                covariance=np.array(message.pose.covariance).reshape(6, 6),
            )
        )

    def _on_status(self, message: RelocalizationStatus) -> None:
        self.collected.statuses.append(
            ReceivedStatus(
                stamp=_stamp(message.header.stamp),
                localized=message.localized,
                latency=message.latency,
                reason=message.reason,
                stages=dict(zip(message.stage_names, message.stage_seconds, strict=False)),
                scene=message.scene,
                confidence=message.confidence,
                inliers=message.inliers,
                correspondences=message.correspondences,
            )
        )

    def _on_tf(self, message: TFMessage) -> None:
        for found in message.transforms:
            if self._map_frame and found.header.frame_id == self._map_frame:
                part = found.transform
                self.collected.transforms.append(
                    ReceivedTransform(
                        stamp=_stamp(found.header.stamp),
                        child=found.child_frame_id,
                        map_T_child=_pose(part.translation, part.rotation),
                    )
                )


def _stamp(stamp: Any) -> int:
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def _pose(position: Any, turn: Any) -> FloatArray:
    return from_quaternion([position.x, position.y, position.z], [turn.x, turn.y, turn.z, turn.w])
