# SPDX-License-Identifier: Apache-2.0
"""rosbag2 (sqlite3 or MCAP) as a dataset: no ROS is needed to read one."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.data.bag_camera_poses import read_camera_poses
from dsac_core.data.bag_image import decode_colour, decode_depth, stored_image
from dsac_core.data.bag_reader import (
    header_stamp,
    header_stamps,
    messages,
    open_bag,
    raw_messages,
    stamp_nanoseconds,
)
from dsac_core.data.bag_topics import BagTopics, TopicChooser
from dsac_core.data.frame import ALL
from dsac_core.data.stored_frame import StoredFrame
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera_info import camera_from_info

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from rosbags.highlevel import AnyReader

    from dsac_core.geometry.camera import Camera


class Bag:
    """One rosbag2 folder, or a bare ``.mcap`` file, with images, calibration and poses."""

    def __init__(self, path: Path, topics: BagTopics | None = None) -> None:
        """Find the topics and read all poses and calibrations, but no image.

        Raises:
            DatasetError: The bag is unreadable, or a topic is missing or ambiguous (its message
                lists the topics that could be meant), or poses and images have no common frame
                or no common time.
        """
        self.name = path.stem
        self._path = path
        self._topics = topics or BagTopics()
        with open_bag(path) as reader:
            chooser = TopicChooser(reader, self.name, self._topics)
            self._image = chooser.image()
            info = chooser.camera_info(self._image)
            self._cameras = _Calibrations(info)
            camera_frame = _frame_of(reader, self._image) or _frame_of(reader, info)
            poses, stamps = read_camera_poses(
                *(reader, chooser, self._topics, camera_frame),
                {info: self._cameras.add},
                self._image,
            )
        self._cameras.check()
        found = {stamp: poses.at(stamp) for stamp in stamps}
        self._poses = {stamp: pose for stamp, pose in found.items() if pose is not None}
        if not self._poses:
            msg = (
                f"bag {self.name}: no image on {self._image} has a pose at its time, of"
                f" {poses.words}; the stamps of images and poses must come from one clock"
            )
            raise DatasetError(msg)
        self.kind = f"rosbag2, images on {self._image}, {poses.words}"
        without = len(found) - len(self._poses)
        if without:
            self.kind += f" (none for {without} images)"

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
        return len(self._poses)

    def poses(self, split: str) -> NDArray[np.float64]:
        """world_T_cam of each frame [N x 4 x 4]; no image is read for it."""
        self._check(split)
        return np.array(list(self._poses.values()))

    def has_depth(self) -> bool:
        """Whether a topic has depth."""
        if self._topics.depth is not None:
            return True
        with open_bag(self._path) as reader:
            return TopicChooser(reader, self.name, self._topics).has_depth()

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[StoredFrame]:
        """See ``Dataset.frames``. Depth is that of the very stamp of the image, or none."""
        self._check(split)
        wanted = {
            stamp for index, stamp in enumerate(self._poses) if indices is None or index in indices
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
                    if not wanted:
                        return

    def _frame(self, stamp: int, image: Any, depth: Any | None = None) -> StoredFrame:
        where = f"bag {self.name}, {self._image}"
        pixels = decode_colour(image, where)
        camera = self._cameras.at(stamp)
        if pixels.shape[:2] != (camera.height, camera.width):
            msg = (
                f"{where}: the image is {pixels.shape[1]}x{pixels.shape[0]} but its CameraInfo is"
                f" for {camera.width}x{camera.height}; record the calibration of the image's size"
            )
            raise DatasetError(msg)
        return StoredFrame(
            name=f"{stamp / 1e9:.6f}",
            stamp=stamp / 1e9,
            image=pixels,
            camera=camera,
            world_T_cam=self._poses[stamp],
            depth=None if depth is None else decode_depth(depth, where),
            stored=stored_image(image),
        )

    def _check(self, split: str) -> None:
        if split != ALL:
            msg = f"bag {self.name} has no split '{split}': a bag is one split, '{ALL}'"
            raise DatasetError(msg)


class _Calibrations:
    """Cameras and the stamps from which they hold; a repeated one is kept once."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._stamps: list[int] = []
        self._cameras: list[Camera] = []

    def add(self, info: Any) -> None:
        camera = camera_from_info(info)
        if not self._cameras or camera != self._cameras[-1]:
            self._stamps.append(stamp_nanoseconds(info.header.stamp))
            self._cameras.append(camera)

    def check(self) -> None:
        if not self._cameras:
            msg = f"{self._topic} has no message: images without a CameraInfo cannot be used"
            raise DatasetError(msg)

    def at(self, stamp: int) -> Camera:
        return self._cameras[max(bisect.bisect_right(self._stamps, stamp) - 1, 0)]


def _frame_of(reader: AnyReader, topic: str) -> str:
    """Of the first message; empty where it names none."""
    first = next(messages(reader, topic), None)
    return "" if first is None else str(first.header.frame_id)
