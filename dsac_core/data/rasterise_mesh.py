# SPDX-License-Identifier: Apache-2.0
"""A z-buffer for triangles: every pixel's ray meets the triangles that can cover it.

With the ray r of a pixel, (x, y, 1) and affine in the pixel, a triangle p0 p1 p2 in the camera
frame is hit where (p1 x p2) . r, (p2 x p0) . r and (p0 x p1) . r have the sign of n . p0, n the
normal, and there 1/z = n . r / n . p0 (Olano and Greer, Triangle Scan Conversion using 2D
Homogeneous Coordinates, 1997). Nothing divides by the depth of a corner, so a triangle that passes
behind the camera is cut at the near plane by leaving out the hits that are nearer; only the box of
its pixels must be found from its part in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]

NEAR = 0.05  # metres: nothing nearer than this is seen
BLOCK = 1 << 17  # triangles that are set up at once
LARGEST_GROUPED_BOX = 32  # pixels a side; a triangle with a larger box is drawn by itself
GROUP_PIXELS = 1 << 18  # pixels of all boxes that are tried at once
# Pixels. Neighbours overlap this much, which is far above rounding, so no ray slips through.
EDGE_SLACK = 1e-6
TINY = 1e-30  # keeps a division by zero from being one


@dataclass(frozen=True)
class _Triangles:
    """What it takes to draw triangles whose boxes have at least one pixel of the image."""

    edges_T33: FloatArray  # >= 0 inside; a row per edge: factors of x and y, constant; pixels
    inverse_T3: FloatArray  # 1/z: factors of x and y, constant
    lowest_T: FloatArray  # 1/z of the furthest corner
    highest_T: FloatArray  # 1/z of the nearest corner, or of the near plane
    crossing_T: BoolArray  # whether it passes through the near plane
    left_T: IntArray  # the box in pixels; all four are inside it
    right_T: IntArray
    top_T: IntArray
    bottom_T: IntArray


def rasterise_mesh(points_N3: FloatArray, triangles_T3: IntArray, camera: Camera) -> FloatArray:
    """Inverse depth [H x W], 1 / metres, of the nearest triangle at each pixel, 0 for none.

    Points are in the optical frame of the camera, which is taken without distortion; metres.
    """
    inverse_HW = np.zeros((camera.height, camera.width))
    for start in range(0, len(triangles_T3), BLOCK):
        triangles = _set_up(points_N3[triangles_T3[start : start + BLOCK]], camera)
        width_T = triangles.right_T - triangles.left_T + 1
        height_T = triangles.bottom_T - triangles.top_T + 1
        large_T = np.maximum(width_T, height_T) > LARGEST_GROUPED_BOX
        # The boxes of a group have the same size: the next power of two.
        columns_T, rows_T = _power_of_two(width_T), _power_of_two(height_T)
        for columns, rows in np.unique(np.stack([columns_T, rows_T], 1)[~large_T], axis=0):
            members = np.nonzero(~large_T & (columns_T == columns) & (rows_T == rows))[0]
            step = max(1, GROUP_PIXELS // int(columns * rows))
            for first in range(0, len(members), step):
                _draw_group(triangles, members[first : first + step], columns, rows, inverse_HW)
        for index in np.nonzero(large_T)[0].tolist():
            _draw_large(triangles, index, inverse_HW)
    return inverse_HW


def _set_up(corners_T33: FloatArray, camera: Camera) -> _Triangles:
    """From corners [T x 3 corners x 3] in the optical frame, of which some may be behind it."""
    corners_T33 = corners_T33[(corners_T33[..., 2] >= NEAR).any(axis=1)]
    low_T2, high_T2 = _extent(corners_T33, camera)
    size = np.array([camera.width, camera.height])
    # Bounded before they become integers: a corner near the near plane may be a million pixels off.
    first_T2 = np.ceil(np.clip(low_T2 - EDGE_SLACK, 0, size)).astype(np.int64)
    last_T2 = np.floor(np.clip(high_T2 + EDGE_SLACK, -1, size - 1)).astype(np.int64)
    first, second, third = np.moveaxis(corners_T33, 1, 0)
    normal_T3 = np.cross(second - first, third - first)
    distance_T = np.einsum("ti,ti->t", normal_T3, first)
    # A triangle seen exactly edge-on covers nothing.
    kept_T = (first_T2 <= last_T2).all(axis=1) & (distance_T != 0)
    corners_T33, distance_T = corners_T33[kept_T], distance_T[kept_T, None]
    first_T2, last_T2 = first_T2[kept_T], last_T2[kept_T]

    planes_T33 = np.cross(corners_T33[:, [1, 2, 0]], corners_T33[:, [2, 0, 1]])
    edges_T33 = _of_pixels(planes_T33 * np.sign(distance_T)[..., None], camera)
    slope_T3 = np.hypot(edges_T33[..., 0], edges_T33[..., 1])
    edges_T33 /= np.maximum(slope_T3, TINY)[..., None]
    edges_T33[..., 2] += EDGE_SLACK
    z_T3 = corners_T33[..., 2]
    nearest_T = z_T3.min(axis=1)
    return _Triangles(
        edges_T33=edges_T33,
        inverse_T3=_of_pixels(normal_T3[kept_T] / distance_T, camera),
        lowest_T=1.0 / z_T3.max(axis=1),
        highest_T=1.0 / np.maximum(nearest_T, NEAR),
        crossing_T=nearest_T < NEAR,
        left_T=first_T2[:, 0],
        right_T=last_T2[:, 0],
        top_T=first_T2[:, 1],
        bottom_T=last_T2[:, 1],
    )


def _extent(corners_T33: FloatArray, camera: Camera) -> tuple[FloatArray, FloatArray]:
    """The least and the greatest pixel [T x 2] of the part in front of the near plane."""
    pixels_T32, in_front_T3 = _project(corners_T33, camera)
    low_T2 = np.where(in_front_T3[..., None], pixels_T32, np.inf).min(axis=1)
    high_T2 = np.where(in_front_T3[..., None], pixels_T32, -np.inf).max(axis=1)
    crossing = np.nonzero(~in_front_T3.all(axis=1))[0]
    for start, end in ((0, 1), (1, 2), (2, 0)):
        cut = crossing[in_front_T3[crossing, start] != in_front_T3[crossing, end]]
        start_C3, end_C3 = corners_T33[cut, start], corners_T33[cut, end]
        share_C = (NEAR - start_C3[:, 2]) / (end_C3[:, 2] - start_C3[:, 2])
        met_C3 = start_C3 + share_C[:, None] * (end_C3 - start_C3)
        met_C3[:, 2] = NEAR
        pixels_C2, _ = _project(met_C3, camera)
        low_T2[cut] = np.minimum(low_T2[cut], pixels_C2)
        high_T2[cut] = np.maximum(high_T2[cut], pixels_C2)
    return low_T2, high_T2


def _project(points: FloatArray, camera: Camera) -> tuple[FloatArray, BoolArray]:
    """Pixels [... x 2] of points [... x 3], and which are in front of the near plane."""
    in_front = points[..., 2] >= NEAR
    z = np.where(in_front, points[..., 2], 1.0)[..., None]
    pixels = points[..., :2] / z * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    return pixels, in_front


def _of_pixels(of_rays: FloatArray, camera: Camera) -> FloatArray:
    """Factors [... x 3] of a ray (x, y, 1) as factors of its pixel's x and y, and a constant."""
    a, b = of_rays[..., 0] / camera.fx, of_rays[..., 1] / camera.fy
    return np.stack([a, b, of_rays[..., 2] - a * camera.cx - b * camera.cy], axis=-1)


