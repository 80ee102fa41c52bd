# SPDX-License-Identifier: Apache-2.0
"""The ray caster: every pixel's ray is met with the parallelograms that can cover it.

A ray of pixel (x, y) is o + z d(x, y), with d affine in the pixel. For a parallelogram the inverse
depth 1/z and u/z, v/z along it are affine in the pixel too, so meeting a whole rectangle of rays
with one surface is one sum, exact to rounding; no projection of triangles, no clipping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.errors import CameraError
from dsac_core.synthetic.atlas import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera
    from dsac_core.synthetic.noise import FloatImage, Image
    from dsac_core.synthetic.room import Room

    FloatArray = NDArray[np.float64]

NEAREST = 0.05  # metres: nothing nearer than this is seen
FURTHEST = 1e-4  # 1 / metres: nothing beyond this is seen
FOLD = 512  # pixels in a row of a list of rays
EDGE_SLACK = (
    1e-3  # pixels: neighbours that share an edge overlap this much, so no ray slips through
)
# How far towards the long axis of a pixel's footprint the mip level goes: 0 takes the mean of both
# axes (sharp, may flicker at grazing angles), 0.5 the long one (never flickers, blurs).
FOOTPRINT_BIAS = 0.3


@dataclass(frozen=True)
class _Hits:
    """What each ray met first."""

    surface: NDArray[np.intp]  # [H x W] index into the surfaces, -1 for none
    inverse_depth: FloatImage  # [H x W] 1 / metres


def render_view(
    room: Room, camera: Camera, world_T_cam: FloatArray, *, antialias: bool = True
) -> tuple[Image, FloatImage]:
    """The view of an ideal camera: RGB [H x W x 3] uint8 and z-depth [H x W] float32 in metres.

    Depth is that of the ray through the pixel's centre, 0 where it meets nothing. Colour is the
    mean of four rays where a pixel sees more than one surface, unless ``antialias`` is off.

    Raises:
        CameraError: The camera has distortion, which this ray caster does not draw.
    """
    if camera.is_distorted:
        msg = f"the synthetic camera must be without distortion, got {camera.distortion_model}"
        raise CameraError(msg)
    planes = _planes(room, camera, world_T_cam)
    hits = _cast(room, camera, world_T_cam, planes)
    x, y = np.meshgrid(
        np.arange(camera.width, dtype=np.float32), np.arange(camera.height, dtype=np.float32)
    )
    rgb = _shade(room, camera, planes, hits, x, y)
    if antialias:
        _smooth_edges(room, camera, world_T_cam, hits, rgb)
    seen = hits.surface >= 0
    depth = np.divide(1.0, hits.inverse_depth, where=seen, out=np.zeros_like(hits.inverse_depth))
    if not seen.all():
        rgb[~seen] = 0
    return rgb, depth


def surface_of_pixels(room: Room, camera: Camera, world_T_cam: FloatArray) -> NDArray[np.intp]:
    """Index [H x W] of the surface that each ray meets first, -1 for none."""
    planes = _planes(room, camera, world_T_cam)
    return _cast(room, camera, world_T_cam, planes).surface


@dataclass(frozen=True)
class _Planes:
    """The surfaces as one camera sees them, before anything hides them."""

    # [Q x 3 x 3]: rows 1/z, u/z, v/z; columns factor of x, factor of y, constant
    coefficients: FloatArray
    distance: FloatArray  # [Q] of the plane from the camera, metres; negative seen from behind


def _planes(room: Room, camera: Camera, world_T_cam: FloatArray) -> _Planes:
    rotation, centre = world_T_cam[:3, :3], world_T_cam[:3, 3]
    step_x, step_y = rotation[:, 0] / camera.fx, rotation[:, 1] / camera.fy
    rays = np.stack([step_x, step_y, rotation[:, 2] - camera.cx * step_x - camera.cy * step_y], 1)
    shape = room.shape
    relative = shape.origins - centre
    distance = np.einsum("qi,qi->q", shape.normals, relative)
    distance = np.where(np.abs(distance) < 1e-9, 1e-9, distance)
    inverse_depth = shape.normals @ rays / distance[:, None]
    along_u, along_v = shape.dual_u, shape.dual_v
    shift_u = np.einsum("qi,qi->q", along_u, relative)
    shift_v = np.einsum("qi,qi->q", along_v, relative)
    coefficients = [
        inverse_depth,
        along_u @ rays - shift_u[:, None] * inverse_depth,
        along_v @ rays - shift_v[:, None] * inverse_depth,
    ]
    return _Planes(np.stack(coefficients, axis=1), distance)


def _candidates(
    room: Room, camera: Camera, world_T_cam: FloatArray, planes: _Planes
) -> NDArray[np.intp]:
    """Surfaces that face the camera and are not wholly outside one side of its view, near first."""
    shape = room.shape
    rotation, centre = world_T_cam[:3, :3], world_T_cam[:3, 3]
    keep = (planes.distance > 1e-6) | (shape.two_sided & (planes.distance < -1e-6))
    corners = (shape.corners - centre) @ rotation  # [Q x 4 x 3] in the camera frame
    x, y, z = corners[..., 0], corners[..., 1], corners[..., 2]
    left, right = -(camera.cx + 1) / camera.fx, (camera.width - camera.cx) / camera.fx
    top, bottom = -(camera.cy + 1) / camera.fy, (camera.height - camera.cy) / camera.fy
    for outside in (x < left * z, x > right * z, y < top * z, y > bottom * z, z < NEAREST):
        keep &= ~outside.all(axis=1)
    kept = np.nonzero(keep)[0]
    return kept[np.argsort(np.linalg.norm(corners[kept].mean(axis=1), axis=1), kind="stable")]


def _cast(room: Room, camera: Camera, world_T_cam: FloatArray, planes: _Planes) -> _Hits:
    """Depth-buffered: of each surface only the spans of pixels that it covers are touched."""
    width, height = camera.width, camera.height
    candidates = _candidates(room, camera, world_T_cam, planes)
    chosen = planes.coefficients[candidates]
    inverse, along_u, along_v = chosen[:, 0], chosen[:, 1], chosen[:, 2]
    # Where a ray meets the surface in front of the camera and inside its four edges:
    # a x + b y + c >= 0 for each of these.
    far = inverse - [0.0, 0.0, FURTHEST]
    inside = np.stack([far, along_u, inverse - along_u, along_v, inverse - along_v], axis=1)
    slope = inside[..., 0:1]
    slope = np.where(np.abs(slope) < 1e-15, 1e-15, slope)
    rows = np.arange(height, dtype=np.float64)
    bound = -(inside[..., 1:2] * rows + inside[..., 2:3]) / slope  # [n x 5 x H]
    first = np.where(slope > 0, bound, -1.0).max(axis=1)
    last = np.where(slope < 0, bound, float(width)).min(axis=1)
    first = np.ceil(np.clip(first - EDGE_SLACK, 0, width)).astype(np.int32)
    last = np.floor(np.clip(last + EDGE_SLACK, -1, width - 1)).astype(np.int32)
    filled = first <= last

    nearest = np.full((height, width), FURTHEST, np.float32)
    surface = np.full((height, width), -1, np.intp)
    columns = np.arange(width, dtype=np.int32)
    across = (inverse[:, 0:1] * columns).astype(np.float32)
    down = (inverse[:, 1:2] * rows + inverse[:, 2:3]).astype(np.float32)
    covered = filled.any(axis=1)
    top = filled.argmax(axis=1)
    bottom = height - filled[:, ::-1].argmax(axis=1)
    left = np.where(filled, first, width).min(axis=1)
    right = np.where(filled, last, -1).max(axis=1) + 1
    for n in np.nonzero(covered)[0]:
        y, x = slice(top[n], bottom[n]), slice(left[n], right[n])
        value = across[n, x] + down[n, y, None]
        wins = value > nearest[y, x]
        wins &= columns[x] >= first[n, y, None]
        wins &= columns[x] <= last[n, y, None]
        np.copyto(nearest[y, x], value, where=wins)
        np.copyto(surface[y, x], candidates[n], where=wins)
    return _Hits(surface, nearest)


def _smooth_edges(
    room: Room, camera: Camera, world_T_cam: FloatArray, hits: _Hits, rgb: Image
) -> None:
    """Replace pixels that see more than one surface by the mean of their four quarters."""
    finer = camera.scaled(2 * camera.width, 2 * camera.height)
    planes = _planes(room, finer, world_T_cam)
    quarters = _cast(room, finer, world_T_cam, planes)
    surface = quarters.surface
    mixed = np.zeros(hits.surface.shape, bool)
    for down in (0, 1):
        for across in (0, 1):
            mixed |= surface[down::2, across::2] != hits.surface
    y, x = (where.astype(np.int32) for where in np.nonzero(mixed))
    if len(x) == 0:
        return
    # OpenCV takes no picture of a single long row: fold it, and fill up the last row.
    count = 4 * len(x)
    y = np.resize((2 * y[:, None] + [0, 0, 1, 1]).reshape(-1), (-(-count // FOLD), FOLD))
    x = np.resize((2 * x[:, None] + [0, 1, 0, 1]).reshape(-1), y.shape)
    part = _Hits(surface[y, x], quarters.inverse_depth[y, x])
    colour = _shade(room, finer, planes, part, x.astype(np.float32), y.astype(np.float32))
    four = colour.reshape(-1, 3)[:count].reshape(-1, 4, 3).astype(np.uint16)
    rgb[mixed] = (four.sum(axis=1) + 2) // 4


def _shade(
    room: Room, camera: Camera, planes: _Planes, hits: _Hits, x: FloatImage, y: FloatImage
) -> Image:
    """Colour of rays of pixels (x, y): texture at two mip levels, blended, times the light."""
    shape, atlas, light = room.shape, room.atlas, room.light
    index = np.maximum(hits.surface, 0)
    table = planes.coefficients[:, 1:].astype(np.float32)  # [Q x 2 x 3] u/z and v/z
    place = np.empty((*index.shape, 2), np.float32)  # (u, v) of each pixel
    inverse = np.maximum(hits.inverse_depth, FURTHEST)
    for axis in (0, 1):
        value = np.take(table[:, axis, 0].copy(), index)
        value *= x
        part = np.take(table[:, axis, 1].copy(), index)
        part *= y
        value += part
        value += np.take(table[:, axis, 2].copy(), index)
        value /= inverse
        np.clip(value, 0.0, 1.0, out=place[..., axis])

    level = np.take(_level_constants(room, planes).astype(np.float32), index)
    level -= np.float32((1.5 + FOOTPRINT_BIAS) / np.log(2.0)) * cv2.log(inverse)
    level += np.float32(FOOTPRINT_BIAS) * _log_ray_length(camera, x, y)
    np.clip(level, 0.0, LEVELS - 1.001, out=level)
    whole = level.astype(np.intp)
    level -= whole
    entry = index * LEVELS
    entry += whole

    fine = _look_up(atlas.picture, shape.texel_scale, shape.texel_offset, entry, place)
    entry += 1
    coarse = _look_up(atlas.picture, shape.texel_scale, shape.texel_offset, entry, place)
    colour = cv2.blendLinear(fine, coarse, 1.0 - level, level)
    lit = _look_up(light.picture, light.scale, light.offset, index, place)
    return np.asarray(cv2.multiply(colour, lit, scale=light.full / 255.0), np.uint8)


def _look_up(
    picture: Image, scale: FloatImage, offset: FloatImage, entry: NDArray[np.intp],
    place: FloatImage,
) -> Image:  # fmt: skip
    """Bilinear: the picture at place * scale[entry] + offset[entry]."""
    where = np.take(scale, entry, axis=0)
    where *= place
    where += np.take(offset, entry, axis=0)
    unused = np.empty(0, np.float32)  # both coordinates are in `where`
    return np.asarray(cv2.remap(picture, where, unused, cv2.INTER_LINEAR), np.uint8)


def _level_constants(room: Room, planes: _Planes) -> FloatArray:
    """The part of the mip level [Q] that is the same all over a surface.

    The area of a pixel's footprint in texels is |det H| * texels * z^3, H the plane's 3 x 3
    coefficients. The ratio of the footprint's axes is about 1 / cos of the angle of incidence, and
    that cosine is the plane's distance / (z |d|).
    """
    area = np.abs(np.linalg.det(planes.coefficients)) * room.shape.texels
    distance = np.maximum(np.abs(planes.distance), 1e-6)
    level = 0.5 * np.log2(np.maximum(area, 1e-12)) - FOOTPRINT_BIAS * np.log2(distance)
    return np.asarray(level)


def _log_ray_length(camera: Camera, x: FloatImage, y: FloatImage) -> FloatImage:
    """log2 of |d|, d with z = 1; quadratic in the small angle is near enough for a mip level."""
    slope = ((x - camera.cx) / camera.fx) ** 2 + ((y - camera.cy) / camera.fy) ** 2
    return np.asarray(slope * (0.72 - 0.18 * slope), np.float32)
