# SPDX-License-Identifier: Apache-2.0
"""Images and depth as a camera of another size sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera

_SAME_FOCAL_LENGTH = 0.05  # relative difference up to which an image is not resized


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """H x W gray of an RGB or gray image."""
    if image.ndim == 2:
        return image
    import cv2

    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The image in another size; what shrinks is averaged."""
    if image.shape[:2] == (height, width):
        return image
    import cv2

    method = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def resize_to_focal_length(
    image: NDArray[np.uint8], camera: Camera, reference: Camera
) -> tuple[NDArray[np.uint8], Camera]:
    """The image as a camera with the focal length of ``reference`` would have taken it.

    The network learned how the scene looks at that focal length; an image that is already within
    five percent stays as it is.
    """
    factor = (reference.fx + reference.fy) / (camera.fx + camera.fy)
    if abs(factor - 1.0) <= _SAME_FOCAL_LENGTH:
        return image, camera
    width, height = max(32, round(camera.width * factor)), max(32, round(camera.height * factor))
    return resize(image, width, height), camera.scaled(width, height)


def depth_at(
    depth_HW: NDArray[np.float32], pixels_N2: NDArray[np.float64], camera: Camera
) -> NDArray[np.float32]:
    """Depth [N] at pixels of the camera, whose image may be a resized one; 0 outside of it."""
    height, width = depth_HW.shape
    scale = np.array([width / camera.width, height / camera.height])
    nearest = np.rint((pixels_N2 + 0.5) * scale - 0.5)
    inside = ((nearest >= 0) & (nearest < [width, height])).all(axis=1)  # false for NaN
    column, row = np.where(inside[:, None], nearest, 0).astype(np.int64).T
    return np.where(inside, depth_HW[row, column], 0.0).astype(np.float32)
