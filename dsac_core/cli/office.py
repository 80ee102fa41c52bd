# SPDX-License-Identifier: Apache-2.0
"""`dsac office`: render a synthetic office and write two walks through it as rosbag2 recordings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "render a synthetic office and write two walks through it as rosbag2 recordings"
FAST_SECONDS = 15.0  # in which the robot of each walk drives some metres


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "out_dir", type=Path, metavar="OUT_DIR",
        help="folder that gets office_mapping and office_test (about 1.7 GB)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="another seed is another office")
    parser.add_argument(
        "--walk", choices=("mapping", "test", "both"), default="both", help="which walks"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=None,
        help="only the first seconds of each walk; all of it unless given",
    )
    parser.add_argument(
        "--fast", action="store_true",
        help=f"small recordings to try things with: 320x240, {FAST_SECONDS:g} s of each walk",
    )  # fmt: skip
    parser.add_argument("--processes", type=int, default=2, help="that render side by side")
    parser.add_argument(
        "--overwrite", action="store_true", help="write again what is already there"
    )


def run(args: argparse.Namespace) -> int:
    """Write the recordings; returns the exit status."""
    from dsac_core.errors import ConfigError
    from dsac_core.progress import ConsoleProgress
    from dsac_core.synthetic import (
        CAMERA,
        WALKS,
        BagOptions,
        RoomOptions,
        is_written,
        office,
        walk_poses,
        write_walk,
    )

    seconds = args.seconds if args.seconds is not None else FAST_SECONDS if args.fast else None
    if seconds is not None and not 0.2 <= seconds < float("inf"):
        msg = f"--seconds must be at least 0.2, got {seconds}"
        raise ConfigError(msg)
    room_options = RoomOptions(seed=args.seed)
    camera = CAMERA.scaled(320, 240) if args.fast else CAMERA
    options = BagOptions(camera=camera, processes=args.processes)
    begun = time.monotonic()
    progress = ConsoleProgress()
    for name in WALKS if args.walk == "both" else (args.walk,):
        walk = walk_poses(name, room_options)
        if seconds is not None:
            walk = walk.part(0, min(round(seconds * 15), len(walk.image_times)))
        if not args.overwrite and is_written(args.out_dir, room_options, walk, options):
            print(f"office_{name}: is already there, kept ({args.out_dir / f'office_{name}'})")
            continue
        print(f"office_{name}: building the room", flush=True)
        room = office(room_options.seed)

        def report(done: int, count: int, stage: str = f"office_{name}") -> None:
            progress(stage, done / count, f"{done} of {count} images")

        path = write_walk(
            args.out_dir, room, walk, options, overwrite=args.overwrite, progress=report
        )
        size = sum(file.stat().st_size for file in path.iterdir()) / 1e6
        print(f"office_{name}: {size:.0f} MB, {path}")
    print(f"done in {time.monotonic() - begun:.0f} s")
    return 0
