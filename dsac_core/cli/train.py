# SPDX-License-Identifier: Apache-2.0
"""``dsac train``: map a scene from a recording."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from dsac_core.cli.arguments import (
    add_compute_arguments,
    add_dataset_arguments,
    limit_threads,
    open_from_arguments,
    positive_float,
    positive_int,
)
from dsac_core.errors import ConfigError
from dsac_core.scene.locate import user_folder

HELP = "map a scene from a recording with poses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset_arguments(parser, default_split="train")
    parser.add_argument("--scene", required=True, help="name of the scene, as in scene:=NAME")
    parser.add_argument(
        "--out",
        type=Path,
        default=argparse.SUPPRESS,
        help=f"folder of the scene map (default: {user_folder()}/SCENE)",
    )
    parser.add_argument("--frame-id", default="map", help="frame in which the poses are")
    parser.add_argument(
        "--budget-seconds", type=positive_float, default=120.0, help="wall time for all of it"
    )
    parser.add_argument(
        "--iterations",
        type=positive_int,
        default=argparse.SUPPRESS,
        help="train for exactly so many iterations instead of by the clock",
    )
    parser.add_argument("--depth", action="store_true", help="learn from the recording's depth too")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    add_compute_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Map the scene and say where the map is."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", args.scene):
        msg = f"--scene must be a plain name such as 'office', got '{args.scene}'"
        raise ConfigError(msg)
    from dsac_core.data.open_dataset import choose_split
    from dsac_core.progress import ConsoleProgress
    from dsac_core.relocalizer import choose_device
    from dsac_core.scene.scene_map import check_replaceable
    from dsac_core.training.fast_map import map_scene
    from dsac_core.training.fast_map_config import FastMapConfig

    limit_threads(args)
    folder: Path = args.out if "out" in args else user_folder() / args.scene
    check_replaceable(folder)
    config = FastMapConfig(
        budget_seconds=args.budget_seconds,
        iterations=getattr(args, "iterations", None),
        use_depth=args.depth,
        seed=args.seed,
    )
    device = choose_device(args.device)
    dataset = open_from_arguments(args)
    split = choose_split(dataset, args.split)
    sys.stdout.write(f"mapping {args.scene} from {dataset.name} ({dataset.count(split)} images)\n")
    sys.stdout.flush()
    scene = map_scene(
        dataset,
        split,
        config,
        name=args.scene,
        frame_id=args.frame_id,
        device=device,
        progress=ConsoleProgress(),
    )
    scene.save(folder)
    good = scene.training["held_out_localized_10cm_5deg"]
    held_out = scene.training["held_out_frames"]
    sys.stdout.write(
        f"{good} of {held_out} held-out views are within 10 cm and 5 deg\n"
        f"scene map written to {folder}\n"
    )
    return 0
