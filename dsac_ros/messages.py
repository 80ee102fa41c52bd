# SPDX-License-Identifier: Apache-2.0
"""Outcomes as ROS messages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from rclpy.time import Time

from dsac_core.errors import ConfigError
from dsac_core.geometry.pose import from_quaternion, to_quaternion
from dsac_ros.image_records import SetPose
from dsac_ros.msg import RelocalizationResult, RelocalizationStatus
from dsac_ros.stamps import NANOSECONDS

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time as TimeMessage
    from numpy.typing import NDArray

    from dsac_ros.image_records import Outcome
    from dsac_ros.requests import Answer

    FloatArray = NDArray[np.float64]

UNSAID_TRANSLATION, UNSAID_ROTATION = 0.5, math.radians(15)  # m, rad: standard deviations
_QUATERNION_TOLERANCE = 1e-2
_ROUNDING = 1e-6  # of a variance


def time_message(nanoseconds: int) -> TimeMessage:
    """builtin_interfaces/Time."""
    return Time(nanoseconds=nanoseconds).to_msg()


def pose_message(
    map_T_body: FloatArray, covariance: FloatArray, map_frame: str, stamp: int
) -> PoseWithCovarianceStamped:
    """The body's pose [4 x 4] in the map and its covariance [6 x 6], at ``stamp`` ns."""
    position, turn = to_quaternion(map_T_body)
    message = _pose_message(position, turn, covariance)
    message.header.frame_id = map_frame
    message.header.stamp = time_message(stamp)
    return message


def _pose_message(
    position: FloatArray, turn: FloatArray, covariance: FloatArray
) -> PoseWithCovarianceStamped:
    message = PoseWithCovarianceStamped()
    place, rotation = message.pose.pose.position, message.pose.pose.orientation
    place.x, place.y, place.z = map(float, position)
    rotation.x, rotation.y, rotation.z, rotation.w = map(float, turn)
    message.pose.covariance = covariance.reshape(-1)
    return message


def said_pose(message: PoseWithCovarianceStamped, now: int) -> SetPose:
    """Where somebody says that the body is; a message without a stamp is of ``now`` (ns).

    A variance of zero means that nobody thought of it, as RViz does not of height, roll and pitch:
    half a metre and 15 degrees, as AMCL.

    Raises:
        ConfigError: It is not a pose, or not a covariance.
    """
    at, turn = message.pose.pose.position, message.pose.pose.orientation
    position, quaternion = [at.x, at.y, at.z], [turn.x, turn.y, turn.z, turn.w]
    covariance = np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)
    unsaid = np.array([UNSAID_TRANSLATION**2] * 3 + [UNSAID_ROTATION**2] * 3)
    covariance += np.diag(np.where(np.diag(covariance) == 0.0, unsaid, 0.0))
    if not np.isfinite([*position, *quaternion, *covariance.flat]).all():
        msg = "the pose that was set has numbers that are not finite: it is ignored"
        raise ConfigError(msg)
    if abs(np.linalg.norm(quaternion) - 1.0) > _QUATERNION_TOLERANCE:
        msg = f"the pose that was set has no unit quaternion, but {quaternion}: it is ignored"
        raise ConfigError(msg)
    covariance = 0.5 * (covariance + covariance.T)
    if np.linalg.eigvalsh(covariance)[0] < -_ROUNDING * np.trace(covariance):
        msg = "the pose that was set has a covariance with a negative variance: it is ignored"
        raise ConfigError(msg)
    stamp = message.header.stamp.sec * NANOSECONDS + message.header.stamp.nanosec
    pose = from_quaternion(position, quaternion)
    return SetPose(stamp or now, message.header.frame_id, pose, covariance)


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
        message.confidence = float(outcome.estimate.confidence)
        message.inliers = int(outcome.estimate.inliers)
        message.landmark_inliers = int(outcome.estimate.landmark_inliers)
        message.correspondences = int(outcome.estimate.correspondences)
        message.score = float(outcome.estimate.score)
    message.stage_names = list(outcome.timings)
    message.stage_seconds = [float(seconds) for seconds in outcome.timings.values()]
    message.latency = float(latency)
    message.received = received
    message.dropped = dropped
    return message


def result_message(answer: Answer, map_frame: str) -> RelocalizationResult:
    """What an image came to, for the one who asked."""
    message = RelocalizationResult()
    message.localized = answer.map_T_child is not None
    message.reason = answer.reason
    message.scene = answer.scene
    message.child_frame_id = answer.child_frame_id
    if answer.map_T_child is not None and answer.covariance is not None:
        message.pose = pose_message(answer.map_T_child, answer.covariance, map_frame, answer.stamp)
    else:
        # The default of a pose is the identity, which is a place in the map.
        message.pose = _pose_message(*(np.full(size, np.nan) for size in (3, 4, 36)))
        message.pose.header.stamp = time_message(answer.stamp)
    if answer.estimate is not None:
        message.confidence = float(answer.estimate.confidence)
        message.inliers = int(answer.estimate.inliers)
        message.correspondences = int(answer.estimate.correspondences)
        message.score = float(answer.estimate.score)
    return message
