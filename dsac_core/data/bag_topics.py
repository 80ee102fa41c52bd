# SPDX-License-Identifier: Apache-2.0
"""Which topic of a bag plays which role: by type where there is one candidate, else as told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsac_core.data.bag_image import is_depth_encoding
from dsac_core.data.bag_reader import messages
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPES = ("sensor_msgs/msg/CameraInfo",)
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


class TopicChooser:
    """Chooses among the topics of one open bag.

    Each method raises DatasetError where the topic is missing (the message lists the topics that
    there are) or ambiguous (it lists the candidates and the option that chooses).
    """

    def __init__(self, reader: AnyReader, bag: str, topics: BagTopics) -> None:
        """Take an open bag, its name, and what the user said."""
        self._reader = reader
        self._bag = bag
        self._topics = topics

    def image(self) -> str:
        """The colour images."""
        return self._choose("image", self._topics.image, IMAGE_TYPES, depth=False)

    def depth(self) -> str:
        """The depth images."""
        return self._choose("depth", self._topics.depth, IMAGE_TYPES, depth=True)

    def pose(self) -> str:
        """The poses."""
        return self._choose("pose", self._topics.pose, POSE_TYPES)

    def camera_info(self, image_topic: str) -> str:
        """The calibration: ``camera_info`` beside the image, by image_transport's convention."""
        base = image_topic.removesuffix("/compressed").rsplit("/", 1)[0]
        beside = f"{base}/camera_info"
        wanted = self._topics.camera_info
        if wanted is None and beside in self._reader.topics:
            wanted = beside
        return self._choose("camera_info", wanted, INFO_TYPES)

    def _choose(
        self, role: str, wanted: str | None, types: tuple[str, ...], *, depth: bool | None = None
    ) -> str:
        connections = self._reader.connections
        candidates = sorted({c.topic for c in connections if c.msgtype in types})
        listed = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in connections}))
        if wanted is not None:
            if wanted in candidates:
                return wanted
            msg = f"bag {self._bag} has no {role} topic '{wanted}'; its topics: {listed}"
            raise DatasetError(msg)
        if depth is not None:
            candidates = [topic for topic in candidates if self._shows_depth(topic) is depth]
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            kinds = " or ".join(kind.rsplit("/", 1)[1] for kind in types)
            msg = f"bag {self._bag} has no {role} topic ({kinds}); its topics: {listed}"
            raise DatasetError(msg)
        option = f"--{role.replace('_', '-')}-topic"
        msg = f"bag {self._bag} has several {role} topics, choose one with {option}: "
        raise DatasetError(msg + ", ".join(candidates))

    def _shows_depth(self, topic: str) -> bool:
        first = next(messages(self._reader, topic), None)
        return first is not None and is_depth_encoding(first)
