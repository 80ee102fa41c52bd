# SPDX-License-Identifier: Apache-2.0
"""``dsac evaluate``: a map against a recording with known poses."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_core.cli.arguments import (
    add_compute_arguments,
    add_dataset_arguments,
    add_source_arguments,
    limit_threads,
    open_from_arguments,
    sources_from_arguments,
)
from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from dsac_core.data.frame import Recording
    from dsac_core.scene.scene_map import SceneMap

HELP = "measure a scene map against a recording with poses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scene", help="scene map: its folder, or its name")
    add_dataset_arguments(parser, default_split="test")
    parser.add_argument(
        "--rgbd", action="store_true", help="use the recording's depth, with maps made with depth"
    )
    out = parser.add_argument_group("what to write")
    for name, help_text in (
        ("report", "one HTML page with figures, plots and the worst frames"),
        ("json", "figures, settings and each frame; 'dsac compare' reads them"),
        ("tum", "localized poses, as lines 't x y z qx qy qz qw', and NAME.truth.tum beside it"),
    ):
        out.add_argument(
            f"--{name}", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=help_text
        )
    add_source_arguments(parser, of="localize with")
    add_compute_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Relocalize every frame and print the figures."""
    from dsac_core.data.open_dataset import choose_split, describe
    from dsac_core.evaluation.evaluate import relocalize_all
    from dsac_core.evaluation.metrics import table
    from dsac_core.evaluation.run_file import Run, write_run
    from dsac_core.evaluation.tum_files import write_trajectories
    from dsac_core.progress import ConsoleProgress
    from dsac_core.relocalizer import Relocalizer
    from dsac_core.scene.scene_map import SceneMap

    limit_threads(args)
    scene = SceneMap.load(args.scene)
    if args.rgbd and scene.depth_calibration is None:
        msg = (
            f"scene '{scene.name}' was mapped without depth: map it with --depth (or --setting"
            " rgbd), or leave --rgbd away"
        )
        raise ConfigError(msg)
    relocalizer = Relocalizer(scene, device=args.device, use=sources_from_arguments(args))
    dataset = open_from_arguments(args)
    split = choose_split(dataset, args.split)
    sys.stdout.write(f"{describe(dataset)}\n")
    progress = ConsoleProgress()
    frames = relocalize_all(relocalizer, dataset, split, progress, with_depth=args.rgbd)
    done = Run(_about(args, scene, dataset, split), [result for _, _, result in frames])
    if "tum" in args:
        write_trajectories(args.tum, done.frames)
    if "json" in args:
        write_run(args.json, done)
    if "report" in args:
        from dsac_core.evaluation.report.page import write_report
        from dsac_core.evaluation.report.worst_frames import look_again

        worst = look_again(relocalizer, dataset, split, done.frames, progress, with_depth=args.rgbd)
        write_report(args.report, done, worst)
    sys.stdout.write(table(done.summary) + "\n")
    if "report" in args:
        sys.stdout.write(f"report: {args.report}\n")
    return 0


def _about(
    args: argparse.Namespace, scene: SceneMap, dataset: Recording, split: str
) -> dict[str, Any]:
    """What is run, without what belongs to this machine."""
    from dsac_core import __version__

    made_from = {key: scene.training.get(key) for key in ("dataset", "split", "images", "finished")}
    return {
        "scene": scene.name,
        "method": scene.method,
        "landmarks": 0 if scene.landmarks is None else len(scene.landmarks),
        "made_from": ", ".join(
            f"{key} {value}" for key, value in made_from.items() if value is not None
        ),
        "dataset": dataset.name,
        "kind": dataset.kind,
        "split": split,
        "frames": dataset.count(split),
        "sources": sources_from_arguments(args),
        "depth": bool(args.rgbd),
        "device": args.device,
        "version": __version__,
    }
