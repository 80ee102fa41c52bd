# SPDX-License-Identifier: Apache-2.0
"""Poses on a topic of a bag: a track that is interpolated in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsac_core.data.bag_reader import messages, stamp_nanoseconds
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import from_quaternion, is_rigid
from dsac_core.geometry.trajectory import Trajectory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rosbags.highlevel import AnyReader


@dataclass(frozen=True)
class PoseTrack:
    """Poses on one topic."""

    world_T_body: Trajectory
    body_frame: str  # empty where the message type names none: the camera itself


class TrackBuilder:
    """Gathers an Odometry, PoseStamped or PoseWithCovarianceStamped topic.

    Unset quaternions and NaN, which some odometry sends while it is lost, are no poses.
    """

    def __init__(self, topic: str) -> None:
        """Start without poses."""
        self._topic = topic
        self._samples: list[tuple[int, NDArray[np.float64]]] = []
        self._body_frame = ""

    def add(self, message: Any) -> None:
        """Add one message."""
        self._body_frame = getattr(message, "child_frame_id", "")
        pose = message.pose.pose if hasattr(message.pose, "pose") else message.pose
        p, q = pose.position, pose.orientation
        try:
            world_T_body = from_quaternion([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])
        except ValueError:
            return
        if is_rigid(world_T_body):
            self._samples.append((stamp_nanoseconds(message.header.stamp), world_T_body))

    def track(self) -> PoseTrack:
        """What was gathered.

        Raises:
            DatasetError: There is no pose at all.
        """
        if not self._samples:
            msg = (
                f"{self._topic} has no valid pose: mapping and evaluation need a pose for each"
                " image"
            )
            raise DatasetError(msg)
        return PoseTrack(Trajectory(self._samples), self._body_frame)


def read_track(reader: AnyReader, topic: str) -> PoseTrack:
    """The poses of an Odometry, PoseStamped or PoseWithCovarianceStamped topic.

    Raises:
        DatasetError: There is no pose at all.
    """
    builder = TrackBuilder(topic)
    for message in messages(reader, topic):
        builder.add(message)
    return builder.track()
