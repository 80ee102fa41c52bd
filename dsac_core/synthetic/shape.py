# SPDX-License-Identifier: Apache-2.0
"""The surfaces of a room as arrays, for the ray caster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.synthetic.atlas import Atlas
    from dsac_core.synthetic.builder import Surface
    from dsac_core.synthetic.noise import FloatImage

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """All surfaces of a room as arrays over Q surfaces, for the ray caster."""

    origins: FloatArray  # [Q x 3] metres
    corners: FloatArray  # [Q x 4 x 3]
    normals: FloatArray  # [Q x 3] unit, pointing away from the side that is seen
    dual_u: FloatArray  # [Q x 3]: dual_u . (p - origin) = u
    dual_v: FloatArray
    two_sided: NDArray[np.bool_]
    texels: FloatArray  # [Q] texels of the finest level on the whole surface
    texel_scale: FloatImage  # [Q LEVELS x 2]: atlas position = (u, v) * scale + offset
    texel_offset: FloatImage


def shape_of(surfaces: Sequence[Surface], atlas: Atlas) -> Shape:
    """The arrays of the surfaces; the atlas holds their sheets in the order of the builder."""
    origins = np.array([s.origin for s in surfaces])
    edge_u = np.array([s.edge_u for s in surfaces])
    edge_v = np.array([s.edge_v for s in surfaces])
    normals = np.cross(edge_u, edge_v)
    area2 = np.einsum("qi,qi->q", normals, normals)[:, None]
    steps = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)
    corners = origins[:, None] + steps[:, :1] * edge_u[:, None] + steps[:, 1:] * edge_v[:, None]
    sheet = np.array([s.sheet for s in surfaces])
    crop = np.array([s.crop for s in surfaces], np.float32)
    shrink = atlas.sizes[sheet] / atlas.sizes[sheet, :1]  # [Q x LEVELS x 2]
    # The centre of texel i of a level is at i + 0.5 of its width; OpenCV counts from that centre.
    offset = crop[:, None, :2] * shrink - 0.5 + atlas.corners[sheet]
    return Shape(
        origins=origins,
        corners=corners,
        normals=normals / np.sqrt(area2),
        dual_u=np.cross(edge_v, normals) / area2,
        dual_v=np.cross(normals, edge_u) / area2,
        two_sided=np.array([s.two_sided for s in surfaces]),
        texels=np.prod(crop[:, 2:].astype(np.float64), axis=1),
        texel_scale=(crop[:, None, 2:] * shrink).reshape(-1, 2),
        texel_offset=offset.astype(np.float32).reshape(-1, 2),
    )
