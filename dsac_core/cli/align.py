# SPDX-License-Identifier: Apache-2.0
"""``dsac align``: put a scene map into the frame of the map that the robot navigates by."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_core.cli.arguments import positive_float
from dsac_core.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.alignment import Alignment

    FloatArray = NDArray[np.float64]

HELP = "put a scene map into the frame of another map, such as navigation's"
_MOST_PAIRS = 200  # of two trajectories: more say nothing new
_MAX_GAP = 500_000_000  # ns between poses of the map that are joined


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scene", help="scene map: its folder, or its name")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="lines of 'x y z x y z': a point in the scene's frame, and in the map's; with --planar"
        " also 'x y x y'",
    )
    what.add_argument(
        "--from-poses",
        type=Path,
        nargs=2,
        metavar=("SCENE.tum", "MAP.tum"),
        default=argparse.SUPPRESS,
        help="poses of the same body (base or camera) at the same times: as this scene map gives"
        " them, and in the map",
    )
    what.add_argument("--show", action="store_true", help="print the present alignment")
    what.add_argument("--reset", action="store_true", help="go back to the scene's own frame")
    parser.add_argument(
        "--planar",
        action="store_true",
        help="turn about z and move along x and y only; both frames must have z up",
    )
    parser.add_argument(
        "--height", type=float, default=0.0, help="with --planar, of the scene's origin in the map"
    )
    parser.add_argument(
        "--max-residual",
        type=positive_float,
        default=0.3,
        help="metres; pairs that miss by more are left out",
    )
    parser.add_argument(
        "--aligned",
        choices=("replace", "refine"),
        default=argparse.SUPPRESS,
        help="where the scene is aligned already: whether the points and poses are of the scene's"
        " own frame (replace), or as the node gives them now (refine)",
    )
    parser.add_argument(
        "--frame-id",
        metavar="FRAME",
        default=argparse.SUPPRESS,
        help="the name of the map's frame, which the scene's poses have from then on",
    )
    parser.add_argument("--dry-run", action="store_true", help="print, but change nothing")


def run(args: argparse.Namespace) -> int:
    """Align, show or reset."""
    import numpy as np

    from dsac_core.scene.locate import HEADER_FILE, locate_scene
    from dsac_core.scene.scene_map import SceneMap

    folder = locate_scene(args.scene)
    present = SceneMap.load(folder).map_T_scene
    aligned = not np.array_equal(present, np.eye(4))
    if args.show:
        sys.stdout.write(f"map_T_scene  {_in_words(present)}\n")
        return 0
    map_T_scene = np.eye(4)
    if not args.reset:
        if aligned and "aligned" not in args:
            msg = (
                f"scene '{args.scene}' is aligned already: say --aligned refine where the points or"
                " poses are as the node gives them now, --aligned replace where they are of the"
                " scene's own frame"
            )
            raise ConfigError(msg)
        found = _align(args)
        map_T_scene = found.map_T_scene
        if getattr(args, "aligned", "replace") == "refine":
            map_T_scene = map_T_scene @ present
    if not args.dry_run:
        _write(folder / HEADER_FILE, map_T_scene, getattr(args, "frame_id", None))
    said = "would be" if args.dry_run else "is now"
    sys.stdout.write(f"map_T_scene {said}  {_in_words(map_T_scene)}\n")
    return 0


def _align(args: argparse.Namespace) -> Alignment:
    from dsac_core.alignment import SCALE_TOLERANCE, align, pose_points

    if "pairs" in args:
        scene, target = _read_pairs(args.pairs, planar=args.planar)
    else:
        scene_poses, map_poses = _read_poses(*args.from_poses)
        scene, target = pose_points(scene_poses), pose_points(map_poses)
    height = args.height if args.planar else None
    found = align(scene, target, threshold=args.max_residual, height=height)
    names = [" ".join(f"{value:8.3f}" for value in point) for point in scene[:, 0]]
    for name, residual, used in zip(names, found.residuals_N, found.used_N, strict=True):
        sys.stdout.write(f"{name}   {residual:7.3f} m{'' if used else '   left out'}\n")
    used_residuals = found.residuals_N[found.used_N]
    rms = float((used_residuals**2).mean() ** 0.5)
    sys.stdout.write(f"{len(used_residuals)} of {len(names)} pairs agree, RMS {rms:.3f} m\n")
    if abs(found.scale - 1.0) > SCALE_TOLERANCE:
        sys.stderr.write(
            f"warning: distances in the map are {found.scale:.3f} times those in the scene:"
            " check the units, and the poses that the scene was mapped with\n"
        )
    return found


def _read_pairs(file: Path, *, planar: bool) -> tuple[FloatArray, FloatArray]:
    """Points [N x 1 x 3] in the scene and in the map."""
    import numpy as np

    scene, target = [], []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) == 4 and planar:
            values = [*values[:2], 0.0, *values[2:], 0.0]
        if len(values) != 6 or not np.isfinite(values).all():
            wanted = "'x y x y' or 'x y z x y z'" if planar else "'x y z x y z'"
            msg = f"{file}, line {number}: expected {wanted}, a point in the scene and in the map"
            raise DatasetError(msg)
        scene.append([values[:3]])
        target.append([values[3:]])
    return np.array(scene).reshape(-1, 1, 3), np.array(target).reshape(-1, 1, 3)


def _read_poses(scene_file: Path, map_file: Path) -> tuple[FloatArray, FloatArray]:
    """Poses [N x 4 x 4] of the same times."""
    import numpy as np

    from dsac_core.data.stamped_text import TUM, read_stamped_poses

    scene = read_stamped_poses(scene_file, TUM)
    target = read_stamped_poses(map_file, TUM).with_max_gap(_MAX_GAP)
    both = [stamp for stamp in scene.stamps if target.at(stamp) is not None]
    if not both:
        msg = (
            f"{map_file} has no poses at the times of {scene_file}: both must have the stamps of"
            " one clock"
        )
        raise DatasetError(msg)
    chosen = sorted({both[round(k)] for k in np.linspace(0, len(both) - 1, _MOST_PAIRS)})
    poses: list[list[Any]] = [[each.at(stamp) for stamp in chosen] for each in (scene, target)]
    return np.array(poses[0]), np.array(poses[1])


def _write(header_file: Path, map_T_scene: FloatArray, frame_id: str | None) -> None:
    """Change the header alone: the networks stay as they are."""
    from dsac_core.files import write_json

    header = json.loads(header_file.read_text())
    header["map_T_scene"] = map_T_scene.tolist()
    if frame_id is not None:
        header["frame_id"] = frame_id
    write_json(header_file, header)


def _in_words(pose: FloatArray) -> str:
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(pose[:3, :3]).as_euler("ZYX", degrees=True)
    x, y, z = (round(float(value), 3) + 0.0 for value in pose[:3, 3])  # no -0
    yaw, pitch, roll = (round(float(value), 2) + 0.0 for value in turn)
    return f"x {x:.3f} y {y:.3f} z {z:.3f} m, roll {roll:.2f} pitch {pitch:.2f} yaw {yaw:.2f} deg"
