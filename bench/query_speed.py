# SPDX-License-Identifier: Apache-2.0
"""From a JPEG of 640x480 to its pose, by a fast map: milliseconds by stage, threads and backend.

Each number of threads has a process of its own; in it the backends take turns on each frame, so
that a busy moment of the machine hits all alike: ratios are what counts. By default a map of a
stretch of the synthetic office is made first and kept. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench import machine
from bench.query_backends import BACKENDS
from bench.studies.maps import MapMaker
from bench.studies.settings import Settings
from dsac_core.data.frame import Frame
from dsac_core.errors import DsacError
from dsac_core.files import write_json
from dsac_core.geometry.pose import pose_error
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.fast_map_config import FastMapConfig

STAGES = ("decode", "gray", "encode", "regress", "keypoints", "match", "ransac")
HEADING = ("threads", "backend", *STAGES, "total", "p95", "good %", "cm")
GOOD_CM, GOOD_DEG = 5.0, 5.0
_JPEG_QUALITY = 95
_OFFICE_VIEWS = 30
_HEIGHT = 480  # px
_WARM_UP = 3  # frames

Row = dict[str, Any]


def measure(
    scene: SceneMap, frames: Sequence[Frame], threads: int, backends: Sequence[str]
) -> list[Row]:
    """One row for each backend, with medians in ms."""
    machine.use_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        relocalizers = {
            name: BACKENDS[name].make(scene, Path(folder), threads) for name in backends
        }
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in backends}
        for index, frame in enumerate([*frames[:_WARM_UP], *frames]):
            jpeg = _jpeg_of(frame)
            # Each one comes first, second, ... in turn: what ran before leaves the caches its own.
            first = index % len(backends)
            for name in [*backends[first:], *backends[:first]]:
                figures = _query(relocalizers[name], jpeg, frame)
                if index >= _WARM_UP:
                    runs[name].append(figures)
    return [_row(threads, name, figures) for name, figures in runs.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write it as JSON."""
    args = _parser().parse_args(arguments)
    backends = _available(args.backends)
    try:
        scene, frames = _scene_and_frames(args)
    except DsacError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    rows: list[Row] = []
    print("  ".join(f"{name:>9}" if name != "backend" else f"{name:20}" for name in HEADING))
    for threads in args.threads:
        # OpenMP reads how many it may use when it is loaded.
        machine.use_threads(threads)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn) as process:
            rows += process.submit(measure, scene, frames, threads, backends).result()
        for row in rows[-len(backends) :]:
            print(_line(row), flush=True)
    about = {"scene": scene.name, "frames": len(frames), "training": scene.training}
    write_json(args.out, {"rows": rows, **about, "machine": machine.describe()})
    print(f"written to {args.out}")
    return 0


def _query(relocalizer: Relocalizer, jpeg: np.ndarray, frame: Frame) -> dict[str, float]:
    started = time.perf_counter()
    image = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    decoded = time.perf_counter()
    estimate = relocalizer(image, frame.camera)
    total = time.perf_counter() - started
    distance, angle = math.inf, math.inf
    if estimate.world_T_cam is not None:
        truth = relocalizer.scene.map_T_scene @ frame.world_T_cam
        distance, angle = pose_error(estimate.world_T_cam, truth)
    seconds = {"decode": decoded - started, **estimate.timings, "total": total}
    milliseconds = {name: 1e3 * value for name, value in seconds.items()}
    return {**milliseconds, "cm": 100.0 * distance, "deg": math.degrees(angle)}


def _row(threads: int, backend: str, runs: Sequence[dict[str, float]]) -> Row:
    medians = {
        name: round(float(np.median([run.get(name, 0.0) for run in runs])), 2)
        for name in (*STAGES, "total")
    }
    good = [run["cm"] < GOOD_CM and run["deg"] < GOOD_DEG for run in runs]
    centimetres = float(np.median([run["cm"] for run in runs]))
    return {
        "threads": threads,
        "backend": backend,
        **medians,
        "p95": round(float(np.quantile([run["total"] for run in runs], 0.95)), 2),
        "good %": round(100.0 * float(np.mean(good)), 1),
        "cm": round(centimetres, 2) if math.isfinite(centimetres) else None,
    }


def _line(row: Row) -> str:
    cells = [f"{row[name]:20}" if name == "backend" else f"{row[name]!s:>9}" for name in HEADING]
    return "  ".join(cells)


def _jpeg_of(frame: Frame) -> np.ndarray:
    bgr = frame.image if frame.image.ndim == 2 else cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]


def _scene_and_frames(args: argparse.Namespace) -> tuple[SceneMap, list[Frame]]:
    """The map that is asked for, or one made of the recording, and the frames to localize."""
    settings = Settings(
        dataset=args.dataset,
        test_split=args.split,
        max_test=args.frames,
        views=_OFFICE_VIEWS,
        image_height=_HEIGHT,
    )
    maker = MapMaker(settings)
    if args.scene is not None:
        scene = SceneMap.load(args.scene)
    else:
        scene = maker.fast(FastMapConfig(budget_seconds=args.budget_seconds)).scene
    if args.without_landmarks:
        scene = replace(scene, landmarks=None)
    return scene, list(maker.recording.main)[: args.frames]


def _available(wanted: Sequence[str]) -> list[str]:
    found = []
    for name in wanted:
        reason = BACKENDS[name].missing()
        if reason is None:
            found.append(name)
        else:
            print(f"{name} is left out: {reason}")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.query_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scene", help="a fast map of the dataset; else one is made")
    parser.add_argument("--dataset", type=Path, help="a rosbag2 or 7-Scenes folder")
    parser.add_argument("--split", default="test", help="of the dataset, to localize")
    parser.add_argument("--budget-seconds", type=float, default=60.0, help="to make a map")
    parser.add_argument("--without-landmarks", action="store_true", help="regression alone")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    names = list(BACKENDS)
    parser.add_argument("--backends", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, default=Path("build/bench/query-speed.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
