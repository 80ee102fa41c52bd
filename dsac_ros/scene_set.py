# SPDX-License-Identifier: Apache-2.0
"""Several scenes on one map: the place is recognised by trying to localize in them.

While the robot is localized, its scene is asked alone. Else several are, and of those that call
themselves localized the most confident one wins. There may be more scenes than one image has time
for: the one that localized last is always among those asked, the others take turns.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core import PoseEstimate
    from dsac_core.geometry.camera import Camera
    from dsac_ros.pictures import Explain

    ByteImage = NDArray[np.uint8]
    DepthImage = NDArray[np.float32]
    Pose = NDArray[np.float64]

_PATIENCE = 3  # images that the scene of a localized robot may fail on before others are asked


class Localizer(Protocol):
    """What localizes in one scene: dsac_core.Relocalizer."""

    def __call__(
        self, image: ByteImage, camera: Camera, depth: DepthImage | None = None, /
    ) -> PoseEstimate:
        """The pose of the camera that took ``image``; may take ``prior``, world_T_cam [4 x 4]."""
        ...


@dataclass(frozen=True)
class LoadedScene:
    """A scene that is ready to localize in."""

    name: str
    frame_id: str
    relocalize: Localizer
    device: str = ""
    explain: Explain | None = None  # what it sees, for people


class SceneSet:
    """The scenes of one node, as one relocalizer.

    ``__call__`` belongs to one thread.

    Args:
        scenes: At least one; in one frame, unless the node names another for all of them.
        localized: Whether the robot is localized now.
        scenes_per_image: At most so many are tried on one image; at least 2.

    Raises:
        ConfigError: Two scenes have one name.
    """

    def __init__(
        self,
        scenes: Sequence[LoadedScene],
        localized: Callable[[], bool] = lambda: False,
        scenes_per_image: int = 4,
    ) -> None:
        """Nothing recognised yet."""
        by_name = {scene.name: scene for scene in scenes}
        if len(by_name) < len(scenes):
            name = Counter(scene.name for scene in scenes).most_common(1)[0][0]
            msg = f"two scenes are called '{name}': leave one of them away"
            raise ConfigError(msg)
        self._by_name = by_name
        self._localized = localized
        self.scenes_per_image = scenes_per_image  # may be replaced at any time
        self._turns = list(by_name)  # whose turn is next stands first
        self._failures = 0
        self.current = ""  # the scene in which an image was last localized; empty: none yet
        self.answered = ""  # the scene that gave the last estimate

    def __str__(self) -> str:
        """In words, for people."""
        listed = ", ".join(f"'{name}'" for name in self.names)
        return f"scene {listed}" if len(self.names) == 1 else f"scenes {listed}"

    @property
    def explain(self) -> Explain | None:
        """That of the scene that gave the last estimate."""
        scene = self._by_name.get(self.answered)
        return None if scene is None else scene.explain

    @property
    def device(self) -> str:
        """Where the networks run."""
        return next(iter(self._by_name.values())).device

    @property
    def names(self) -> list[str]:
        """In the order of preference where scenes tie."""
        return list(self._by_name)

    def __call__(
        self,
        image: ByteImage,
        camera: Camera,
        depth: DepthImage | None = None,
        prior: Pose | None = None,
    ) -> PoseEstimate:
        """Localize the next image of the robot's camera; arguments are those of a Relocalizer.

        The estimate is that of one scene; its timings are those of all that were tried.
        """
        name, estimate = self._best(self._next_names(), image, camera, depth, prior)
        self.answered = name
        if estimate.localized:
            self.current = name
            self._failures = 0
        else:
            self._failures += 1
        return estimate

    def localize(
        self,
        image: ByteImage,
        camera: Camera,
        depth: DepthImage | None = None,
        *,
        scene: str = "",
    ) -> tuple[str, PoseEstimate]:
        """Localize one image of any camera, in one scene or among all; nothing is remembered.

        Returns:
            The name of the scene that answered, and its estimate.

        Raises:
            ConfigError: The scene is not loaded.
        """
        if scene and scene not in self._by_name:
            msg = f"scene '{scene}' is not loaded; loaded scenes: {', '.join(self.names)}"
            raise ConfigError(msg)
        return self._best([scene] if scene else self.names, image, camera, depth, None)

    def _next_names(self) -> list[str]:
        """The scenes to try on the next image: the last one that localized, then those in turn."""
        if self.current and self._localized() and self._failures < _PATIENCE:
            return [self.current]
        first = [self.current] if self.current else []
        others = [name for name in self._turns if name not in first]
        chosen = others[: self.scenes_per_image - len(first)]
        self._turns = [name for name in self._turns if name not in chosen] + chosen
        return first + chosen

    def _best(
        self,
        names: Sequence[str],
        image: ByteImage,
        camera: Camera,
        depth: DepthImage | None,
        prior: Pose | None,
    ) -> tuple[str, PoseEstimate]:
        # A relocalizer that knows no priors is as good where there is none.
        given = {} if prior is None else {"prior": prior}
        found: list[tuple[str, PoseEstimate]] = []
        timings: Counter[str] = Counter()
        for name in names:
            estimate = self._by_name[name].relocalize(image, camera, depth, **given)
            timings.update(estimate.timings)
            found.append((name, estimate))
        name, best = max(found, key=_merit)  # of equals, the first
        if len(found) == 1:
            return name, best
        reason = f"best of {len(found)} scenes, '{name}': {best.reason}"
        return name, replace(best, reason=reason, timings=dict(timings))


def _merit(found: tuple[str, PoseEstimate]) -> tuple[bool, float, int]:
    estimate = found[1]
    return estimate.localized, estimate.confidence, estimate.inliers
