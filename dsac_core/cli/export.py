# SPDX-License-Identifier: Apache-2.0
"""``dsac export``: a scene map in formats of other software."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from dsac_core.scene.scene_map import SceneMap

HELP = "write a scene map in formats of other software"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scene", help="scene map: its folder, or its name")
    parser.add_argument(
        "--onnx",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="its network, from a gray image to scene points; needs pip install onnx onnxscript",
    )


def run(args: argparse.Namespace) -> int:
    """Write what was asked for."""
    if "onnx" not in args:
        msg = "say what to write: --onnx FILE"
        raise ConfigError(msg)
    from dsac_core.files import replacing_file
    from dsac_core.networks.onnx_export import write_map_onnx
    from dsac_core.scene.scene_map import SceneMap

    scene = SceneMap.load(args.scene)
    with replacing_file(args.onnx) as unfinished:
        write_map_onnx(scene.regressor, unfinished, _metadata(scene))
    sys.stdout.write(f"{args.onnx} written: {args.onnx.stat().st_size / 1e6:.1f} MB\n")
    return 0


def _metadata(scene: SceneMap) -> dict[str, str]:
    """What it takes to make poses of the points; structures as JSON."""
    return {
        "scene": scene.name,
        "frame_id": scene.frame_id,
        "map_T_scene": json.dumps(scene.map_T_scene.tolist()),
        "camera": json.dumps(asdict(scene.camera)),
        "min_reliability": str(scene.calibration.min_reliability),
    }