def _power_of_two(count: IntArray) -> IntArray:
    """The least power of two that is not less."""
    return np.asarray(2 ** np.ceil(np.log2(count)).astype(np.int64), dtype=np.int64)


def _draw_group(
    triangles: _Triangles, index_G: IntArray, columns: int, rows: int, inverse_HW: FloatArray
) -> None:
    """Draw triangles, all in boxes of one size; what of a box is outside the image is left out."""
    height, width = inverse_HW.shape
    x_GX = triangles.left_T[index_G, None] + np.arange(columns)
    y_GY = triangles.top_T[index_G, None] + np.arange(rows)
    inside_GYX = ((y_GY < height)[:, :, None]) & (x_GX < width)[:, None]
    for edge in range(3):
        a, b, c = triangles.edges_T33[index_G, edge, :, None].swapaxes(0, 1)
        inside_GYX &= (b * y_GY + c)[:, :, None] + (a * x_GX)[:, None] >= 0
    member, down, right = np.nonzero(inside_GYX)
    x, y, index = x_GX[member, right], y_GY[member, down], index_G[member]
    a, b, c = triangles.inverse_T3[index].T
    inverse = a * x + b * y + c
    met = ~triangles.crossing_T[index] | (inverse <= 1.0 / NEAR)
    # Rounding where a triangle is nearly edge-on must not put it beyond its own corners.
    inverse = np.clip(inverse, triangles.lowest_T[index], triangles.highest_T[index])
    np.maximum.at(inverse_HW.reshape(-1), (y * width + x)[met], inverse[met])


def _draw_large(triangles: _Triangles, index: int, inverse_HW: FloatArray) -> None:
    """Draw one triangle: in each row of its box the span between its edges."""
    x = np.arange(triangles.left_T[index], triangles.right_T[index] + 1)
    y = np.arange(triangles.top_T[index], triangles.bottom_T[index] + 1)
    slope, factor, constant = triangles.edges_T33[index, :, :, None].swapaxes(0, 1)
    slope = np.where(np.abs(slope) < TINY, TINY, slope)
    bound = -(factor * y + constant) / slope  # [3 x rows]
    first = np.where(slope > 0, bound, -np.inf).max(axis=0)[:, None]
    last = np.where(slope < 0, bound, np.inf).min(axis=0)[:, None]
    met = (x >= first) & (x <= last)
    a, b, c = triangles.inverse_T3[index]
    inverse = a * x + (b * y + c)[:, None]
    if triangles.crossing_T[index]:
        met &= inverse <= 1.0 / NEAR
    np.clip(inverse, triangles.lowest_T[index], triangles.highest_T[index], out=inverse)
    window = inverse_HW[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
    np.maximum(window, inverse, out=window, where=met)
