# SPDX-License-Identifier: Apache-2.0
"""``dsac train``: map a scene from a recording."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_core.cli.arguments import (
    add_compute_arguments,
    add_dataset_arguments,
    limit_threads,
    positive_float,
    positive_int,
)
from dsac_core.cli.dense_options import FAST, METHODS, add_dense_options, given_dense_options
from dsac_core.cli.fast_options import FAST_BUDGET, add_fast_options, given_fast_options
from dsac_core.errors import ConfigError
from dsac_core.scene.locate import user_folder

if TYPE_CHECKING:
    from dsac_core.scene.scene_map import SceneMap

HELP = "map a scene from a recording with poses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset_arguments(parser, default_split="train", several=True)
    parser.add_argument("--scene", required=True, help="name of the scene, as in scene:=NAME")
    parser.add_argument(
        "--out",
        type=Path,
        default=argparse.SUPPRESS,
        help=f"folder of the scene map (default: {user_folder()}/SCENE)",
    )
    parser.add_argument(
        "--frame-id",
        default=argparse.SUPPRESS,
        help="frame in which the poses are (default: map, or that of the map that is continued)",
    )
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
        help=f"wall time of a fast map (default: {FAST_BUDGET:.0f}); of the training of another"
        " one (default: as long as its iterations take)",
    )
    parser.add_argument(
        "--iterations",
        type=positive_int,
        default=argparse.SUPPRESS,
        help="train for exactly so many iterations (of the stage init)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on after Ctrl-C or a kill, with the same arguments: with --iterations to the very"
        " weights of a run without an end, on as many threads; with a budget, the seconds that"
        " were spent in training count",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="start afresh where there is a map or unfinished training; else a fast map is"
        " continued, with the recordings that it was made from",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    add_fast_options(parser)
    add_dense_options(parser)
    add_compute_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Map the scene and say where the map is."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", args.scene):
        msg = f"--scene must be a plain name such as 'office', got '{args.scene}'"
        raise ConfigError(msg)
    _check_combination(args)
    from dsac_core.scene.scene_map import check_replaceable
    from dsac_core.training.checkpoint import checkpoint_beside
    from dsac_core.training.workers import joined_workers, local_device

    limit_threads(args)
    folder: Path = args.out if "out" in args else user_folder() / args.scene
    check_replaceable(folder)
    device = local_device(args.device)
    kept = checkpoint_beside(folder)  # before the working folder may be replaced
    _check_checkpoint(args, kept)
    with joined_workers(device) as workers:
        if args.method == FAST:
            from dsac_core.cli.train_fast import fast_map

            scene = fast_map(args, folder, kept, device, workers)
        else:
            from dsac_core.cli.train_dense import dense_map

            scene = dense_map(args, folder, kept, device, workers)
    if workers.rank > 0:
        return 0
    scene.save(folder)
    kept.unlink(missing_ok=True)
    _report(scene)
    sys.stdout.write(f"scene map written to {folder}\n")
    return 0


def _check_combination(args: argparse.Namespace) -> None:
    if args.method != FAST:
        if "depth" in args:
            msg = f"--depth is for fast maps: with --method {args.method} use --setting rgbd"
            raise ConfigError(msg)
        given = given_fast_options(args)
        if given:
            msg = f"{given[0]} is for fast maps, not for --method {args.method}"
            raise ConfigError(msg)
        return
    given = given_dense_options(args)
    if given:
        msg = f"{given[0]} needs a --method of DSAC*: {', '.join(METHODS[1:])}"
        raise ConfigError(msg)


def _check_checkpoint(args: argparse.Namespace, file: Path) -> None:
    if args.resume and args.replace:
        msg = "--resume goes on, --replace starts afresh: choose one of them"
        raise ConfigError(msg)
    if args.resume and not file.is_file():
        msg = f"there is nothing to resume: {file} does not exist; leave --resume away"
        raise ConfigError(msg)
    if file.is_file() and not args.resume and not args.replace:
        msg = (
            f"{file} has unfinished training: go on with --resume, or remove it to start again"
            " (--replace does)"
        )
        raise ConfigError(msg)


def _report(scene: SceneMap) -> None:
    held_out = scene.training["held_out_frames"]
    for images, suffix in (("views", ""), ("views with depth", "_with_depth")):
        good = scene.training.get(f"held_out_localized_10cm_5deg{suffix}")
        if good is not None:
            sys.stdout.write(f"{good} of {held_out} held-out {images} are within 10 cm and 5 deg\n")
    if _depth_is_open(scene.training):
        sys.stdout.write(
            "warning: how far away things are could not be found out, as the camera hardly moved"
            " while they were in view; poses beside those of the recording will be wrong. Move"
            " through the place (turning on the spot shows no depth), or map with --depth\n"
        )


def _depth_is_open(training: dict[str, Any]) -> bool:
    """Whether a fast map knows no more than the directions in which things are."""
    known = training.get("estimated_depth_share", 1.0), training.get("landmark_tracks", 1)
    return known == (0.0, 0) and not training["depth"]
