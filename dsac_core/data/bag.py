# SPDX-License-Identifier: Apache-2.0
"""rosbag2 (sqlite3 or MCAP) as a dataset: no ROS is needed to read one."""

from __future__ import annotations

import bisect
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

from dsac_core.data.bag_image import decode_colour, decode_depth, is_depth_encoding
from dsac_core.data.bag_poses import PoseTrack, StaticTransforms, stamp_nanoseconds
from dsac_core.data.frame import ALL, Frame
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera_info import camera_from_info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rosbags.interfaces import Connection

    from dsac_core.geometry.camera import Camera

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
POSE_TYPES = (
    "nav_msgs/msg/Odometry",
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
)
TF_STATIC = "/tf_static"


@dataclass(frozen=True)
class BagTopics:
    """Which topics to read; what is None is found by type where there is just one candidate."""

    image: str | None = None  # Image or CompressedImage, colour or gray
    camera_info: str | None = None  # of that image; else beside the image topic
    pose: str | None = None  # Odometry, PoseStamped or PoseWithCovarianceStamped
    depth: str | None = None  # 16UC1 (mm) or 32FC1 (m), registered to the image


class Bag:
    """One rosbag2 folder, or a bare ``.mcap`` file, with images, calibration and poses."""

    def __init__(self, path: Path, topics: BagTopics | None = None) -> None:
        """Find the topics and read all poses and calibrations, but no image.

        Raises:
            DatasetError: The bag is unreadable, or a topic is missing or ambiguous (its message
                lists the topics that could be meant).
        """
        self.name = path.stem
        self._path = path
        topics = topics or BagTopics()
        with _open(path) as reader:
            self._image = self._choose(reader, "image", topics.image, IMAGE_TYPES, colour=True)
            self._depth_choice = topics.depth
            pose = self._choose(reader, "pose", topics.pose, POSE_TYPES)
            info = self._choose(
                reader, "camera_info", topics.camera_info or self._info_beside(reader), (INFO_TYPE,)
            )
            self._cameras = _read_cameras(reader, info)
            self._track = _read_track(reader, pose)
            self._static = _read_static(reader)
            self._stamps = [
                stamp for stamp in _image_stamps(reader, self._image) if self._track.covers(stamp)
            ]
        if not self._stamps:
            msg = (
                f"bag {self.name}: no image on {self._image} has a pose on {pose} at its time;"
                " the stamps of images and poses must come from one clock"
            )
            raise DatasetError(msg)

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether the path looks like a rosbag2."""
        return (path / "metadata.yaml").is_file() or path.suffix == ".mcap"

    def splits(self) -> tuple[str, ...]:
        """A bag has no splits of its own."""
        return (ALL,)

    def count(self, split: str) -> int:
        """How many images have a pose."""
        self._check(split)
        return len(self._stamps)

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        """See ``Dataset.frames``. Depth is that of the very stamp of the image."""
        self._check(split)
        wanted = {
            stamp for index, stamp in enumerate(self._stamps) if indices is None or index in indices
        }
        with _open(self._path) as reader:
            topics = [self._image]
            depth_topic = None
            if with_depth:
                depth_topic = self._choose(
                    reader, "depth", self._depth_choice, IMAGE_TYPES, colour=False
                )
                topics.append(depth_topic)
            pending = _StampPairs()
            for connection, _, raw in reader.messages(connections=_connections(reader, topics)):
                message: Any = reader.deserialize(raw, connection.msgtype)
                stamp = stamp_nanoseconds(message.header.stamp)
                if stamp not in wanted:
                    continue
                if depth_topic is None:
                    yield self._frame(stamp, message, None)
                    continue
                pair = pending.add(stamp, message, is_depth=connection.topic == depth_topic)
                if pair is not None:
                    yield self._frame(stamp, *pair)

    def _frame(self, stamp: int, image: Any, depth: Any | None) -> Frame:
        where = f"bag {self.name}, {self._image}"
        pixels = decode_colour(image, where)
        camera = self._camera_at(stamp)
        if pixels.shape[:2] != (camera.height, camera.width):
            msg = (
                f"{where}: the image is {pixels.shape[1]}x{pixels.shape[0]} but its CameraInfo is"
                f" for {camera.width}x{camera.height}; record the calibration of the image's size"
            )
            raise DatasetError(msg)
        pose_frame = self._track.child_frame or image.header.frame_id
        body_T_cam = self._static.lookup(pose_frame, image.header.frame_id)
        return Frame(
            name=f"{stamp / 1e9:.6f}",
            stamp=stamp / 1e9,
            image=pixels,
            camera=camera,
            world_T_cam=self._track.at(stamp) @ body_T_cam,
            depth=None if depth is None else decode_depth(depth, where),
        )

    def _camera_at(self, stamp: int) -> Camera:
        stamps, cameras = self._cameras
        return cameras[max(bisect.bisect_right(stamps, stamp) - 1, 0)]

    def _check(self, split: str) -> None:
        if split != ALL:
            msg = f"bag {self.name} has no split '{split}': a bag is one split, '{ALL}'"
            raise DatasetError(msg)

    def _info_beside(self, reader: AnyReader) -> str | None:
        """``<namespace>/camera_info`` of the image topic, by the convention of image_transport."""
        base = self._image.removesuffix("/compressed").rsplit("/", 1)[0]
        topic = f"{base}/camera_info"
        return topic if topic in reader.topics else None

    def _choose(
        self,
        reader: AnyReader,
        role: str,
        wanted: str | None,
        types: tuple[str, ...],
        *,
        colour: bool | None = None,
    ) -> str:
        """The topic of a role: the one that was asked for, or the only one of its type."""
        candidates = sorted(
            {connection.topic for connection in reader.connections if connection.msgtype in types}
        )
        option = f"--{role.replace('_', '-')}-topic"
        if wanted is not None:
            if wanted in candidates:
                return wanted
            listed = ", ".join(sorted(f"{c.topic} ({c.msgtype})" for c in reader.connections))
            msg = f"bag {self.name} has no {role} topic '{wanted}'; its topics: {listed}"
            raise DatasetError(msg)
        if colour is not None:
            candidates = [
                topic for topic in candidates if _shows_depth(reader, topic) is not colour
            ]
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            listed = ", ".join(sorted(f"{c.topic} ({c.msgtype})" for c in reader.connections))
            kinds = " or ".join(kind.rsplit("/", 1)[1] for kind in types)
            msg = f"bag {self.name} has no {role} topic ({kinds}); its topics: {listed}"
            raise DatasetError(msg)
        msg = f"bag {self.name} has several {role} topics, choose one with {option}: "
        raise DatasetError(msg + ", ".join(candidates))


class _StampPairs:
    """Joins an image and its depth by their stamp, whichever comes first."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Any, bool]] = {}

    def add(self, stamp: int, message: Any, *, is_depth: bool) -> tuple[Any, Any] | None:
        other = self._waiting.pop(stamp, None)
        if other is None or other[1] is is_depth:
            self._waiting[stamp] = (message, is_depth)
            return None
        return (other[0], message) if is_depth else (message, other[0])


