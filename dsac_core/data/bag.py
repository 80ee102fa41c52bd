# SPDX-License-Identifier: Apache-2.0
"""rosbag2 (sqlite3 or MCAP) as a dataset: no ROS is needed to read one."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

from dsac_core.data.bag_image import decode_colour, decode_depth
from dsac_core.data.bag_poses import StaticTransforms, read_track
from dsac_core.data.bag_reader import (
    header_stamp,
    header_stamps,
    messages,
    open_bag,
    raw_messages,
    stamp_nanoseconds,
)
from dsac_core.data.bag_topics import TF_STATIC, BagTopics, TopicChooser
from dsac_core.data.frame import ALL, Frame
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera_info import camera_from_info

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from rosbags.highlevel import AnyReader

    from dsac_core.geometry.camera import Camera


class Bag:
    """One rosbag2 folder, or a bare ``.mcap`` file, with images, calibration and poses."""

    kind = "rosbag2"

    def __init__(self, path: Path, topics: BagTopics | None = None) -> None:
        """Find the topics and read all poses and calibrations, but no image.

        Raises:
            DatasetError: The bag is unreadable, or a topic is missing or ambiguous (its message
                lists the topics that could be meant).
        """
        self.name = path.stem
        self._path = path
        self._topics = topics or BagTopics()
        with open_bag(path) as reader:
            chooser = TopicChooser(reader, self.name, self._topics)
            self._image = chooser.image()
            pose = chooser.pose()
            self._cameras = _read_cameras(reader, chooser.camera_info(self._image))
            self._track = read_track(reader, pose)
            self._static = _read_static(reader)
            stamps = dict.fromkeys(header_stamps(reader, self._image))  # each once, in order
        self._stamps = [stamp for stamp in stamps if self._pose_at(stamp) is not None]
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
        """See ``Dataset.frames``. Depth is that of the very stamp of the image, or none."""
        self._check(split)
        wanted = {
            stamp for index, stamp in enumerate(self._stamps) if indices is None or index in indices
        }
        with open_bag(self._path) as reader:
            topics, paired = [self._image], set[int]()
            if with_depth:
                topics.append(TopicChooser(reader, self.name, self._topics).depth())
                paired = wanted.intersection(header_stamps(reader, topics[1]))
                if not paired:
                    msg = (
                        f"bag {self.name}: no image on {topics[1]} has the stamp of one on"
                        f" {topics[0]}: record depth that is registered to the colour image"
                    )
                    raise DatasetError(msg)
            waiting: dict[int, dict[str, Any]] = {}
            for topic, kind, raw in raw_messages(reader, *topics):
                stamp = header_stamp(raw)
                if stamp not in wanted or (topic != self._image and stamp not in paired):
                    continue
                arrived = waiting.setdefault(stamp, {})
                arrived[topic] = reader.deserialize(raw, kind)
                if len(arrived) == (2 if stamp in paired else 1):
                    wanted.remove(stamp)
                    del waiting[stamp]
                    yield self._frame(stamp, *(arrived.get(topic) for topic in topics))

    def _frame(self, stamp: int, image: Any, depth: Any | None = None) -> Frame:
        where = f"bag {self.name}, {self._image}"
        pixels = decode_colour(image, where)
        camera = self._camera_at(stamp)
        if pixels.shape[:2] != (camera.height, camera.width):
            msg = (
                f"{where}: the image is {pixels.shape[1]}x{pixels.shape[0]} but its CameraInfo is"
                f" for {camera.width}x{camera.height}; record the calibration of the image's size"
            )
            raise DatasetError(msg)
        world_T_body = self._pose_at(stamp)
        assert world_T_body is not None  # only such stamps are kept
        pose_frame = self._track.body_frame or image.header.frame_id
        body_T_cam = self._static.lookup(pose_frame, image.header.frame_id)
        return Frame(
            name=f"{stamp / 1e9:.6f}",
            stamp=stamp / 1e9,
            image=pixels,
            camera=camera,
            world_T_cam=world_T_body @ body_T_cam,
            depth=None if depth is None else decode_depth(depth, where),
        )

    def _pose_at(self, stamp: int) -> NDArray[np.float64] | None:
        return self._track.world_T_body.at(stamp)

    def _camera_at(self, stamp: int) -> Camera:
        stamps, cameras = self._cameras
        return cameras[max(bisect.bisect_right(stamps, stamp) - 1, 0)]

    def _check(self, split: str) -> None:
        if split != ALL:
            msg = f"bag {self.name} has no split '{split}': a bag is one split, '{ALL}'"
            raise DatasetError(msg)


def _read_cameras(reader: AnyReader, topic: str) -> tuple[list[int], list[Camera]]:
    """Calibrations and the stamps from which they hold; a repeated one is kept once."""
    stamps: list[int] = []
    cameras: list[Camera] = []
    for message in messages(reader, topic):
        camera = camera_from_info(message)
        if not cameras or camera != cameras[-1]:
            stamps.append(stamp_nanoseconds(message.header.stamp))
            cameras.append(camera)
    if not cameras:
        msg = f"{topic} has no message: images without a CameraInfo cannot be used"
        raise DatasetError(msg)
    return stamps, cameras


def _read_static(reader: AnyReader) -> StaticTransforms:
    static = StaticTransforms()
    for message in messages(reader, TF_STATIC):
        static.add(message)
    return static
