# SPDX-License-Identifier: Apache-2.0
"""Images that come with a service call, localized on their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsac_core.data.bag_image import decode_depth
from dsac_core.errors import DsacError
from dsac_ros.camera_info import CameraCache
from dsac_ros.frames import is_honest
from dsac_ros.images import ImageDecoder
from dsac_ros.requests import Answer
from dsac_ros.stamps import NANOSECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsac_ros.scene_set import SceneSet
    from dsac_ros.srv import LocalizeImage


def localize_image(query: LocalizeImage.Request, scenes: SceneSet) -> Answer:
    """What one image says of where its camera is. Decodes and localizes: not for a callback."""
    compressed = not query.image.data
    message = query.compressed if compressed else query.image
    stamp = message.header.stamp.sec * NANOSECONDS + message.header.stamp.nanosec
    frame_id = message.header.frame_id
    try:
        if compressed and not query.compressed.data:
            return Answer("the request has no image: fill image or compressed", stamp, frame_id)
        image = ImageDecoder().decode(message)
        height, width = image.shape[:2]
        camera = CameraCache().get(query.camera_info, width, height, rectified=query.rectified)
        depth = _depth(query)
        scene, estimate = scenes.localize(image, camera, depth, scene=query.scene)
    except DsacError as error:
        return Answer(str(error), stamp, frame_id)
    reason, pose, covariance = estimate.reason, estimate.world_T_cam, estimate.covariance
    if not estimate.localized:
        pose = covariance = None
    elif covariance is None or not is_honest(covariance):
        reason, pose, covariance = "the pose has no usable covariance", None, None
    return Answer(reason, stamp, frame_id, scene, pose, covariance, estimate)


def _depth(query: LocalizeImage.Request) -> NDArray[np.float32] | None:
    return decode_depth(query.depth, "the request") if query.depth.data else None
