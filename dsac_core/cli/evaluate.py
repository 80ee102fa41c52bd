# SPDX-License-Identifier: Apache-2.0
"""``dsac evaluate``: a map against a recording with known poses."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dsac_core.cli.arguments import (
    add_compute_arguments,
    add_dataset_arguments,
    add_source_arguments,
    limit_threads,
    open_from_arguments,
    sources_from_arguments,
)
from dsac_core.errors import ConfigError

HELP = "measure a scene map against a recording with poses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scene", help="scene map: its folder, or its name")
    add_dataset_arguments(parser, default_split="test")
    parser.add_argument(
        "--rgbd", action="store_true", help="use the recording's depth, with maps made with depth"
    )
    parser.add_argument("--json", type=Path, default=argparse.SUPPRESS, help="write figures here")
    parser.add_argument(
        "--tum",
        type=Path,
        default=argparse.SUPPRESS,
        help="write localized poses here, as lines 't x y z qx qy qz qw'",
    )
    add_source_arguments(parser, of="localize with")
    add_compute_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Relocalize every frame and print the figures."""
    from dsac_core.data.open_dataset import choose_split, describe
    from dsac_core.evaluation.evaluate import relocalize_all
    from dsac_core.evaluation.metrics import summarize, table
    from dsac_core.files import replacing_file, write_json
    from dsac_core.geometry.pose import to_quaternion
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
    results, trajectory = [], []
    frames = relocalize_all(relocalizer, dataset, split, ConsoleProgress(), with_depth=args.rgbd)
    for frame, estimate, result in frames:
        results.append(result)
        if estimate.localized and estimate.world_T_cam is not None:
            translation, xyzw = to_quaternion(estimate.world_T_cam)
            numbers = " ".join(f"{value:.6f}" for value in (*translation, *xyzw))
            trajectory.append(f"{frame.stamp:.6f} {numbers}\n")
    summary = summarize(results)
    if "tum" in args:
        with replacing_file(args.tum) as unfinished:
            unfinished.write_text("".join(trajectory))
    if "json" in args:
        write_json(args.json, summary.as_dict())
    sys.stdout.write(table(summary) + "\n")
    return 0
