# SPDX-License-Identifier: Apache-2.0
"""``dsac info``: what is in a scene map."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dsac_core.errors import SceneMapError
from dsac_core.scene.locate import known_scenes, locate_scene, search_folders

if TYPE_CHECKING:
    from dsac_core.scene.scene_map import Calibration

HELP = "list the scene maps, or tell what is in one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scene", nargs="?", help="scene map: its folder, or its name")


def run(args: argparse.Namespace) -> int:
    """Print one map's header in words, or the list of maps."""
    sys.stdout.write(_list() if args.scene is None else _describe(args.scene))
    return 0


def _list() -> str:
    scenes = known_scenes()
    if not scenes:
        msg = (
            f"no scene maps in {', '.join(map(str, search_folders()))}: make one with 'dsac train'"
        )
        raise SceneMapError(msg)
    width = max(map(len, scenes))
    return "".join(f"{name:<{width}}  {folder}\n" for name, folder in scenes.items())


def _with_depth(calibration: Calibration | None) -> str:
    if calibration is None:
        return "not checked: RGB-D images are used as RGB"
    return (
        f"localized at {calibration.min_support:.0%} of the cells agreeing,"
        f" covariance scale {calibration.covariance_scale:.1f}"
    )


def _describe(name: str) -> str:
    from dsac_core.scene.scene_map import SceneMap

    folder = locate_scene(name)
    scene = SceneMap.load(folder)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    low, high = scene.bounds
    extent = " x ".join(f"{side:.1f}" for side in high - low)
    camera = scene.camera
    rows = {
        "scene": scene.name,
        "folder": folder,
        "frame": scene.frame_id,
        "network": scene.method,
        "size": f"{size:.1f} MB",
        "extent": f"{extent} m",
        "camera": f"{camera.width}x{camera.height}, fx {camera.fx:.1f}, fy {camera.fy:.1f}",
        "localized at": f"{scene.calibration.min_support:.0%} of the cells agreeing",
        "covariance scale": f"{scene.calibration.covariance_scale:.1f}",
        "with depth": _with_depth(scene.depth_calibration),
        **{f"training: {key}": value for key, value in scene.training.items()},
    }
    width = max(map(len, rows))
    return "".join(f"{label:<{width}}  {value}\n" for label, value in rows.items())
