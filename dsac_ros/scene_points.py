# SPDX-License-Identifier: Apache-2.0
"""The scene points that one image shows, as the point cloud that RViz and Foxglove draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from dsac_ros.reprojection import Reprojection

    ByteImage = NDArray[np.uint8]

# rgb is ROS's old convention: 0x00RRGGBB, declared as a float of the same four bytes.
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4"), ("error", "<f4")])
_OUTLIER = np.array([120, 40, 40])
_OWN_COLOUR_LEFT = 0.25  # of points that do not agree with the pose


def scene_points(image: ByteImage, reprojection: Reprojection) -> NDArray[Any]:
    """Where in the map the parts of an image are, with their colours.

    Points that do not agree with the pose, which is all of them without one, are dark red.

    Args:
        image: H x W x 3 (RGB) or H x W (grey).
        reprojection: What was seen in it.

    Returns:
        Records [N] of type ``POINT``: m in the frame of the map, and the reprojection error in px,
        infinite without a pose.
    """
    height, width = image.shape[:2]
    column, row = np.clip(
        np.rint(np.nan_to_num(reprojection.pixels_N2)).astype(np.intp), 0, [width - 1, height - 1]
    ).T
    colours = image[row, column].astype(np.float64)
    if image.ndim == 2:
        colours = np.repeat(colours[:, None], 3, axis=1)
    outliers = ~reprojection.inliers_N
    colours[outliers] = _OWN_COLOUR_LEFT * colours[outliers] + _OUTLIER
    red, green, blue = np.minimum(colours, 255).astype(np.uint32).T

    records = np.empty(len(colours), POINT)
    records["x"], records["y"], records["z"] = reprojection.points_N3.T
    records["rgb"] = red << 16 | green << 8 | blue
    records["error"] = reprojection.errors_N
    return records
