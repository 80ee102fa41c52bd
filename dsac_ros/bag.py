# SPDX-License-Identifier: Apache-2.0
"""A recording, opened for replay: its topics, its ground truth, its raw messages."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import from_quaternion
from dsac_ros.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from rosbags.interfaces import Connection
    from typing_extensions import Self

    FloatArray = NDArray[np.float64]

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
TF_TYPE = "tf2_msgs/msg/TFMessage"
NANOSECONDS = 1_000_000_000


class Bag:
    """A rosbag2 (MCAP or sqlite3), as a context manager.

    Raises:
        DatasetError: The path is no bag that can be read.
    """

    def __init__(self, path: str | Path) -> None:
        """Look for the bag; it is read from ``__enter__`` on."""
        self.path = Path(path)
        if not self.path.exists():
            msg = f"bag '{self.path}' does not exist"
            raise DatasetError(msg)
        if self.path.suffix == ".bag":
            msg = f"bag '{self.path}' is of ROS 1: convert it with rosbags-convert first"
            raise DatasetError(msg)
        try:
            # Bags of Humble and older do not tell their message definitions.
            store = get_typestore(Stores.ROS2_HUMBLE)
            self._reader = AnyReader([self.path], default_typestore=store)
        except (AnyReaderError, OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def __enter__(self) -> Self:
        try:
            self._reader.open()
        except (AnyReaderError, OSError, ValueError) as error:
            raise self._unreadable(error) from error
        return self

    def __exit__(self, *_exception: object) -> None:
        self._reader.close()

    @property
    def types(self) -> dict[str, str]:
        """Topics and their message types."""
        return {c.topic: c.msgtype for c in sorted(self._reader.connections, key=lambda c: c.topic)}

    @property
    def start(self) -> int:
        """When the recording began, ns."""
        return self._reader.start_time

    @property
    def seconds(self) -> float:
        """How long the recording is."""
        return self._reader.duration / NANOSECONDS

    def connections(self, without: Collection[str] = ()) -> list[Connection]:
        """Everything that was recorded, except some topics."""
        return [c for c in self._reader.connections if c.topic not in without]

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Connection, time of recording (ns) and serialized message, in the order of recording."""
        yield from self._reader.messages(connections, start=start, stop=stop)

    def require(self, topic: str, what: str) -> str:
        """The type of a topic.

        Raises:
            DatasetError: The bag lacks it; the message lists what it has.
        """
        found = self.types.get(topic)
        if found is None:
            msg = f"bag '{self.path}' has no {what} on '{topic}'; its topics: {self.listing()}"
            raise DatasetError(msg)
        return found

    def listing(self) -> str:
        """All topics with their types, in one line."""
        return ", ".join(f"{topic} ({kind})" for topic, kind in self.types.items()) or "none"

    def colour_topic(self) -> str:
        """The one topic that carries images for people's eyes.

        Raises:
            DatasetError: There is none, or the choice is not clear.
        """
        images = [topic for topic, kind in self.types.items() if kind in IMAGE_TYPES]
        colour = [topic for topic in images if "depth" not in topic.lower()]
        raw = [topic for topic in colour if not topic.endswith("/compressed")]
        chosen = raw or colour
        if len(chosen) == 1:
            return chosen[0]
        what = "several image topics" if chosen else "no image topic"
        msg = f"bag '{self.path}' has {what}: name one; its topics: {self.listing()}"
        raise DatasetError(msg)

    def poses(self, topic: str) -> Trajectory:
        """The poses on an Odometry, PoseStamped or PoseWithCovarianceStamped topic.

        Raises:
            DatasetError: The topic is missing or of another type.
        """
        kind = self.require(topic, "poses")
        samples = []
        for _, _, raw in self._read(topic):
            message: Any = self._reader.deserialize(raw, kind)
            pose: Any = getattr(message, "pose", None)
            pose = getattr(pose, "pose", pose)  # with a covariance it lies one deeper
            if not hasattr(pose, "orientation"):
                msg = f"bag '{self.path}': '{topic}' is {kind}, which carries no pose"
                raise DatasetError(msg)
            at, turn = pose.position, pose.orientation
            samples.append((_stamp(message.header.stamp), _pose(at, turn)))
        return Trajectory(samples)

    def transforms(self, parent: str, child: str) -> Trajectory:
        """parent_T_child from the topic /tf, where it was recorded directly; empty otherwise."""
        samples = []
        for _, _, raw in self._read("/tf"):
            message: Any = self._reader.deserialize(raw, TF_TYPE)
            for found in message.transforms:
                if (found.header.frame_id, found.child_frame_id) == (parent, child):
                    part = found.transform
                    samples.append(
                        (_stamp(found.header.stamp), _pose(part.translation, part.rotation))
                    )
        return Trajectory(samples)

    def child_frame(self, topic: str) -> str:
        """The child frame of the first message of an Odometry topic; empty for other types."""
        for _, _, raw in self._read(topic):
            message: Any = self._reader.deserialize(raw, self.types[topic])
            return str(getattr(message, "child_frame_id", ""))
        return ""

    def _read(self, topic: str) -> Iterator[tuple[Connection, int, bytes]]:
        chosen = [c for c in self._reader.connections if c.topic == topic]
        if chosen:
            yield from self._reader.messages(chosen)

    def _unreadable(self, error: Exception) -> DatasetError:
        why = " ".join(str(error).split()) or type(error).__name__
        return DatasetError(f"'{self.path}' cannot be read as a rosbag2: {why}")


def header_stamp(serialized: bytes) -> int:
    """The stamp in nanoseconds of a serialized message that begins with a Header (CDR)."""
    order = "<" if serialized[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", serialized, 4)
    return int(seconds) * NANOSECONDS + int(nanoseconds)


def _stamp(stamp: Any) -> int:
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def _pose(position: Any, turn: Any) -> FloatArray:
    return from_quaternion([position.x, position.y, position.z], [turn.x, turn.y, turn.z, turn.w])
