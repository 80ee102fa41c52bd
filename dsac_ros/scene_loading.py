# SPDX-License-Identifier: Apache-2.0
"""Opens the scene map and tries the relocalizer once, so that what cannot work fails early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera
    from dsac_ros.parameters import Settings
    from dsac_ros.pipeline import Estimate


@dataclass(frozen=True)
class LoadedScene:
    """A scene that is ready to localize in."""

    name: str
    frame_id: str
    relocalize: Callable[[NDArray[np.uint8], Camera], Estimate]


def load_scene(settings: Settings) -> LoadedScene:
    """The scene that the settings name, on the device that they name.

    Raises:
        DsacError: The scene is unknown or damaged, or the device cannot work.
    """
    # PyTorch takes seconds to import: not before it is needed.
    import numpy as np
    import torch

    from dsac_core import Relocalizer, SceneMap
    from dsac_core.scene.locate import known_scenes

    if not settings.scene:
        known = ", ".join(known_scenes()) or "none"
        msg = f"no scene: set the parameter scene to a name or a path (known scenes: {known})"
        raise ConfigError(msg)
    torch.set_num_threads(settings.threads)  # of threads that start from now on, too
    scene = SceneMap.load(settings.scene)
    try:
        relocalizer = Relocalizer(scene, device=settings.device)
        # The first run is the slow one, and the one in which a device shows that it cannot.
        camera = scene.camera
        noise = np.random.default_rng(0).integers(0, 255, (camera.height, camera.width))
        relocalizer(noise.astype(np.uint8), camera)
    except RuntimeError as error:  # PyTorch's
        why = str(error).strip().splitlines()[0]
        msg = f"scene '{scene.name}' does not run on device '{settings.device}': {why}"
        raise ConfigError(msg) from error
    return LoadedScene(scene.name, scene.frame_id, relocalizer)
