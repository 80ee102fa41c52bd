# SPDX-License-Identifier: Apache-2.0
"""``dsac export``: a scene map in formats of other software."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_core.cli.arguments import add_compute_arguments, limit_threads
from dsac_core.cli.cloud_options import add_cloud_arguments, cloud_from_arguments
from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from dsac_core.scene.scene_map import SceneMap

HELP = "write a scene map in formats of other software"
TARGETS = {
    "onnx": "its network, from a gray image to scene points; needs pip install onnx onnxscript",
    "points": "the coloured points that it has learned, in its frame, as PLY",
    "mesh": "the surface through them, as PLY; needs pip install open3d",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scene", help="scene map: its folder, or its name")
    for name, help_text in TARGETS.items():
        parser.add_argument(
            f"--{name}", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=help_text
        )
    add_cloud_arguments(parser)
    add_compute_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write what was asked for."""
    if not any(name in args for name in TARGETS):
        words = [f"--{name} FILE" for name in TARGETS]
        msg = f"say what to write: {', '.join(words[:-1])} or {words[-1]}"
        raise ConfigError(msg)
    from dsac_core.scene.scene_map import SceneMap

    limit_threads(args)
    scene = SceneMap.load(args.scene)
    if "onnx" in args:
        _write_onnx(scene, args.onnx)
    if "points" in args or "mesh" in args:
        _write_cloud(args, scene)
    return 0


def _write_onnx(scene: SceneMap, file: Path) -> None:
    from dsac_core.files import replacing_file
    from dsac_core.networks.onnx_export import write_map_onnx

    with replacing_file(file) as unfinished:
        write_map_onnx(scene.regressor, unfinished, _metadata(scene))
    _tell(file)


def _write_cloud(args: argparse.Namespace, scene: SceneMap) -> None:
    from dsac_core.cloud.mesh import check_mesh_support, surface_through
    from dsac_core.cloud.ply import write_ply

    if "mesh" in args:
        check_mesh_support()
    learned = cloud_from_arguments(args, scene)
    cloud = learned.cloud.moved(scene.map_T_scene)
    sides = " x ".join(f"{low:.2f} to {high:.2f} m" for low, high in cloud.bounds().T)
    sys.stdout.write(
        f"{len(cloud):,} points, one in {1e3 * learned.voxel:.0f} mm: of {learned.predicted:,} in"
        f" {len(learned.poses)} images {learned.kept:,} are confirmed\n"
        f"from {sides} in '{scene.frame_id}'\n"
    )
    if "points" in args:
        cloud.write_ply(args.points)
        _tell(args.points)
    if "mesh" in args:
        mesh = surface_through(cloud, learned.voxel)
        write_ply(mesh, args.mesh)
        _tell(args.mesh, f", {len(mesh.faces):,} triangles")


def _tell(file: Path, more: str = "") -> None:
    sys.stdout.write(f"{file} written: {file.stat().st_size / 1e6:.1f} MB{more}\n")


def _metadata(scene: SceneMap) -> dict[str, str]:
    """What it takes to make poses of the points; structures as JSON."""
    return {
        "scene": scene.name,
        "frame_id": scene.frame_id,
        "map_T_scene": json.dumps(scene.map_T_scene.tolist()),
        "camera": json.dumps(asdict(scene.camera)),
        "min_reliability": str(scene.calibration.min_reliability),
    }
