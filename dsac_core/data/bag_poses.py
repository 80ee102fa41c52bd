# SPDX-License-Identifier: Apache-2.0
"""Poses in a bag: a track that is interpolated in time, and the fixed frames of a robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.data.bag_reader import messages, stamp_nanoseconds
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import from_quaternion, invert, is_rigid
from dsac_core.geometry.trajectory import Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rosbags.highlevel import AnyReader

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PoseTrack:
    """Poses on one topic."""

    world_T_body: Trajectory
    body_frame: str  # empty where the message type names none: the camera itself


def read_track(reader: AnyReader, topic: str) -> PoseTrack:
    """The poses of an Odometry, PoseStamped or PoseWithCovarianceStamped topic.

    Unset quaternions and NaN, which some odometry sends while it is lost, are no poses.

    Raises:
        DatasetError: There is no pose at all.
    """
    samples, body_frame = [], ""
    for message in messages(reader, topic):
        body_frame = getattr(message, "child_frame_id", "")
        pose = message.pose.pose if hasattr(message.pose, "pose") else message.pose
        p, q = pose.position, pose.orientation
        try:
            world_T_body = from_quaternion([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])
        except ValueError:
            continue
        if is_rigid(world_T_body):
            samples.append((stamp_nanoseconds(message.header.stamp), world_T_body))
    if not samples:
        msg = f"{topic} has no valid pose: mapping and evaluation need a pose for each image"
        raise DatasetError(msg)
    return PoseTrack(Trajectory(samples), body_frame)


class StaticTransforms:
    """The tree of ``/tf_static``."""

    def __init__(self) -> None:
        """Start without transforms."""
        self._parent_of: dict[str, tuple[str, FloatArray]] = {}

    def add(self, message: Any) -> None:
        """Add one ``tf2_msgs/TFMessage``."""
        for stamped in message.transforms:
            t, q = stamped.transform.translation, stamped.transform.rotation
            try:
                parent_T_child = from_quaternion([t.x, t.y, t.z], [q.x, q.y, q.z, q.w])
            except ValueError:
                continue  # an unset quaternion is no transform; who needs it is told so
            parent, child = stamped.header.frame_id, stamped.child_frame_id
            self._parent_of[child.lstrip("/")] = (parent.lstrip("/"), parent_T_child)

    def lookup(self, target: str, source: str) -> FloatArray:
        """target_T_source [4 x 4].

        Raises:
            DatasetError: No chain of static transforms joins the two frames.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        ancestors = self._to_root(target)
        frame, frame_T_source = source, np.eye(4)
        seen = set()
        while frame not in ancestors:
            if frame in seen or frame not in self._parent_of:
                msg = (
                    f"/tf_static does not join '{target}' (of the poses) and '{source}' (of the"
                    " images): record the robot's static transforms, or use poses of the camera"
                )
                raise DatasetError(msg)
            seen.add(frame)
            frame, parent_T_frame = self._parent_of[frame]
            frame_T_source = parent_T_frame @ frame_T_source
        return np.asarray(invert(ancestors[frame]) @ frame_T_source)

    def _to_root(self, frame: str) -> dict[str, FloatArray]:
        """Each ancestor of a frame (itself included) with ancestor_T_frame."""
        ancestors, ancestor_T_frame = {frame: np.eye(4)}, np.eye(4)
        current = frame
        while current in self._parent_of:
            current, parent_T_current = self._parent_of[current]
            if current in ancestors:
                break  # a loop
            ancestor_T_frame = parent_T_current @ ancestor_T_frame
            ancestors[current] = ancestor_T_frame
        return ancestors
