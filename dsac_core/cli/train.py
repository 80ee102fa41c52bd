# SPDX-License-Identifier: Apache-2.0
"""``dsac train``: map a scene from a recording."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_core.cli.arguments import (
    add_compute_arguments,
    add_dataset_arguments,
    limit_threads,
    open_from_arguments,
    positive_float,
    positive_int,
)
from dsac_core.cli.dense_options import (
    FAST,
    METHODS,
    add_dense_options,
    dense_config,
    given_dense_options,
    with_model,
)
from dsac_core.errors import ConfigError
from dsac_core.scene.locate import user_folder

if TYPE_CHECKING:
    import torch

    from dsac_core.data.frame import Dataset
    from dsac_core.scene.scene_map import SceneMap

HELP = "map a scene from a recording with poses"
_FAST_BUDGET = 120.0


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
        "--method",
        choices=METHODS,
        default=FAST,
        help="fast: minutes on a CPU; the networks of DSAC* and DSAC++: hours on a GPU",
    )
    parser.add_argument(
        "--budget-seconds",
        type=positive_float,
        default=argparse.SUPPRESS,
        help=f"wall time of a fast map (default: {_FAST_BUDGET:.0f}); of the training of another"
        " one (default: as long as its iterations take)",
    )
    parser.add_argument(
        "--iterations",
        type=positive_int,
        default=argparse.SUPPRESS,
        help="train for exactly so many iterations (of the stage init)",
    )
    parser.add_argument(
        "--depth",
        action="store_true",
        default=argparse.SUPPRESS,
        help="a fast map learns from the recording's depth too",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    add_dense_options(parser)
    add_compute_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Map the scene and say where the map is."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", args.scene):
        msg = f"--scene must be a plain name such as 'office', got '{args.scene}'"
        raise ConfigError(msg)
    _check_combination(args)
    from dsac_core.data.open_dataset import choose_split
    from dsac_core.relocalizer import choose_device
    from dsac_core.scene.scene_map import check_replaceable

    limit_threads(args)
    folder: Path = args.out if "out" in args else user_folder() / args.scene
    check_replaceable(folder)
    device = choose_device(args.device)
    dataset = open_from_arguments(args)
    split = choose_split(dataset, args.split)
    sys.stdout.write(f"mapping {args.scene} from {dataset.name} ({dataset.count(split)} images)\n")
    sys.stdout.flush()
    checkpoint = _checkpoint_file(folder)  # before the working folder may be replaced
    mapped = _fast_map if args.method == FAST else _dense_map
    scene = mapped(args, dataset, split, device, folder)
    scene.save(folder)
    if args.method != FAST:
        checkpoint.unlink(missing_ok=True)
    _report(scene)
    sys.stdout.write(f"scene map written to {folder}\n")
    return 0


def _check_combination(args: argparse.Namespace) -> None:
    if args.method != FAST:
        if "depth" in args:
            msg = f"--depth is for fast maps: with --method {args.method} use --setting rgbd"
            raise ConfigError(msg)
        return
    given = given_dense_options(args)
    if given:
        msg = f"{given[0]} needs a --method of DSAC*: {', '.join(METHODS[1:])}"
        raise ConfigError(msg)


def _fast_map(
    args: argparse.Namespace, dataset: Dataset, split: str, device: torch.device, _: Path
) -> SceneMap:
    from dsac_core.progress import ConsoleProgress
    from dsac_core.training.fast_map import map_scene
    from dsac_core.training.fast_map_config import FastMapConfig

    config = FastMapConfig(
        budget_seconds=getattr(args, "budget_seconds", _FAST_BUDGET),
        iterations=getattr(args, "iterations", None),
        use_depth="depth" in args,
        seed=args.seed,
    )
    return map_scene(
        dataset,
        split,
        config,
        name=args.scene,
        frame_id=args.frame_id,
        device=device,
        progress=ConsoleProgress(),
    )


def _dense_map(
    args: argparse.Namespace, dataset: Dataset, split: str, device: torch.device, folder: Path
) -> SceneMap:
    from dsac_core.progress import ConsoleProgress
    from dsac_core.scene.scene_map import SceneMap
    from dsac_core.training.dense_map import map_scene_densely

    config = dense_config(args)
    file = _checkpoint_file(folder)
    resume = "resume" in args
    if resume and not file.is_file():
        msg = f"there is nothing to resume: {file} does not exist; leave --resume away"
        raise ConfigError(msg)
    if file.is_file() and not resume:
        msg = f"{file} has unfinished training: go on with --resume, or remove it to start again"
        raise ConfigError(msg)
    begin_with = None if "init" in config.stages or resume else SceneMap.load(folder)
    try:
        return map_scene_densely(
            with_model(args, dataset),
            split,
            config,
            name=args.scene,
            frame_id=args.frame_id,
            device=device,
            progress=ConsoleProgress(),
            checkpoint_file=file,
            resume=resume,
            begin_with=begin_with,
        )
    except KeyboardInterrupt as interrupt:
        if not file.is_file():  # it was still reading
            raise
        msg = f"training is kept in {file}, go on with --resume"
        raise KeyboardInterrupt(msg) from interrupt


def _checkpoint_file(folder: Path) -> Path:
    folder = folder.resolve()  # "." has no name
    return folder.with_name(f"{folder.name}.training.pt")


def _report(scene: SceneMap) -> None:
    held_out = scene.training["held_out_frames"]
    for images, suffix in (("views", ""), ("views with depth", "_with_depth")):
        good = scene.training.get(f"held_out_localized_10cm_5deg{suffix}")
        if good is not None:
            sys.stdout.write(f"{good} of {held_out} held-out {images} are within 10 cm and 5 deg\n")
