# SPDX-License-Identifier: Apache-2.0
"""Images of a recording with where they were taken, and where a map believes that they were."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.frame import spread_indices
from dsac_core.geometry.images import resize
from dsac_core.geometry.pose import pose_error
from dsac_core.progress import silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset
    from dsac_core.geometry.camera import Camera
    from dsac_core.progress import Progress
    from dsac_core.relocalizer import Relocalizer

_THUMBNAIL = 160  # px wide
_NOT_LOCALIZED = (150, 150, 150)  # RGB
_SCALE = {0.0: (30, 180, 60), 0.1: (245, 200, 30), 0.25: (220, 30, 30)}  # metres: RGB


@dataclass(frozen=True)
class Shot:
    """One image that was relocalized."""

    name: str
    image: NDArray[np.uint8]  # small, RGB or gray
    camera: Camera  # of the image as it was taken
    truth: NDArray[np.float64]  # map_T_cam, 4 x 4
    estimate: NDArray[np.float64] | None  # the same as the map has it; None if none was found
    localized: bool
    reason: str

    @property
    def errors(self) -> tuple[float, float]:
        """Metres and radians; infinite without a pose."""
        if self.estimate is None:
            return math.inf, math.inf
        return pose_error(self.estimate, self.truth)

    @property
    def colour(self) -> tuple[int, int, int]:
        """RGB: from green to red with the error, gray where it is not localized."""
        return colour_of_error(self.errors[0]) if self.localized else _NOT_LOCALIZED

    def in_words(self) -> str:
        """One line."""
        if self.estimate is None:
            return f"no pose: {self.reason}"
        metres, radians = self.errors
        words = f"{100 * metres:.1f} cm, {math.degrees(radians):.1f}° off: {self.reason}"
        return words if self.localized else f"not localized, {words}"


def relocalized_shots(
    relocalizer: Relocalizer,
    dataset: Dataset,
    split: str,
    most: int,
    progress: Progress = silent,
) -> list[Shot]:
    """Relocalize at most so many images of a recording, evenly spread."""
    chosen = spread_indices(dataset.count(split), most)
    map_T_scene = relocalizer.scene.map_T_scene
    shots: list[Shot] = []
    for frame in dataset.frames(split, indices=chosen):
        estimate = relocalizer(frame.image, frame.camera)
        width = min(_THUMBNAIL, frame.camera.width)
        height = max(1, round(frame.camera.height * width / frame.camera.width))
        shots.append(
            Shot(
                frame.name,
                resize(frame.image, width, height),
                frame.camera,
                map_T_scene @ frame.world_T_cam,
                estimate.world_T_cam,
                estimate.localized,
                estimate.reason,
            )
        )
        progress("relocalizing", len(shots) / len(chosen), f"image {len(shots)}/{len(chosen)}")
    return shots


def colour_of_error(metres: float) -> tuple[int, int, int]:
    """RGB: green at 0, yellow at 10 cm, red from 25 cm on."""
    limits, colours = list(_SCALE), np.array(list(_SCALE.values()), dtype=np.float64)
    red, green, blue = (round(float(np.interp(metres, limits, each))) for each in colours.T)
    return red, green, blue
