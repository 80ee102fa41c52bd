# SPDX-License-Identifier: Apache-2.0
"""A recording, opened for replay: its topics, its ground truth, its raw messages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_core.data.bag_poses import PoseTrack, read_track
from dsac_core.data.bag_reader import messages, open_bag, stamp_nanoseconds
from dsac_core.data.bag_topics import IMAGE_TYPES, POSE_TYPES
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import from_quaternion
from dsac_core.geometry.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rosbags.interfaces import Connection
    from typing_extensions import Self

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
        self._opened = open_bag(self.path)

    def __enter__(self) -> Self:
        self._reader = self._opened.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._opened.__exit__(*exception)

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

    def poses(self, topic: str) -> PoseTrack:
        """The poses on an Odometry, PoseStamped or PoseWithCovarianceStamped topic.

        Raises:
            DatasetError: The topic is missing or of another type.
        """
        kind = self.require(topic, "poses")
        if kind not in POSE_TYPES:
            msg = f"bag '{self.path}': '{topic}' is {kind}, which carries no pose"
            raise DatasetError(msg)
        return read_track(self._reader, topic)

    def transforms(self, parent: str, child: str) -> Trajectory:
        """parent_T_child from the topic /tf, where it was recorded directly; empty otherwise."""
        samples = []
        for message in messages(self._reader, "/tf"):
            for found in message.transforms:
                if (found.header.frame_id, found.child_frame_id) == (parent, child):
                    p, q = found.transform.translation, found.transform.rotation
                    pose = from_quaternion([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])
                    samples.append((stamp_nanoseconds(found.header.stamp), pose))
        return Trajectory(samples)
