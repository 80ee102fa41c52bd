# SPDX-License-Identifier: Apache-2.0
"""The image that an ideal pinhole camera of the same calibration matrix would have taken."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.geometry.camera import NO_DISTORTION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera


def rectify(
    image: NDArray[Any], camera: Camera, *, nearest: bool = False
) -> tuple[NDArray[Any], Camera, NDArray[np.bool_] | None]:
    """Take the distortion out of an image; one without distortion comes back as it is.

    Args:
        image: H x W or H x W x 3, of ``camera``.
        camera: With its distortion.
        nearest: Take pixels as they are instead of mixing them: for depth.

    Returns:
        The image, zero where the lens did not look; its camera, of the same K; and where the lens
        did look [H x W], None for everywhere.
    """
    if not camera.is_distorted:
        return image, camera, None
    import cv2

    map_x, map_y, seen = _sampling(camera)
    method = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    rectified = cv2.remap(image, map_x, map_y, method, borderMode=cv2.BORDER_CONSTANT)
    return rectified, replace(camera, distortion_model=NO_DISTORTION, distortion=()), seen


@lru_cache(maxsize=8)
def _sampling(
    camera: Camera,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Where each pixel of the ideal image is in the distorted one (x, y), and whether it is."""
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    ideal = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    distorted = camera.distort(ideal)
    # A polynomial folds back far from the centre: there, another ray has that pixel.
    back = camera.undistort(distorted)
    limit = np.array([camera.width, camera.height]) - 0.5
    inside = ((distorted > -0.5) & (distorted < limit)).all(axis=1)
    inside &= np.abs(back - ideal).max(axis=1) < 0.5  # false for NaN
    sampled = np.where(inside[:, None], distorted, -10.0).astype(np.float32)
    shape = (camera.height, camera.width)
    map_x, map_y = np.ascontiguousarray(sampled.T).reshape(2, *shape)
    return map_x, map_y, np.asarray(inside).reshape(shape)
