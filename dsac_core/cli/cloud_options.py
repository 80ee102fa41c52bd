# SPDX-License-Identifier: Apache-2.0
"""The point cloud of a map, from the recordings that it was made from, as commands ask for it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_core.cli.arguments import positive_float, positive_int
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from dsac_core.cloud.learned_cloud import LearnedCloud
    from dsac_core.data.frame import Dataset
    from dsac_core.data.joined_recordings import RecordingSource
    from dsac_core.scene.scene_map import SceneMap

_ALL_CELLS = 1_000_000  # of an image


def add_cloud_arguments(parser: argparse.ArgumentParser) -> None:
    """Which images the cloud is asked for with, and how dense it is."""
    group = parser.add_argument_group("the point cloud")
    group.add_argument(
        "--recording",
        type=Path,
        metavar="PATH",
        default=argparse.SUPPRESS,
        help="images of the place, with poses in the scene's frame (default: what the map was made"
        " from)",
    )
    group.add_argument(
        "--images", type=positive_int, default=100, help="of it at most, evenly spread"
    )
    group.add_argument(
        "--voxel",
        type=positive_float,
        metavar="METRES",
        default=argparse.SUPPRESS,
        help="side of the cubes of which each holds one point (default: by how far things are)",
    )


def cloud_from_arguments(args: argparse.Namespace, scene: SceneMap) -> LearnedCloud:
    """The cloud, in the scene's frame.

    Raises:
        DatasetError: There are no images to ask the map with.
    """
    from dsac_core.cloud.learned_cloud import CloudConfig, learned_cloud
    from dsac_core.progress import ConsoleProgress
    from dsac_core.regression import make_regressor
    from dsac_core.relocalizer import choose_device

    dataset, split = recording_of(scene, getattr(args, "recording", None))
    regressor = make_regressor(scene, choose_device(args.device), _ALL_CELLS)
    config = CloudConfig(images=args.images, voxel=getattr(args, "voxel", None))
    return learned_cloud(scene, regressor, dataset, split, config, ConsoleProgress())


def recording_of(scene: SceneMap, path: Path | None) -> tuple[Dataset, str]:
    """What the map was made from, as one dataset, and its split; or what lies at ``path`` instead.

    Of several recordings those that are gone are left away, with a warning.

    Raises:
        DatasetError: All are gone, or the map does not say which they were.
    """
    from dsac_core.data.joined_recordings import (
        RecordingSource,
        joined_or_alone,
        named_recordings,
    )

    sources = sources_of(scene)
    if path is not None:
        # It is likely the same one, in another place.
        known = sources[0] if sources else RecordingSource(path, "train")
        return joined_or_alone(named_recordings([path], known.split, known.topics))
    parts, gone = [], []
    for source in sources:
        try:
            parts.append((source, source.opened()))
        except DatasetError as error:
            gone.append(str(error))
    if not parts:
        reason = "; ".join(gone) or "it does not say what it was made from"
        msg = (
            f"scene '{scene.name}' needs images of the place for its colours, and {reason}: name"
            " the recording with --recording"
        )
        raise DatasetError(msg)
    for words in gone:
        sys.stderr.write(f"warning: {words}: what only it shows is left away\n")
    return joined_or_alone(parts)


def sources_of(scene: SceneMap) -> list[RecordingSource]:
    """What the map was made from, as far as it was on a disk."""
    from dsac_core.data.joined_recordings import RecordingSource

    sources = []
    for record in scene.training.get("recordings", []):
        try:
            sources.append(RecordingSource.from_record(record))
        except (KeyError, TypeError):
            continue
    return sources
