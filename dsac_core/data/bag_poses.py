# SPDX-License-Identifier: Apache-2.0
"""Poses in a bag: a track that is interpolated in time, and the fixed frames of a robot."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import from_quaternion, interpolate, invert, is_rigid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MAX_GAP = 1_000_000_000  # nanoseconds between poses that may still be interpolated


def stamp_nanoseconds(stamp: Any) -> int:
    """A ``builtin_interfaces/Time`` as whole nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


class PoseTrack:
    """World to body over time, from Odometry, PoseStamped or PoseWithCovarianceStamped."""

    def __init__(self) -> None:
        """Start without poses."""
        self.world_frame = ""
        self.child_frame = ""  # empty where the message type has none: the camera itself
        self._poses: list[tuple[int, FloatArray]] = []
        self._stamps: list[int] = []

    def add(self, message: Any) -> None:
        """Add one pose message."""
        pose = message.pose
        if hasattr(pose, "covariance"):
            pose = pose.pose
        p, q = pose.position, pose.orientation
        self.world_frame = message.header.frame_id
        self.child_frame = getattr(message, "child_frame_id", "")
        try:
            world_T_body = from_quaternion([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])
        except ValueError:
            return  # an unset quaternion is no pose
        if not is_rigid(world_T_body):
            return  # nor is NaN, which some odometry sends while it is lost
        self._poses.append((stamp_nanoseconds(message.header.stamp), world_T_body))

    def finish(self, topic: str) -> None:
        """Sort by time.

        Raises:
            DatasetError: There is no pose at all.
        """
        if not self._poses:
            msg = f"{topic} has no valid pose: mapping and evaluation need a pose for each image"
            raise DatasetError(msg)
        self._poses.sort(key=lambda entry: entry[0])
        self._stamps = [stamp for stamp, _ in self._poses]

    def covers(self, stamp: int) -> bool:
        """Whether the pose at ``stamp`` (ns) is known, or lies in a short gap between two."""
        after = bisect.bisect_left(self._stamps, stamp)
        if after < len(self._stamps) and self._stamps[after] == stamp:
            return True
        inside = 0 < after < len(self._stamps)
        return inside and self._stamps[after] - self._stamps[after - 1] <= MAX_GAP

    def at(self, stamp: int) -> FloatArray:
        """World to body [4 x 4] at a stamp (ns) that ``covers`` accepts."""
        after = bisect.bisect_left(self._stamps, stamp)
        stamp_1, pose_1 = self._poses[after]
        if stamp_1 == stamp:
            return pose_1
        stamp_0, pose_0 = self._poses[after - 1]
        return interpolate(pose_0, pose_1, (stamp - stamp_0) / (stamp_1 - stamp_0))


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
