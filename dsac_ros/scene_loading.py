# SPDX-License-Identifier: Apache-2.0
"""Opens scene maps and tries each relocalizer once, so that what cannot work fails early."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dsac_core.errors import ConfigError, DsacError
from dsac_ros.reprojection import explain
from dsac_ros.scene_set import LoadedScene

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dsac_ros.parameters import Settings

    Open = Callable[[Path, Settings], LoadedScene]

AUTO = "auto"


def load_scenes(settings: Settings, open_scene: Open | None = None) -> list[LoadedScene]:
    """The scenes that the settings name, on the device that they name.

    Args:
        settings: ``scene`` is a name or a path, several with commas between, or ``auto``: all that
            can be loaded by name.
        open_scene: Loads one, given its folder.

    Raises:
        DsacError: A scene is unknown or damaged, the device cannot work, or the scenes do not go
            together.
    """
    from dsac_core.scene.locate import locate_scene

    names = _names(settings.scene)
    folders = [locate_scene(name) for name in names]
    scenes: list[LoadedScene] = []
    for folder in folders:
        try:
            scenes.append((open_scene or load_scene)(folder, settings))
        except DsacError as error:
            if len(folders) == 1:
                raise
            msg = f"of {len(folders)} scenes, '{folder.name}' cannot be loaded: {error}"
            raise ConfigError(msg) from error
    check_frames(scenes, settings.map_frame_id)
    return scenes


def check_frames(scenes: Sequence[LoadedScene], map_frame: str) -> str:
    """The frame in which the poses of all scenes are given.

    Args:
        scenes: At least one.
        map_frame: What the node is told to call it; empty: as the scenes do.

    Raises:
        ConfigError: The scenes name different frames.
    """
    if map_frame:
        return map_frame
    by_frame: dict[str, str] = {}
    for scene in scenes:
        by_frame.setdefault(scene.frame_id, scene.name)
    if len(by_frame) > 1:
        listed = ", ".join(f"'{name}' in '{frame}'" for frame, name in by_frame.items())
        msg = (
            f"the scenes are in different frames ({listed}): put all into the frame of the"
            " navigation's map with 'dsac align', and name that frame in map_frame_id"
        )
        raise ConfigError(msg)
    return next(iter(by_frame))


def load_scene(folder: Path, settings: Settings) -> LoadedScene:
    """One scene.

    Raises:
        DsacError: It is damaged, or the device cannot work.
    """
    # PyTorch takes seconds to import: not before it is needed.
    import numpy as np
    import torch

    from dsac_core import Relocalizer, SceneMap

    torch.set_num_threads(settings.threads)  # of threads that start from now on, too
    scene = SceneMap.load(folder)
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
    # By its folder, as it is found: what a map was called when it was made may be there twice. A
    # link is called what the link is called.
    return LoadedScene(
        folder.name.strip(".") or folder.resolve().name,
        scene.frame_id,
        relocalizer,
        str(relocalizer.device),
        partial(explain, relocalizer),
    )


def _names(scene: str) -> list[str]:
    from dsac_core.scene.locate import known_scenes, search_folders

    if scene.strip() == AUTO:
        known = list(known_scenes())
        if not known:
            searched = ", ".join(map(str, search_folders()))
            msg = f"scene auto: there are no scene maps in {searched}; make one with 'dsac train'"
            raise ConfigError(msg)
        return known
    names = [name.strip() for name in scene.split(",") if name.strip()]
    if not names:
        listed = ", ".join(known_scenes()) or "none"
        msg = (
            "no scene: set the parameter scene to a name or a path, several with commas, or auto"
            f" (known scenes: {listed})"
        )
        raise ConfigError(msg)
    return names
