# SPDX-License-Identifier: Apache-2.0
"""Light on the surfaces: lamps with soft shadows, and less ambient light in corners.

It does not depend on the view, so it is worked out once per room, on a grid over each surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.synthetic.builder import Box, Surface
    from dsac_core.synthetic.noise import FloatImage, Image
    from dsac_core.synthetic.options import RoomOptions

    FloatArray = NDArray[np.float32]

SPACING = 0.14  # metres between the points of the grid
MOST = 48  # points along one side of a surface
FULL = 2.0  # light that the value 255 of the light map stands for; 1 shows a texture as drawn
AMBIENT = 0.66
LAMP = 1.3  # light of the four lamps together on the floor below them, about
LAMP_COLOUR = (1.0, 0.97, 0.91)
AMBIENT_COLOUR = (0.95, 0.98, 1.04)
BOUNCE = 0.12  # light that the floor throws up
REACH = 1.2  # metres: nothing further away dims the ambient light


@dataclass(frozen=True)
class LightMap:
    """The grids of all surfaces packed into one picture; bilinear look-up, as for the atlas."""

    picture: Image  # rows x columns x 3; 255 is the light `full`
    scale: FloatImage  # [Q x 2]: position in the picture = (u, v) * scale + offset
    offset: FloatImage
    full: float


def bake(surfaces: Sequence[Surface], boxes: Sequence[Box], options: RoomOptions) -> LightMap:
    """Light at every grid point, with rays to the lamps and into the half space around it."""
    counts = np.array([
        [min(MOST, max(2, int(np.ceil(np.linalg.norm(edge) / SPACING)) + 1))
         for edge in (s.edge_u, s.edge_v)]
        for s in surfaces
    ])  # fmt: skip
    points, normals = [], []
    for surface, (across, down) in zip(surfaces, counts, strict=True):
        u, v = np.meshgrid(np.linspace(0.01, 0.99, across), np.linspace(0.01, 0.99, down))
        at = surface.origin + u.reshape(-1, 1) * surface.edge_u + v.reshape(-1, 1) * surface.edge_v
        normal = np.cross(surface.edge_v, surface.edge_u)
        normal = normal / np.linalg.norm(normal)
        points.append(at + 0.012 * normal)
        normals.append(np.broadcast_to(normal, at.shape))
    position = np.concatenate(points).astype(np.float32)
    normals_N3 = np.concatenate(normals).astype(np.float32)

    light = np.zeros((len(position), 3), np.float32)
    half = np.array([options.length, options.width]) / 2
    for x, y in options.lamps:
        for step_x, step_y in ((-0.22, -0.12), (0.22, -0.2), (0.1, 0.22)):
            lamp = np.array([x + step_x, y + step_y, options.height - 0.03], np.float32)
            towards = lamp - position
            distance = np.linalg.norm(towards, axis=1, keepdims=True)
            towards /= distance
            cosine = np.einsum("ni,ni->n", normals_N3, towards).clip(0, None)
            emitted = towards[:, 2].clip(0.15, None)  # Lambert's lamp, a little spread
            strength = cosine * emitted / (0.35 + distance[:, 0] ** 2)
            strength *= _visible(position, towards, distance[:, 0], boxes)
            light += (LAMP * 5.2 / 12) * strength[:, None] * np.asarray(LAMP_COLOUR, np.float32)
    light += (
        AMBIENT
        * _openness(position, normals_N3, boxes, half)[:, None]
        * np.asarray(AMBIENT_COLOUR, np.float32)
    )
    # The bright floor lights the ceiling and the undersides of things.
    light += (BOUNCE * (-normals_N3[:, 2]).clip(0, None) * (position[:, 2] / options.height))[
        :, None
    ]
    two_sided = np.repeat([s.two_sided for s in surfaces], counts.prod(axis=1))
    light[two_sided] = np.maximum(light[two_sided], 0.8)
    return _packed(surfaces, counts, light)


def _visible(
    position: FloatArray, direction: FloatArray, length: FloatArray, boxes: Sequence[Box]
) -> FloatArray:
    """1 where the way from each point along its direction is free for ``length`` metres, else 0."""
    free = np.ones(len(position), np.float32)
    for box in boxes:
        reach = float(np.linalg.norm(box.half))
        offset = np.asarray(box.centre, np.float32) - position
        along = np.einsum("ni,ni->n", offset, direction)
        beside = np.einsum("ni,ni->n", offset, offset) - along**2
        near = np.nonzero((beside < reach**2) & (along > -reach) & (along - reach < length))[0]
        if len(near) == 0:
            continue
        cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float32)
        start, way = -offset[near] @ turn, direction[near] @ turn
        way = np.where(np.abs(way) < 1e-6, np.float32(1e-6), way)
        size = np.asarray(box.half, np.float32)
        one, two = (-size - start) / way, (size - start) / way
        enter, leave = np.minimum(one, two).max(axis=1), np.maximum(one, two).min(axis=1)
        hit = (enter < leave) & (leave > 0) & (enter < length[near])
        free[near[hit]] = 0.0
    return free


def _openness(
    position: FloatArray, normals_N3: FloatArray, boxes: Sequence[Box], half: NDArray[np.float64]
) -> FloatArray:
    """Share of the half space above each point that is open within REACH, walls included."""
    rng = np.random.default_rng(1)
    rays = 10
    total = np.zeros(len(position), np.float32)
    reach = np.full(len(position), REACH, np.float32)
    for _ in range(rays):
        direction = rng.standard_normal(3)
        direction = (direction / np.linalg.norm(direction)).astype(np.float32)
        # The normal plus a point of the unit sphere is distributed as the cosine.
        ray = normals_N3 * 1.001 + direction
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        end = position + REACH * ray
        outside = (np.abs(end[:, :2]) > half).any(axis=1) | (end[:, 2] < 0)
        total += _visible(position, ray, reach, boxes) * np.where(outside, 0.55, 1.0)
    return np.asarray(total / rays, np.float32)


def _packed(surfaces: Sequence[Surface], counts: NDArray[np.int64], light: FloatArray) -> LightMap:
    width = 1024
    scale = np.zeros((len(surfaces), 2), np.float32)
    offset = np.zeros((len(surfaces), 2), np.float32)
    x = y = shelf = 0
    for index in np.argsort(-counts[:, 1], kind="stable"):
        across, down = counts[index]
        if x + across > width:
            x, y, shelf = 0, y + shelf, 0
        offset[index], scale[index] = (x, y), (across - 1, down - 1)
        x, shelf = x + across, max(shelf, down)
    picture = np.zeros((y + shelf, width, 3), np.uint8)
    starts = np.concatenate([[0], np.cumsum(counts.prod(axis=1))])
    for index, surface in enumerate(surfaces):
        across, down = counts[index]
        patch = light[starts[index] : starts[index + 1]].reshape(down, across, 3)
        if surface.glow:
            patch = np.ones_like(patch)
        left, top = offset[index].astype(int)
        picture[top : top + down, left : left + across] = np.clip(patch * 255 / FULL + 0.5, 0, 255)
    return LightMap(picture, scale, offset, FULL)
