# SPDX-License-Identifier: Apache-2.0
"""Outcomes as ROS messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from rclpy.time import Time

from dsac_core.geometry.pose import to_quaternion
from dsac_ros.msg import RelocalizationStatus

if TYPE_CHECKING:
    import numpy as np
    from builtin_interfaces.msg import Time as TimeMessage
    from numpy.typing import NDArray

    from dsac_ros.pipeline import Outcome

    FloatArray = NDArray[np.float64]


def time_message(nanoseconds: int) -> TimeMessage:
    """builtin_interfaces/Time."""
    return Time(nanoseconds=nanoseconds).to_msg()


def pose_message(
    map_T_body: FloatArray, covariance: FloatArray, map_frame: str, stamp: int
) -> PoseWithCovarianceStamped:
    """The body's pose [4 x 4] in the map and its covariance [6 x 6], at ``stamp`` ns."""
    message = PoseWithCovarianceStamped()
    message.header.frame_id = map_frame
    message.header.stamp = time_message(stamp)
    position, turn = to_quaternion(map_T_body)
    place, rotation = message.pose.pose.position, message.pose.pose.orientation
    place.x, place.y, place.z = map(float, position)
    rotation.x, rotation.y, rotation.z, rotation.w = map(float, turn)
    message.pose.covariance = covariance.reshape(-1)
    return message


def transform_message(
    parent_T_child: FloatArray, parent: str, child: str, stamp: int
) -> TransformStamped:
    """A transform [4 x 4] for TF, at ``stamp`` nanoseconds."""
    message = TransformStamped()
    message.header.frame_id = parent
    message.header.stamp = time_message(stamp)
    message.child_frame_id = child
    position, turn = to_quaternion(parent_T_child)
    offset, rotation = message.transform.translation, message.transform.rotation
    offset.x, offset.y, offset.z = map(float, position)
    rotation.x, rotation.y, rotation.z, rotation.w = map(float, turn)
    return message


def status_message(
    outcome: Outcome, *, scene: str, latency: float, received: int, dropped: int
) -> RelocalizationStatus:
    """What became of one image."""
    message = RelocalizationStatus()
    message.header.stamp = time_message(outcome.stamp)
    message.header.frame_id = outcome.frame_id
    message.state = int(outcome.state)
    message.localized = outcome.localized
    message.reason = outcome.reason
    message.scene = scene
    if outcome.estimate is not None:
        message.inliers = int(outcome.estimate.inliers)
        message.correspondences = int(outcome.estimate.correspondences)
        message.score = float(outcome.estimate.score)
    message.stage_names = list(outcome.timings)
    message.stage_seconds = [float(seconds) for seconds in outcome.timings.values()]
    message.latency = float(latency)
    message.received = received
    message.dropped = dropped
    return message
