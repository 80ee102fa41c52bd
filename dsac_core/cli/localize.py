# SPDX-License-Identifier: Apache-2.0
"""``dsac localize``: poses of single images as JSON lines."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_core.cli.arguments import (
    add_compute_arguments,
    add_source_arguments,
    limit_threads,
    positive_float,
    sources_from_arguments,
)
from dsac_core.errors import ConfigError, DsacError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsac_core.cli.camera_option import CameraOption
    from dsac_core.relocalizer import PoseEstimate, Relocalizer

HELP = "poses of single images, as JSON lines; no ground truth is needed"
STDIN = "-"
_INCOMPLETE = 2  # exit code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scene", help="scene map: its folder, or its name")
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image files; of a folder its images; - reads paths from standard input, one per line",
    )
    parser.add_argument(
        "--camera",
        metavar="CALIBRATION",
        default=argparse.SUPPRESS,
        help="a YAML file as ROS's camera_calibration writes it; or 'fx,fy,cx,cy' in pixels, pixel"
        " (0, 0) having its centre at (0, 0); or 'fx,fy,cx,cy,k1,k2,p1,p2[,k3]' with the distortion"
        " of OpenCV (plumb_bob); or 'f': fx = fy = f, the middle of the image, no distortion"
        " (default: the camera that the map was made with)",
    )
    parser.add_argument(
        "--resized",
        action="store_true",
        help="the images are whole ones of the calibrated camera in another size, of the same"
        " aspect ratio: scale the calibration",
    )
    parser.add_argument(
        "--depth",
        type=Path,
        nargs="+",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="depth images registered to the images, one for each in the same order, or a folder"
        " of them; for maps made with depth",
    )
    parser.add_argument(
        "--depth-unit",
        type=positive_float,
        metavar="METRES",
        default=0.001,
        help="of a value of one in the depth images",
    )
    add_source_arguments(parser, of="localize with")
    add_compute_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write one line for each image; 2 where one of them could not be read."""
    from dsac_core.cli.camera_option import camera_option
    from dsac_core.relocalizer import Relocalizer
    from dsac_core.scene.scene_map import SceneMap

    limit_threads(args)
    scene = SceneMap.load(args.scene)
    given = getattr(args, "camera", None)
    camera = camera_option(given, scene.camera, resized=args.resized)
    pairs = _with_depth(args)
    relocalizer = Relocalizer(scene, device=args.device, use=sources_from_arguments(args))
    localize = _Localize(relocalizer, camera, args.depth_unit)
    failed = False
    for image, depth in pairs:
        try:
            line = localize(image, depth)
        except DsacError as error:
            line, failed = {"image": str(image), "error": str(error)}, True
        sys.stdout.write(json.dumps(line, allow_nan=False) + "\n")
        sys.stdout.flush()  # somebody may be waiting for it at the end of a pipe
    return _INCOMPLETE if failed else 0


class _Localize:
    def __init__(self, relocalizer: Relocalizer, camera: CameraOption, depth_unit: float) -> None:
        self._relocalizer, self._camera, self._depth_unit = relocalizer, camera, depth_unit
        self._warm = False

    def __call__(self, file: Path, depth_file: Path | None) -> dict[str, Any]:
        from dsac_core.data.posed_files import DepthFile, read_depth, read_image

        image = read_image(file)
        height, width = image.shape[:2]
        camera = self._camera.of(width, height)
        depth = None
        if depth_file is not None:
            depth = read_depth(DepthFile(depth_file, self._depth_unit), camera)
        if not self._warm:  # the first run of anything is slow
            self._relocalizer(image, camera, depth)
            self._warm = True
        started = time.perf_counter()
        estimate = self._relocalizer(image, camera, depth)
        milliseconds = 1e3 * (time.perf_counter() - started)
        return {"image": str(file), **as_record(estimate), "ms": round(milliseconds, 1)}


def as_record(estimate: PoseEstimate) -> dict[str, Any]:
    """An estimate as JSON has it; null where there is no pose."""
    from dsac_core.geometry.pose import to_quaternion

    pose, covariance = estimate.world_T_cam, estimate.covariance
    translation, xyzw = (None, None) if pose is None else to_quaternion(pose)
    return {
        "localized": estimate.localized,
        "world_T_cam": None if pose is None else pose.tolist(),
        "translation": None if translation is None else translation.tolist(),
        "quaternion_xyzw": None if xyzw is None else xyzw.tolist(),
        "covariance": None if covariance is None else covariance.tolist(),
        "confidence": float(estimate.confidence),
        "inliers": estimate.inliers,
        "landmark_inliers": estimate.landmark_inliers,
        "reason": estimate.reason,
    }


def _with_depth(args: argparse.Namespace) -> Iterator[tuple[Path, Path | None]]:
    if "depth" not in args:
        return ((image, None) for image in _images(args.images))
    if STDIN in args.images:
        msg = "--depth needs the images by name: paths from standard input have no depth beside"
        raise ConfigError(msg)
    images = list(_images(args.images))
    depths = list(_images(map(str, args.depth)))
    if len(images) != len(depths):
        msg = f"--depth takes one file for each image: there are {len(depths)} for {len(images)}"
        raise ConfigError(msg)
    return zip(images, depths, strict=True)


def _images(names: Any) -> Iterator[Path]:
    from dsac_core.data.layout_text import IMAGE_ENDINGS, in_number_order

    for name in names:
        path = Path(name).expanduser()
        if name == STDIN:
            lines = (line.strip() for line in sys.stdin)
            yield from (Path(line) for line in lines if line)
        elif path.is_dir():
            found = [file for file in path.iterdir() if file.suffix in (*IMAGE_ENDINGS, ".tiff")]
            if not found:
                yield path  # which is told to be no image
            yield from sorted(found, key=lambda file: in_number_order(file.name))
        else:
            yield path
