# SPDX-License-Identifier: Apache-2.0
"""The real node with scenes that need no map: a program for tests of its process.

A scene is what its name says, a few words with underscores between: ``bright`` and ``dark`` are
recognised in images of such a mean, ``blind`` in none, the others in all. ``broken`` cannot be
loaded, ``late`` takes 1.5 s to load, ``fast`` takes no time for an image, and ``other`` is in
another frame. Each scene says that the camera is a metre further along x than the one before it in
``PLACES``.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.errors import SceneMapError
from dsac_ros.relocalizer_node import main
from dsac_ros.scene_set import LoadedScene

if TYPE_CHECKING:
    from dsac_core.geometry.camera import Camera
    from dsac_ros.parameters import Settings

SECONDS_PER_IMAGE = 0.3
LOAD_SECONDS = 1.5
PLACES = ("bright", "dark")


@dataclass(frozen=True)
class Answer:
    """Stands in for PoseEstimate, which would bring PyTorch."""

    world_T_cam: np.ndarray
    localized: bool
    reason: str
    confidence: float
    covariance: np.ndarray = field(default_factory=lambda: 1e-4 * np.eye(6))
    inliers: int = 80
    landmark_inliers: int = 20
    correspondences: int = 100
    score: float = 0.8
    timings: dict[str, float] = field(default_factory=lambda: {"ransac": SECONDS_PER_IMAGE})


@dataclass(frozen=True)
class Stub:
    """Localizes by the mean of an image."""

    words: frozenset[str]

    def __call__(
        self,
        image: np.ndarray,
        camera: Camera,
        depth: np.ndarray | None = None,
        *,
        prior: np.ndarray | None = None,
    ) -> Any:
        # Without the interpreter, as PyTorch does.
        time.sleep(0.0 if "fast" in self.words else SECONDS_PER_IMAGE)
        seen = "bright" if image.mean() > 127 else "dark"
        localized = "blind" not in self.words and (
            seen in self.words or not self.words & set(PLACES)
        )
        pose = np.eye(4)
        pose[0, 3] = next((k + 1 for k, place in enumerate(PLACES) if place in self.words), 0)
        with_depth = "no depth" if depth is None else f"depth of {depth.mean():.2f} m"
        reason = f"a {seen} image with fx {camera.fx:.0f} and {with_depth}"
        return Answer(pose, localized, reason, 0.9 if localized else 0.1)


def load(settings: Settings) -> list[LoadedScene]:
    scenes = []
    for name in settings.scene.split(","):
        words = frozenset(name.split("_"))
        if "late" in words:
            time.sleep(LOAD_SECONDS)
        if "broken" in words:
            msg = f"scene '{name}' is damaged"
            raise SceneMapError(msg)
        scenes.append(LoadedScene(name, "other" if "other" in words else "map", Stub(words)))
    return scenes


if __name__ == "__main__":
    sys.exit(main(load=load))