@contextmanager
def _open(path: Path) -> Iterator[AnyReader]:
    try:
        reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        reader.open()
    except (AnyReaderError, OSError, ValueError, AssertionError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path} is not a readable rosbag2: {detail}"
        raise DatasetError(msg) from error
    try:
        yield reader
    finally:
        reader.close()


def _connections(reader: AnyReader, topics: list[str]) -> list[Connection]:
    return [connection for connection in reader.connections if connection.topic in topics]


def _messages(reader: AnyReader, topic: str) -> Iterator[Any]:
    connections = _connections(reader, [topic])
    if not connections:
        return  # to rosbags, no connections mean all of them
    for connection, _, raw in reader.messages(connections=connections):
        yield reader.deserialize(raw, connection.msgtype)


def _shows_depth(reader: AnyReader, topic: str) -> bool:
    first = next(_messages(reader, topic), None)
    return first is not None and is_depth_encoding(first)


def _image_stamps(reader: AnyReader, topic: str) -> list[int]:
    """Stamps of all images in order, from the first bytes of each message alone.

    A serialized message with a header starts with four bytes of encapsulation and the stamp, so
    that hundreds of megabytes of pixels need no decoding.
    """
    stamps = []
    for _, _, raw in reader.messages(connections=_connections(reader, [topic])):
        little_endian = bool(raw[1] & 1)
        seconds, nanoseconds = np.frombuffer(raw[4:12], "<i4" if little_endian else ">i4").tolist()
        stamps.append(seconds * 1_000_000_000 + nanoseconds)
    return stamps


def _read_cameras(reader: AnyReader, topic: str) -> tuple[list[int], list[Camera]]:
    """Calibrations and the stamps from which they hold; a repeated one is kept once."""
    stamps: list[int] = []
    cameras: list[Camera] = []
    for message in _messages(reader, topic):
        camera = camera_from_info(message)
        if not cameras or camera != cameras[-1]:
            stamps.append(stamp_nanoseconds(message.header.stamp))
            cameras.append(camera)
    if not cameras:
        msg = f"{topic} has no message: images without a CameraInfo cannot be used"
        raise DatasetError(msg)
    return stamps, cameras


def _read_track(reader: AnyReader, topic: str) -> PoseTrack:
    track = PoseTrack()
    for message in _messages(reader, topic):
        track.add(message)
    track.finish(topic)
    return track


def _read_static(reader: AnyReader) -> StaticTransforms:
    static = StaticTransforms()
    for message in _messages(reader, TF_STATIC):
        static.add(message)
    return static
