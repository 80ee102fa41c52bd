# SPDX-License-Identifier: Apache-2.0
"""What people look at, made and sent only while somebody does."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from sensor_msgs.msg import Image, PointCloud2, PointField

from dsac_core.errors import DsacError
from dsac_ros.debug_image import Caption, draw_debug_image
from dsac_ros.messages import time_message
from dsac_ros.qos import overridable
from dsac_ros.scene_points import POINT, scene_points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rclpy.lifecycle import LifecycleNode

    from dsac_core.geometry.camera import Camera
    from dsac_ros.image_records import Frame, Outcome
    from dsac_ros.reprojection import Reprojection

    ByteImage = NDArray[np.uint8]
    FloatArray = NDArray[np.float64]


MAX_RATE = 5.0  # Hz
_PAUSE = 3.0  # times what the last took: looking again must not cost the robot its poses


class Explain(Protocol):
    """See dsac_ros.reprojection.explain, of one relocalizer."""

    def __call__(
        self, image: ByteImage, camera: Camera, map_T_cam: FloatArray | None, /
    ) -> Reprojection:
        """What is seen in an image; raises DsacError."""
        ...


class Pictures:
    """The publishers of the debug image and of the cloud of scene points.

    Args:
        node: Owns the publishers.
        map_frame: Frame of the scene points.
        max_rate: Hz at which they are made at most.
    """

    def __init__(self, node: LifecycleNode, map_frame: str, max_rate: float = MAX_RATE) -> None:
        """Create the publishers."""
        self._node = node
        self._map_frame = map_frame
        self._period = 1.0 / max_rate
        self._next = -math.inf  # s, time.monotonic, from when on they are made again
        # Reliable, which every subscriber can have; of what is late only the newest counts.
        publisher = node.create_lifecycle_publisher
        self._image = publisher(Image, "~/debug_image", 1, **overridable())
        self._points = publisher(PointCloud2, "~/scene_points", 1, **overridable())

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes to anything here; else nothing need be computed."""
        return self._has_subscribers(self._image) or self._has_subscribers(self._points)

    def show(
        self,
        frame: Frame,
        outcome: Outcome,
        *,
        scene: str,
        explain: Explain | None,
        latency: float,
    ) -> None:
        """Send what somebody subscribes to, unless it was sent just now.

        Args:
            frame: The image that was worked on.
            outcome: What it came to.
            scene: Name of the scene that answered.
            explain: What is seen in an image in that scene; None where that is not known.
            latency: Seconds from the arrival of the image to its pose.
        """
        start = time.monotonic()
        if outcome.skipped or start < self._next or not self.wanted:
            return
        try:
            self._show(frame, outcome, scene, explain, latency)
        except DsacError:
            return  # of the image, so the reason is in the status
        finally:
            end = time.monotonic()
            self._next = max(start + self._period, end + _PAUSE * (end - start))

    def _show(
        self, frame: Frame, outcome: Outcome, scene: str, explain: Explain | None, latency: float
    ) -> None:
        image = frame.decode()
        estimate, caption = outcome.estimate, Caption(outcome.state, scene, reason=outcome.reason)
        reprojection = None
        if estimate is not None:
            caption = Caption(
                outcome.state,
                scene,
                estimate.inliers,
                estimate.correspondences,
                estimate.confidence,
                latency,
                outcome.reason,
            )
            if explain is not None:
                camera = frame.camera(image.shape[1], image.shape[0])
                reprojection = explain(image, camera, estimate.world_T_cam)
        self.publish(image, reprojection, caption, stamp=outcome.stamp, frame_id=outcome.frame_id)

    def publish(
        self,
        image: ByteImage,
        reprojection: Reprojection | None,
        caption: Caption,
        *,
        stamp: int,
        frame_id: str,
    ) -> None:
        """Send what somebody subscribes to.

        Args:
            image: H x W x 3 (RGB) or H x W (grey).
            reprojection: What was seen in it; None where nothing was.
            caption: The text of the debug image.
            stamp: Of the image, nanoseconds.
            frame_id: Of the camera's optical frame.
        """
        if self._has_subscribers(self._image):
            drawn = draw_debug_image(image, reprojection, caption)
            self._image.publish(image_message(drawn, frame_id, stamp))
        if reprojection is not None and self._has_subscribers(self._points):
            records = scene_points(image, reprojection)
            self._points.publish(cloud_message(records, self._map_frame, stamp))

    def close(self) -> None:
        """Destroy the publishers."""
        self._node.destroy_lifecycle_publisher(self._image)
        self._node.destroy_lifecycle_publisher(self._points)

    @staticmethod
    def _has_subscribers(publisher: Any) -> bool:
        return bool(publisher.get_subscription_count() > 0)


def image_message(image: ByteImage, frame_id: str, stamp: int) -> Image:
    """An RGB image [H x W x 3], at ``stamp`` nanoseconds."""
    height, width = image.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.header.frame_id = frame_id
    message.header.stamp = time_message(stamp)
    message.data = image.tobytes()
    return message


def cloud_message(records: NDArray[Any], frame_id: str, stamp: int) -> PointCloud2:
    """Records [N] of type ``POINT``, at ``stamp`` nanoseconds."""
    message = PointCloud2(height=1, width=len(records), is_dense=True, is_bigendian=False)
    message.header.frame_id = frame_id
    message.header.stamp = time_message(stamp)
    offsets = {name: field[1] for name, field in (POINT.fields or {}).items()}
    message.fields = [
        PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
        for name, offset in offsets.items()
    ]
    message.point_step = POINT.itemsize
    message.row_step = POINT.itemsize * len(records)
    message.data = records.tobytes()
    return message
