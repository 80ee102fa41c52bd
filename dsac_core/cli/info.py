# SPDX-License-Identifier: Apache-2.0
"""``dsac info``: what is in a scene map."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, Any

from dsac_core.data.frame import ALL
from dsac_core.errors import SceneMapError
from dsac_core.scene.locate import known_scenes, locate_scene, search_folders

if TYPE_CHECKING:
    from pathlib import Path

    from dsac_core.scene.scene_map import Calibration, SceneMap

# Of the record, what the rows about the map's own belief say.
_JUDGED = ("held_out_", "mirror_images_", "support_of_")
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


def _describe(name: str) -> str:
    from dsac_core.scene.scene_map import SceneMap

    folder = locate_scene(name)
    scene = SceneMap.load(folder)
    rows = {**_what_it_is(scene, folder), **_made_from(scene.training), **_belief(scene)}
    width = max(map(len, rows))
    return "".join(f"{label:<{width}}  {value}\n" for label, value in rows.items() if value)


def _what_it_is(scene: SceneMap, folder: Path) -> dict[str, str]:
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    parameters = sum(parameter.numel() for parameter in scene.regressor.parameters())
    low, high = scene.bounds
    extent = " x ".join(f"{side:.1f}" for side in high - low)
    camera = scene.camera
    network = scene.method if scene.regression else f"{scene.method}, not trained"
    landmarks = ""
    if scene.landmarks is not None:
        landmarks = f"{len(scene.landmarks):,}, entered by {scene.landmarks.views} views"
    return {
        "scene": scene.name,
        "folder": str(folder),
        "frame": scene.frame_id,
        "network": network,
        "landmarks": landmarks,
        "size": f"{size:.1f} MB, {parameters / 1e6:.2f} million parameters",
        "extent": f"{extent} m",
        "camera": f"{camera.width}x{camera.height}, fx {camera.fx:.1f}, fy {camera.fy:.1f}",
    }


def _made_from(training: dict[str, Any]) -> dict[str, str]:
    """The record of the training: what is known by name in words, the rest as it stands there."""
    record = {key: value for key, value in training.items() if not key.startswith(_JUDGED)}
    source = str(record.pop("dataset", "?"))
    source += f", split {record.pop('split')}" if "split" in record else ""
    images = f"{record.pop('images', '?')} images"
    images += f", {record.pop('cells'):,} cells" if "cells" in record else ""
    depth = record.pop("depth", None)
    learned = "" if depth is None else ", colour and depth" if depth else ", colour alone"
    for key in ("recordings", "recordings_gone"):
        if key in record:
            record[key] = "; ".join(_recording_in_words(each) for each in record[key])
    record.pop("landmarks", None)
    return {
        "made from": f"{source}: {images}{learned}",
        "made on": str(record.pop("finished", "")),
        **{key.replace("_", " "): str(value) for key, value in record.items()},
    }


def _recording_in_words(recording: dict[str, Any]) -> str:
    place = recording.get("path", recording.get("name", "?"))
    split = recording.get("split", ALL)
    part = "" if split == ALL else f"split {split}, "
    return f"{place} ({part}{recording.get('images', '?')} images)"


def _belief(scene: SceneMap) -> dict[str, str]:
    rows = _belief_in(scene.calibration, scene.training, "")
    if scene.depth_calibration is None:
        return {**rows, "with depth": "not checked: RGB-D images are used as RGB"}
    with_depth = _belief_in(scene.depth_calibration, scene.training, "_with_depth")
    return {**rows, **{f"{label}, with depth": text for label, text in with_depth.items()}}


def _belief_in(calibration: Calibration, training: dict[str, Any], suffix: str) -> dict[str, str]:
    def known(key: str) -> Any:
        return training.get(f"{key}{suffix}")

    views = known("held_out_views") or training.get("held_out_frames")
    good = known("held_out_localized_10cm_5deg")
    held_out = ""
    if views and good is not None:
        held_out = f"{good} of {views} views are within 10 cm and 5 deg"
    if known("held_out_median_cm") is not None:
        median = f"{known('held_out_median_cm')} cm, {known('held_out_median_deg')} deg"
        held_out += f", median {median}"
    localized = f"{calibration.min_support:.0%} of the cells agreeing"
    if calibration.confidence is not None:
        localized = f"confidence {calibration.min_confidence:.2f} and {localized}"
    if known("held_out_localized") is not None:
        localized += (
            f": so {known('held_out_localized')} of {views} held-out views are,"
            f" {known('mirror_images_localized')} of {views} in a mirror"
        )
    covariance = f"scale {calibration.covariance_scale:.1f}"
    if calibration.translation_floor or calibration.rotation_floor:
        covariance += (
            f", at least {100 * calibration.translation_floor:.1f} cm and"
            f" {math.degrees(calibration.rotation_floor):.2f} deg"
        )
    if known("held_out_normalised_error") is not None:
        error = known("held_out_normalised_error")
        covariance += f"; normalised error squared of held-out views {error} (6 is honest)"
    return {"held out": held_out, "localized at": localized, "covariance": covariance}
