# SPDX-License-Identifier: Apache-2.0
"""What the node receives: images and their calibration. No callback does more than keep it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsac_core.errors import CameraError
from dsac_ros.camera_info import CameraCache
from dsac_ros.images import ImageDecoder
from dsac_ros.mailbox import Mailbox
from dsac_ros.pipeline import Frame
from dsac_ros.stamps import NANOSECONDS, StampFilter, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node

    from dsac_core.geometry.camera import Camera
    from dsac_ros.parameters import Settings


@dataclass(frozen=True)
class Arrival:
    """An image message, and when it came."""

    message: Image | CompressedImage
    stamp: int  # ns, of the image
    arrival: int  # ns, the node's clock
    steady: float  # s, time.monotonic


class Inputs:
    """The subscriptions of one configured node.

    Args:
        node: Owns the subscriptions.
        settings: The node's parameters.
        on_reset: Called when the stamps jumped back, before the first image after the jump.
    """

    def __init__(self, node: Node, settings: Settings, on_reset: Callable[[], None]) -> None:
        """Subscribe; images are ignored until ``open``."""
        self._node = node
        self._on_reset = on_reset
        self._decoder = ImageDecoder()
        self._cameras = CameraCache()
        self._info: CameraInfo | None = None
        self._stamps = StampFilter(max_age=settings.max_age)
        self._mailbox: Mailbox[Arrival] | None = None

        image_topic = settings.image_topic
        compressed = settings.image_transport == "compressed"
        info_topic = settings.camera_info_topic or beside(image_topic, "camera_info")
        self._subscriptions = [
            node.create_subscription(
                CompressedImage if compressed else Image,
                f"{image_topic}/compressed" if compressed else image_topic,
                self._on_image,
                qos_profile_sensor_data,
            ),
            node.create_subscription(
                CameraInfo, info_topic, self._on_camera_info, qos_profile_sensor_data
            ),
        ]
        self.image_topic, self.info_topic = (s.topic_name for s in self._subscriptions)
        self._rectified = settings.image_geometry == "rectified" or (
            settings.image_geometry == "auto"
            and self.image_topic.removesuffix("/compressed").split("/")[-1].startswith("image_rect")
        )

    def open(self) -> Mailbox[Arrival]:
        """From now on the newest image waits in the mailbox that this returns."""
        self._stamps = StampFilter(max_age=self._stamps.max_age)
        self._mailbox = Mailbox()
        return self._mailbox

    def apply(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._stamps.max_age = settings.max_age

    def shut(self) -> None:
        """Ignore images again."""
        self._mailbox = None

    def reset(self) -> None:
        """Forget what waits and which stamps were seen, as after a jump of the clock."""
        self._stamps.reset()
        if self._mailbox is not None:
            self._mailbox.clear()

    def close(self) -> None:
        """Unsubscribe."""
        self.shut()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    @property
    def received(self) -> int:
        """Images since ``open``."""
        return sum(self._stamps.counts.values())

    @property
    def dropped(self) -> int:
        """Those of them that nobody worked on."""
        return self._stamps.dropped + (self._mailbox.dropped if self._mailbox else 0)

    def frame(self, arrival: Arrival) -> Frame:
        """What the pipeline needs of an image; decoding waits until the worker asks."""
        message = arrival.message
        return Frame(
            stamp=arrival.stamp,
            frame_id=message.header.frame_id,
            decode=lambda: self._decoder.decode(message),
            camera=self._camera,
        )

    def _camera(self, width: int, height: int) -> Camera:
        info = self._info
        if info is None:
            msg = f"no camera_info yet on {self.info_topic}"
            raise CameraError(msg)
        return self._cameras.get(info, width, height, rectified=self._rectified)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_image(self, message: Image | CompressedImage) -> None:
        mailbox = self._mailbox
        if mailbox is None:
            return
        now = self._node.get_clock().now().nanoseconds
        logger = self._node.get_logger()
        if now == 0:
            logger.warning(
                "use_sim_time is set, but no /clock comes: images are dropped",
                throttle_duration_sec=5.0,
            )
            self._stamps.counts[Verdict.STALE] += 1
            return
        stamp = message.header.stamp.sec * NANOSECONDS + message.header.stamp.nanosec
        verdict = self._stamps.check(stamp, now)
        if verdict is Verdict.RESET:
            logger.warning("the stamps of the images jumped back: starting over")
            self._on_reset()
        elif not verdict.usable:
            logger.warning(f"image dropped: {verdict.value}", throttle_duration_sec=5.0)
        if verdict.usable:
            mailbox.put(Arrival(message, stamp, now, time.monotonic()))


def beside(topic: str, name: str) -> str:
    """The topic of that name in the same namespace: /camera/image_raw -> /camera/camera_info."""
    namespace, slash, _ = topic.rpartition("/")
    return f"{namespace}{slash}{name}"
