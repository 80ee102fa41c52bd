# SPDX-License-Identifier: Apache-2.0
"""Putting a room together from textured parallelograms and boxes.

Frames of a piece of furniture: x to the right as seen by somebody who faces it, y away from that
person (into the wall behind it), z up, on the floor. A `Place` moves that frame into the room.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from dsac_core.synthetic.noise import Image

    Vector = NDArray[np.float64]

# Of each face: the corner where its picture begins (top left as seen from outside), the direction
# of the picture's rows and of its columns, in half sizes of the box.
FACES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]] = {
    "front": ((-1, -1, 1), (2, 0, 0), (0, 0, -2)),
    "back": ((1, 1, 1), (-2, 0, 0), (0, 0, -2)),
    "left": ((-1, 1, 1), (0, -2, 0), (0, 0, -2)),
    "right": ((1, -1, 1), (0, 2, 0), (0, 0, -2)),
    "top": ((-1, 1, 1), (2, 0, 0), (0, -2, 0)),
    "bottom": ((-1, -1, -1), (2, 0, 0), (0, 2, 0)),
}


@dataclass(frozen=True)
class Place:
    """Where the frame of a piece stands in the room: metres, radians about z."""

    x: float
    y: float
    yaw: float
    z: float = 0.0

    def points(self, local: ArrayLike) -> Vector:
        """Points [... x 3] of the piece's frame, in the room."""
        return np.asarray(self.directions(local) + np.array([self.x, self.y, self.z]))

    def directions(self, local: ArrayLike) -> Vector:
        """Directions [... x 3] of the piece's frame, in the room."""
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        return np.asarray(np.asarray(local, np.float64) @ turn.T)

    def shifted(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Place:
        """A frame that stands at (x, y, z) of this one, turned by ``yaw``."""
        at = self.points((x, y, z))
        return Place(float(at[0]), float(at[1]), self.yaw + yaw, float(at[2]))


@dataclass(frozen=True)
class Surface:
    """A parallelogram: origin + u edge_u + v edge_v, u and v in 0 ... 1, u right and v down."""

    origin: Vector
    edge_u: Vector
    edge_v: Vector
    sheet: int  # index of its texture
    crop: tuple[float, float, float, float]  # left, top, width, height in texels of the sheet
    two_sided: bool = False
    glow: bool = False  # a lamp, a screen, a window: shows its texture at full brightness


@dataclass(frozen=True)
class Box:
    """A solid that casts shadows and that a robot must not drive through."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    yaw: float


@dataclass
class Builder:
    """Collects sheets, surfaces and boxes; named sheets are materials."""

    rng: np.random.Generator
    sheets: list[Image] = field(default_factory=list)
    resolution: list[float] = field(default_factory=list)  # texels per metre of each sheet
    materials: dict[str, int] = field(default_factory=dict)
    surfaces: list[Surface] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    def add_sheet(self, picture: Image, texels_per_metre: float, name: str = "") -> int:
        """Keep a texture; with a name, as a material that boxes take crops of."""
        self.sheets.append(picture)
        self.resolution.append(texels_per_metre)
        index = len(self.sheets) - 1
        if name:
            self.materials[name] = index
        return index

    def add_face(
        self, place: Place, origin: ArrayLike, edge_u: ArrayLike, edge_v: ArrayLike,
        cover: str | Image, *, two_sided: bool = False, glow: bool = False,
    ) -> None:  # fmt: skip
        """A parallelogram in the frame ``place``, covered by a crop of a material, or a picture."""
        edge_u, edge_v = place.directions(edge_u), place.directions(edge_v)
        if isinstance(cover, str):
            sheet = self.materials[cover]
            rows, columns = self.sheets[sheet].shape[:2]
            width = min(float(np.linalg.norm(edge_u)) * self.resolution[sheet], columns - 1.0)
            height = min(float(np.linalg.norm(edge_v)) * self.resolution[sheet], rows - 1.0)
            left = float(self.rng.uniform(0, columns - width))
            top = float(self.rng.uniform(0, rows - height))
            crop = (left, top, width, height)
        else:
            sheet = self.add_sheet(cover, 0.0)
            crop = (0.0, 0.0, float(cover.shape[1]), float(cover.shape[0]))
        surface = Surface(place.points(origin), edge_u, edge_v, sheet, crop, two_sided, glow)
        self.surfaces.append(surface)

    def add_box(
        self, place: Place, centre: tuple[float, float, float], size: tuple[float, float, float],
        material: str, faces: Mapping[str, str | Image] | None = None, *,
        skip: tuple[str, ...] = ("bottom",), glow: tuple[str, ...] = (), solid: bool = True,
    ) -> None:  # fmt: skip
        """A box in the frame ``place``; ``faces`` replaces the material of single faces.

        ``skip`` names faces that nobody will see; ``solid`` boxes cast shadows.
        """
        half = np.asarray(size) / 2
        for name, (corner, along_u, along_v) in FACES.items():
            if name in skip:
                continue
            cover = (faces or {}).get(name, material)
            self.add_face(
                place, np.asarray(centre) + corner * half, along_u * half, along_v * half, cover,
                glow=name in glow,
            )  # fmt: skip
        if solid:
            x, y, z = place.points(centre).tolist()
            wide, deep, tall = half.tolist()
            self.boxes.append(Box((x, y, z), (wide, deep, tall), place.yaw))
