# SPDX-License-Identifier: Apache-2.0
"""Where scene maps are found by name."""

from __future__ import annotations

import os
from pathlib import Path

from dsac_core.errors import SceneMapError

HEADER_FILE = "scene.json"
SEARCH_VARIABLE = "DSAC_SCENES"


def user_folder() -> Path:
    """Where a user's own scene maps live: ``~/.ros/dsac/scenes``."""
    return Path("~/.ros/dsac/scenes").expanduser()


def search_folders() -> list[Path]:
    """Folders of scene maps, first come first served."""
    listed = os.environ.get(SEARCH_VARIABLE, "")
    folders = [Path(entry).expanduser() for entry in listed.split(os.pathsep) if entry]
    return [*folders, user_folder(), *_package_share()]


def known_scenes() -> dict[str, Path]:
    """Names and folders of the scene maps that can be loaded by name."""
    scenes: dict[str, Path] = {}
    for folder in search_folders():
        for header in sorted(folder.glob(f"*/{HEADER_FILE}")):
            scenes.setdefault(header.parent.name, header.parent)
    return scenes


def locate_scene(name_or_path: str | Path) -> Path:
    """The folder of a scene map, given its path or its name.

    Raises:
        SceneMapError: There is none; the message lists those that were found.
    """
    path = Path(name_or_path).expanduser()
    if (path / HEADER_FILE).is_file():
        return path
    scenes = known_scenes()
    if str(name_or_path) in scenes:
        return scenes[str(name_or_path)]
    if path.is_dir():
        msg = f"{path} is a folder, but no scene map: it has no {HEADER_FILE}"
        raise SceneMapError(msg)
    found = ", ".join(scenes) if scenes else "none"
    searched = ", ".join(map(str, search_folders()))
    msg = f"unknown scene '{name_or_path}'; scenes found: {found} (searched: {searched})"
    raise SceneMapError(msg)


def _package_share() -> list[Path]:
    """Scene maps that ship with the ROS package, where there is ROS."""
    try:
        from ament_index_python.packages import (  # type: ignore[import-not-found,unused-ignore]
            PackageNotFoundError,
            get_package_share_directory,
        )
    except ImportError:
        return []
    try:
        return [Path(get_package_share_directory("dsac_ros")) / "scenes"]
    except (PackageNotFoundError, LookupError, OSError):
        return []
