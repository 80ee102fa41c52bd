# SPDX-License-Identifier: Apache-2.0
"""What the node sends: poses, TF and status. Nothing that is not true right now."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from tf2_ros import TransformBroadcaster

from dsac_ros.frames import OdometryCorrection
from dsac_ros.messages import (
    pose_message,
    status_message,
    time_message,
    transform_message,
)
from dsac_ros.msg import RelocalizationStatus
from dsac_ros.qos import overridable
from dsac_ros.stamps import NANOSECONDS
from dsac_ros.state import State

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

    from dsac_ros.frames import FloatArray
    from dsac_ros.gate import Fix
    from dsac_ros.image_records import Outcome
    from dsac_ros.parameters import Settings

QUEUE = 10


class Outputs:
    """The publishers of one configured node.

    Args:
        node: Owns the publishers.
        settings: The node's parameters; may be replaced at any time.
        map_frame: Frame of the poses.
    """

    def __init__(self, node: LifecycleNode, settings: Settings, map_frame: str) -> None:
        """Create the publishers."""
        self.settings = settings
        self._node = node
        self._map_frame = map_frame
        self._correction = OdometryCorrection()
        self._said: FloatArray | None = None  # the correction that ``_message`` holds
        self._message = TransformStamped()
        self._sending = threading.Lock()
        create = node.create_lifecycle_publisher
        self._pose = create(PoseWithCovarianceStamped, "~/pose", QUEUE, **overridable())
        self._predicted = create(
            PoseWithCovarianceStamped, "~/predicted_pose", QUEUE, **overridable()
        )
        self._status = create(RelocalizationStatus, "~/status", QUEUE, **overridable())
        self._broadcaster = TransformBroadcaster(node)

    def publish(self, outcome: Outcome, arrival: int) -> None:
        """Send the pose and TF of an image that arrived at ``arrival`` ns, where it has them."""
        if not outcome.localized:
            self.follow(outcome.state)
            return
        assert outcome.map_T_body is not None  # what localized means
        assert outcome.covariance is not None
        self._pose.publish(
            pose_message(outcome.map_T_body, outcome.covariance, self._map_frame, outcome.stamp)
        )
        mode = self.settings.resolved_tf_mode
        if mode == "map_to_odom" and outcome.map_T_odom is not None:
            self._correction.update(outcome.map_T_odom, outcome.stamp, arrival)
            self.rebroadcast()
        elif mode == "map_to_base":
            # Unlike a correction of odometry, a moving base's pose holds at one time only: it is
            # neither post-dated nor sent again.
            base = self.settings.base_frame_id
            self._broadcaster.sendTransform(
                transform_message(outcome.map_T_body, self._map_frame, base, outcome.stamp)
            )

    def publish_status(
        self, outcome: Outcome, *, scene: str, latency: float, received: int, dropped: int
    ) -> None:
        """Say what became of an image, in the scene of that name."""
        self._status.publish(
            status_message(
                outcome, scene=scene, latency=latency, received=received, dropped=dropped
            )
        )

    @property
    def prediction_wanted(self) -> bool:
        """Whether somebody listens to where odometry says that the robot is by now."""
        return bool(self._predicted.get_subscription_count())

    def publish_prediction(self, fix: Fix) -> None:
        """Say where the robot is by the last fix and odometry."""
        stamp = round(fix.stamp * NANOSECONDS)
        self._predicted.publish(
            pose_message(fix.map_T_body, fix.covariance, self._map_frame, stamp)
        )

    def follow(self, state: State) -> None:
        """Stop sending map -> odom unless localized."""
        if state is not State.LOCALIZED:
            self._correction.clear()

    def rebroadcast(self) -> None:
        """Send map -> odom, if it is known, as of now."""
        # The worker and the timer both come here; their stamps must not overtake each other.
        with self._sending:
            now = self._node.get_clock().now().nanoseconds
            found = self._correction.stamped(now, self.settings.transform_tolerance)
            if found is not None:
                self._broadcaster.sendTransform(self._correction_message(*found))

    def _correction_message(self, map_T_odom: FloatArray, stamp: int) -> TransformStamped:
        """Until the next correction the message is the same but for its stamp."""
        if map_T_odom is not self._said:
            odom = self.settings.odom_frame_id
            self._message = transform_message(map_T_odom, self._map_frame, odom, stamp)
            self._said = map_T_odom
        self._message.header.stamp = time_message(stamp)
        return self._message

    def close(self) -> None:
        """Destroy the publishers."""
        self._correction.clear()
        self._node.destroy_lifecycle_publisher(self._pose)
        self._node.destroy_lifecycle_publisher(self._predicted)
        self._node.destroy_lifecycle_publisher(self._status)
        self._node.destroy_publisher(self._broadcaster.pub_tf)
