# SPDX-License-Identifier: Apache-2.0
"""``dsac view``: a scene map in the browser, and how well images are relocalized in it."""

from __future__ import annotations

import argparse
import importlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_core.cli.arguments import (
    add_compute_arguments,
    limit_threads,
    positive_int,
)
from dsac_core.cli.cloud_options import add_cloud_arguments, cloud_from_arguments, sources_of
from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from dsac_core.cloud.shots import Shot
    from dsac_core.scene.scene_map import SceneMap

HELP = "look at a scene map in the browser, and at cameras relocalized in it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scene", help="scene map: its folder, or its name")
    parser.add_argument(
        "dataset",
        type=Path,
        nargs="?",
        help="a recording with poses: its images are relocalized, their errors shown",
    )
    parser.add_argument("--split", default="test", help="of a recording that has splits")
    parser.add_argument("--most", type=positive_int, default=100, help="images of it, spread")
    parser.add_argument("--host", default="localhost", help="0.0.0.0 is for other machines too")
    parser.add_argument("--port", type=positive_int, default=8080, help="or the next free one")
    add_cloud_arguments(parser)
    add_compute_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show it until Ctrl-C."""
    viser = _viser()
    from dsac_core.cloud.viewer import Viewer
    from dsac_core.scene.scene_map import SceneMap

    limit_threads(args)
    scene = SceneMap.load(args.scene)
    shots = _shots(args, scene) if args.dataset is not None else []
    learned = cloud_from_arguments(args, scene)
    server = viser.ViserServer(host=args.host, port=args.port, verbose=False)
    try:
        viewer = Viewer(server, scene.name, learned.cloud.moved(scene.map_T_scene))
        viewer.show_mapped([scene.map_T_scene @ pose for pose in learned.poses], scene.camera)
        viewer.show_shots(shots)
        sys.stdout.write(
            f"{scene.name}: open http://{args.host}:{server.get_port()} in a browser; Ctrl-C ends\n"
        )
        sys.stdout.flush()
        wait_for_interrupt()
    finally:
        server.stop()
    return 0


def wait_for_interrupt() -> None:
    """Return on Ctrl-C."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        sys.stdout.write("\n")


def _shots(args: argparse.Namespace, scene: SceneMap) -> list[Shot]:
    from dsac_core.cloud.shots import relocalized_shots
    from dsac_core.data.open_dataset import choose_split, describe, open_dataset
    from dsac_core.progress import ConsoleProgress
    from dsac_core.relocalizer import Relocalizer

    sources = sources_of(scene)
    # Of a bag the topics that the map was made from, if they were named.
    dataset = open_dataset(args.dataset, sources[0].topics if sources else None)
    sys.stdout.write(f"{describe(dataset)}\n")
    relocalizer = Relocalizer(scene, device=args.device)
    split = choose_split(dataset, args.split)
    return relocalized_shots(relocalizer, dataset, split, args.most, ConsoleProgress())


def _viser() -> Any:
    try:
        return importlib.import_module("viser")
    except ImportError as error:
        msg = f"the viewer needs viser ({error}): pip install viser"
        raise ConfigError(msg) from error
