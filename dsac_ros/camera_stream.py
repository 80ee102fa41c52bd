# SPDX-License-Identifier: Apache-2.0
"""What one camera sends: images, their calibration, and depth. No callback does more than keep."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsac_core.data.bag_image import decode_depth
from dsac_core.errors import CameraError, DsacError
from dsac_ros.camera_diagnostics import CameraDiagnostics
from dsac_ros.camera_info import CameraCache
from dsac_ros.depth_buffer import DepthBuffer
from dsac_ros.image_records import Frame
from dsac_ros.images import ImageDecoder, ImageError
from dsac_ros.qos import subscribe_to_sensor
from dsac_ros.stamps import NANOSECONDS, StampFilter, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from rclpy.node import Node
    from rclpy.subscription import Subscription

    from dsac_core.geometry.camera import Camera
    from dsac_ros.parameters import Settings


@dataclass(frozen=True)
class Arrival:
    """An image message, and when it came."""

    message: Image | CompressedImage
    stamp: int  # ns, of the image
    arrival: int  # ns, the node's clock
    steady: float  # s, time.monotonic
    camera: str = ""  # which of several


class CameraStream:
    """The subscriptions for one camera.

    Args:
        node: Owns the subscriptions.
        settings: The node's parameters.
        camera: Its name, which its topics begin with; empty where there is only one.
        on_image: Takes the images whose stamps are good.
        on_jump: Called when the stamps jumped back, before the first image after the jump.
    """

    def __init__(
        self,
        node: Node,
        settings: Settings,
        camera: str,
        on_image: Callable[[Arrival], None],
        on_jump: Callable[[], None],
    ) -> None:
        """Subscribe, to all or to nothing."""
        self._node, self._settings, self._camera_name = node, settings, camera
        self._on_good_image, self._on_jump = on_image, on_jump
        self._decoder, self._cameras = ImageDecoder(), CameraCache()
        self._info: CameraInfo | None = None
        self._depths: DepthBuffer[Image | CompressedImage] = DepthBuffer()
        self.stamps = StampFilter(max_age=settings.max_age)
        self._listening = False

        image_topic = _of(camera, settings.image_topic)
        info_topic = _of(camera, settings.camera_info_topic) or beside(image_topic, "camera_info")
        transport = settings.image_transport
        wanted: list[tuple[type, str, Callable[[Any], None]]] = [
            (_message_of(transport), _over(image_topic, transport), self._on_image),
            (CameraInfo, info_topic, self._on_camera_info),
        ]
        if settings.rgbd:
            depth_topic, transport = _of(camera, settings.depth_topic), settings.depth_transport
            wanted.append((_message_of(transport), _over(depth_topic, transport), self._on_depth))
        self._subscriptions: list[Subscription] = []
        try:
            for kind, topic, callback in wanted:
                self._subscriptions.append(subscribe_to_sensor(node, kind, topic, callback))
        except Exception:
            self.close()
            raise
        topics = [subscription.topic_name for subscription in self._subscriptions]
        self.image_topic, self.info_topic = topics[:2]
        self.depth_topic = topics[2] if settings.rgbd else ""
        self.diagnostics = CameraDiagnostics(
            self.image_topic,
            self.info_topic,
            settings.image_transport,
            self.depth_topic,
            task=f"camera {camera}".strip(),
        )
        self._rectified = settings.image_geometry == "rectified" or (
            settings.image_geometry == "auto"
            and self.image_topic.removesuffix("/compressed").split("/")[-1].startswith("image_rect")
        )

    def open(self) -> None:
        """From now on images count, from zero."""
        self.stamps = StampFilter(max_age=self.stamps.max_age)
        self._depths.clear()
        self._listening = True
        self.diagnostics.open(time.monotonic())

    def shut(self) -> None:
        """Ignore images again."""
        self._listening = False
        self.diagnostics.shut()

    def reset(self) -> None:
        """Forget which stamps were seen, as after a jump of the clock."""
        self.stamps.reset()
        self._depths.clear()

    def apply(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings = settings
        self.stamps.max_age = settings.max_age

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def frame(self, arrival: Arrival) -> Frame:
        """What the pipeline needs of an image; decoding waits until the worker asks."""
        message = arrival.message
        return Frame(
            stamp=arrival.stamp,
            frame_id=message.header.frame_id,
            decode=lambda: self._decoder.decode(message),
            camera=self._camera,
            depth=partial(self._depth_at, arrival.stamp) if self.depth_topic else None,
        )

    def _camera(self, width: int, height: int) -> Camera:
        info = self._info
        if info is None:
            msg = f"no camera_info yet on {self.info_topic}"
            raise CameraError(msg)
        return self._cameras.get(info, width, height, rectified=self._rectified)

    def _depth_at(self, stamp: int) -> NDArray[np.float32]:
        settings = self._settings
        message = self._depths.take(stamp, settings.depth_slop, settings.depth_timeout)
        if message is None:
            msg = f"none on {self.depth_topic} within {1e3 * settings.depth_slop:g} ms of the image"
            raise ImageError(msg)
        try:
            return decode_depth(message, self.depth_topic)
        except DsacError as error:
            raise ImageError(str(error)) from error

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._info = message
        self.diagnostics.on_camera_info(time.monotonic())

    def _on_depth(self, message: Image | CompressedImage) -> None:
        self._depths.put(_stamp(message), message)
        self.diagnostics.on_depth(time.monotonic())

    def _on_image(self, message: Image | CompressedImage) -> None:
        if not self._listening:
            return
        self.diagnostics.on_image(time.monotonic(), message.header.frame_id)
        now = self._node.get_clock().now().nanoseconds
        logger = self._node.get_logger()
        if now == 0:
            logger.warning(
                "use_sim_time is set, but no /clock comes: images are dropped",
                throttle_duration_sec=5.0,
            )
            self.stamps.counts[Verdict.STALE] += 1
            return
        stamp = _stamp(message)
        verdict = self.stamps.check(stamp, now)
        if verdict is Verdict.RESET:
            logger.warning("the stamps of the images jumped back: starting over")
            self._on_jump()
        elif not verdict.usable:
            logger.warning(f"image dropped: {verdict.value}", throttle_duration_sec=5.0)
        if verdict.usable:
            steady = time.monotonic()
            self._on_good_image(Arrival(message, stamp, now, steady, self._camera_name))


def beside(topic: str, name: str) -> str:
    """The topic of that name in the same namespace: /camera/image_raw -> /camera/camera_info."""
    namespace, slash, _ = topic.rpartition("/")
    return f"{namespace}{slash}{name}"


def _of(camera: str, topic: str) -> str:
    """A topic of one of several cameras: left/image_raw."""
    return f"{camera}/{topic}" if camera and topic else topic


def _over(topic: str, transport: str) -> str:
    """The topic that image_transport makes of another one."""
    return topic if transport == "raw" else f"{topic}/{transport}"


def _message_of(transport: str) -> type[Image | CompressedImage]:
    kind: type[Image | CompressedImage] = Image if transport == "raw" else CompressedImage
    return kind


def _stamp(message: Image | CompressedImage) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)
