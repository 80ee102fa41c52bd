# SPDX-License-Identifier: Apache-2.0
"""Which topic of a bag plays which role: by type where there is one candidate, else as told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsac_core.data.bag_image import is_depth_encoding
from dsac_core.data.bag_reader import messages
from dsac_core.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPES = ("sensor_msgs/msg/CameraInfo",)
POSE_TYPES = (
    "nav_msgs/msg/Odometry",
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
)
TF_TYPE = "tf2_msgs/msg/TFMessage"
TF = "/tf"


@dataclass(frozen=True)
class BagTopics:
    """What to read of a bag; a topic that is None is found by type where there is just one.

    Poses are of a topic, of TF, or of a file.

    Raises:
        ConfigError: Poses are to be of two of them.
    """

    image: str | None = None  # Image or CompressedImage, colour or gray
    camera_info: str | None = None  # of that image; else beside the image topic
    pose: str | None = None  # Odometry, PoseStamped, PoseWithCovarianceStamped or TFMessage
    depth: str | None = None  # 16UC1 (mm) or 32FC1 (m), registered to the image
    world_frame: str | None = None  # poses are those of the camera in this frame of TF
    poses: str | None = None  # a file in TUM's format, with the poses
    pose_frame: str | None = None  # which frame the poses are of, where that is not said by them
    keyframes: int | None = None  # of any recording: if it has more images, so many of them

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        given = {
            "--poses": self.poses,
            "--pose-topic": self.pose if self.world_frame is None else None,
            "--world-frame": self.world_frame,
        }
        named = [option for option, value in given.items() if value is not None]
        if len(named) > 1:
            msg = f"{' and '.join(named)} name two sources of poses: choose one of them"
            raise ConfigError(msg)
        if self.keyframes is not None and self.keyframes < 1:
            msg = f"there must be at least 1 keyframe, got {self.keyframes}"
            raise ConfigError(msg)


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

    def has_depth(self) -> bool:
        """Whether there is a topic of depth images."""
        return any(map(self._shows_depth, self._of_types(IMAGE_TYPES)))

    def pose(self) -> str:
        """The poses: where no other topic has any, those of TF."""
        wanted = self._topics.pose
        if self._topics.world_frame is not None:
            return self._choose("TF", wanted or TF, (TF_TYPE,))
        if wanted is not None:
            return self._choose("pose", wanted, (*POSE_TYPES, TF_TYPE))
        if not self._of_types(POSE_TYPES) and TF in self._of_types((TF_TYPE,)):
            return TF
        return self._choose("pose", None, POSE_TYPES)

    def is_tf(self, topic: str) -> bool:
        """Whether a topic carries transforms."""
        return topic in self._of_types((TF_TYPE,))

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
        candidates = self._of_types(types)
        connections = self._reader.connections
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
        if role == "pose" and self.is_tf(TF):
            msg = msg.replace(option, f"{option}, or TF with --world-frame")
        raise DatasetError(msg + ", ".join(candidates))

    def _of_types(self, types: tuple[str, ...]) -> list[str]:
        return sorted({c.topic for c in self._reader.connections if c.msgtype in types})

    def _shows_depth(self, topic: str) -> bool:
        first = next(messages(self._reader, topic), None)
        return first is not None and is_depth_encoding(first)
