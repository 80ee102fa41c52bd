# SPDX-License-Identifier: Apache-2.0
"""Pose from 4800 cells, RGB and RGB-D: ours beside OpenCV, PoseLib and COLMAP, and a training step.

The same frames for all, one process, one thread; the methods take turns on each frame, so that a
busy moment of the machine hits all alike. "floor" is the fit on the true inliers. Noise is in px
with RGB, in cm with RGB-D. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench import machine, step
from bench.frames import INPUTS, WARM_UP, Frame, make_frame
from bench.methods import METHODS
from dsac_core.files import write_json
from dsac_core.geometry.pose import pose_error

INLIER_SHARES = (0.1, 0.3, 0.5, 0.8)
NOISES = (1.0, 5.0)  # px, cm
STEP_FRAMES = 10
GOOD_CM, GOOD_DEG = 5.0, 5.0

Row = dict[str, object]


def measure(
    input_: str, share: float, noise: float, frames: int, methods: Sequence[str]
) -> Iterator[Row]:
    """One row of each method that has this input, on the frames that all methods get."""
    methods = [name for name in methods if input_ in METHODS[name].inputs]
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in methods}
    warm_up = make_frame(input_, share, noise, WARM_UP)
    for name in methods:
        _run(name, warm_up)
    for seed in range(frames):
        frame = make_frame(input_, share, noise, seed)
        for name in methods:
            runs[name].append(_run(name, frame))
    for name, results in runs.items():
        milliseconds, centimetres, degrees = np.array(results).T
        good = (centimetres < GOOD_CM) & (degrees < GOOD_DEG)
        time_ms = round(float(np.median(milliseconds)), 2) if METHODS[name].timed else None
        yield {
            "method": name,
            "input": input_,
            "inliers": share,
            "noise": noise,
            "ms_median": time_ms,
            "t_median_cm": _figure(np.median(centimetres)),
            "t_p95_cm": _figure(np.quantile(centimetres, 0.95, method="higher")),
            "r_median_deg": _figure(np.median(degrees)),
            "success": round(100.0 * float(good.mean()), 1),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables as they come and write them as JSON."""
    args = _parser().parse_args(arguments)
    machine.use_one_thread()
    methods = _available(args.methods)
    rows, steps = [], []
    for input_ in args.inputs:
        _print(_HEADING)
        for noise in NOISES:
            for share in args.inliers:
                for row in measure(input_, share, noise, args.frames, methods):
                    rows.append(row)
                    _print([row[name] for name in _HEADING])
    if not args.skip_step:
        frames = min(args.frames, STEP_FRAMES)
        for input_ in args.inputs:
            _print(_STEP_HEADING)
            for noise in step.NOISES[input_]:
                for share in sorted(set(args.inliers) & set(step.INLIER_SHARES)):
                    row = step.measure_step(input_, share, noise, frames)
                    steps.append(row)
                    _print([row[name] for name in _STEP_HEADING])
    write_json(args.out, {"rows": rows, "step": steps, "machine": machine.describe()})
    print(f"written to {args.out}")
    return 0


_HEADING = [
    "method",
    "input",
    "inliers",
    "noise",
    "ms_median",
    "t_median_cm",
    "t_p95_cm",
    "r_median_deg",
    "success",
]
_STEP_HEADING = ["input", "inliers", "noise", "forward_ms", "backward_ms", "total_ms"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.ransac",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--frames", type=_positive, default=30, help="per row; at most 10 of a step"
    )
    names = list(METHODS)
    parser.add_argument("--methods", nargs="+", choices=names, default=names)
    parser.add_argument("--inputs", nargs="+", choices=INPUTS, default=list(INPUTS))
    parser.add_argument(
        "--inliers", nargs="+", choices=INLIER_SHARES, type=float, default=list(INLIER_SHARES)
    )
    parser.add_argument("--skip-step", action="store_true", help="leave the training step out")
    parser.add_argument("--out", type=Path, default=Path("build/bench/ransac.json"))
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _available(wanted: Sequence[str]) -> list[str]:
    """Those of the methods that can run here; a line for each that cannot."""
    found = []
    for name in wanted:
        reason = METHODS[name].missing()
        if reason is None:
            found.append(name)
        else:
            print(f"{name} is left out: {reason}")
    return found


def _run(name: str, frame: Frame) -> tuple[float, float, float]:
    """Milliseconds, and errors in cm and degrees, which are infinite where there is no pose."""
    call = METHODS[name].prepare(frame)
    started = time.perf_counter()
    pose = call()
    milliseconds = 1e3 * (time.perf_counter() - started)
    if pose is None or not np.isfinite(pose).all():
        return milliseconds, math.inf, math.inf
    distance, angle = pose_error(pose, frame.world_T_cam)
    return milliseconds, 100.0 * distance, math.degrees(angle)


def _figure(value: float) -> float | None:
    """Rounded; none where more than the given share of poses was not found, as JSON wants it."""
    return round(float(value), 4) if math.isfinite(value) else None


def _print(cells: Sequence[object]) -> None:
    print("  ".join(f"{'-' if cell is None else cell!s:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    sys.exit(main())
