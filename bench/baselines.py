# SPDX-License-Identifier: Apache-2.0
"""What a user would otherwise build out of the same images, beside this software's maps.

    python3 -m bench.baselines --dataset RECORDING --splits all,tenth

Without a recording, it is the synthetic office. All methods are given the same images to map and
the same images to localize, with one thread, and take turns at each image. Poses are from colour
alone, and every pose counts, whether a map calls it localized or not. Sizes are of what has to be
stored, descriptors in half precision. The figures of docs/baselines.md.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.generalisation import WITHIN
from bench.image_matching import Matching, NearestImage
from bench.rows import Row, run
from bench.splits import SPLITS, Part, Walks, add_walk_arguments, known_names
from dsac_core.data.frame import ALL, Frame
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import pose_error
from dsac_core.relocalizer import Relocalizer
from dsac_core.training.fast_map import map_scene
from dsac_core.training.fast_map_config import FastMapConfig

Localize = Callable[[Frame], "np.ndarray | None"]
MEDIANS = {"median cm": 100.0, "median deg": 180.0 / math.pi}
_MS, _MB, _MAPPING = "ms a frame", "map MB", "mapping s"
_HEADING = ["split", "method", "frames", *(f"{name} (%)" for name in WITHIN)]
_HEADING += [*MEDIANS, _MS, _MB, _MAPPING]


@dataclass(frozen=True)
class Built:
    """A method that has seen the training images."""

    localize: Localize
    bytes: int
    seconds: float = 0.0  # that it took


def _ours(mapped: Part, budget: float, *, use_depth: bool) -> Built:
    config = FastMapConfig(budget_seconds=budget, use_depth=use_depth)
    scene = map_scene(mapped, ALL, config, name="bench")
    relocalizer = Relocalizer(scene)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "map"
        scene.save(target)
        size = sum(file.stat().st_size for file in target.iterdir())
    return Built(lambda frame: relocalizer(frame.image, frame.camera).world_T_cam, size)


def _nearest(mapped: Part, budget: float) -> Built:
    del budget
    method = NearestImage(mapped)
    return Built(method, method.bytes)


def _matching(mapped: Part, budget: float, *, with_depth: bool) -> Built:
    del budget
    method = Matching(mapped, with_depth=with_depth)
    return Built(method, method.bytes)


METHODS: dict[str, tuple[str, Callable[[Part, float], Built]]] = {
    "nearest": ("pose of the most similar image", _nearest),
    "depth": ("matching, measured depth, PnP", partial(_matching, with_depth=True)),
    "triangulated": ("matching, triangulated, PnP", partial(_matching, with_depth=False)),
    "ours": ("**dsac_ros**, from colour", partial(_ours, use_depth=False)),
    "ours-depth": ("**dsac_ros**, mapped with depth", partial(_ours, use_depth=True)),
}


def measure(
    walks: Walks, splits: Sequence[str], methods: Sequence[str], budget: float
) -> Iterator[Row]:
    """A row for each split, kind of views and method."""
    for name in splits:
        split = SPLITS[name](walks)
        built = {method: _build(method, split.mapped, budget) for method in methods}
        for kind, part in split.judged.items():
            figures = judge({name: each.localize for name, each in built.items()}, part)
            for method, row in figures.items():
                yield {
                    "split": f"{name}: {kind}" if kind else name,
                    "method": method,
                    "mapped": len(split.mapped.indices),
                    **row,
                    _MB: round(built[method].bytes / 1e6, 2),
                    _MAPPING: round(built[method].seconds, 1),
                }


def _build(method: str, mapped: Part, budget: float) -> Built:
    """A method that cannot be built has no poses."""
    started = time.perf_counter()
    try:
        built = METHODS[method][1](mapped, budget)
    except DatasetError as error:
        print(f"{method}: {error}", flush=True)
        return Built(lambda _: None, 0)
    return Built(built.localize, built.bytes, time.perf_counter() - started)


def judge(methods: Mapping[str, Localize], part: Part) -> dict[str, Row]:
    """Shares of all frames (percent), medians and time of each method; they take turns."""
    errors: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for number, frame in enumerate(part.frames(ALL)):
        for name, localize in methods.items():
            if number == 0:
                localize(frame)  # the first run of anything is slow
            started = time.perf_counter()
            pose = localize(frame)
            seconds[name].append(time.perf_counter() - started)
            found = (math.inf, math.inf) if pose is None else pose_error(pose, frame.world_T_cam)
            errors[name].append(found)
    return {name: _figures(np.array(errors[name]), seconds[name]) for name in methods}


def _figures(errors_F2: np.ndarray, seconds: Sequence[float]) -> Row:
    metres, degrees = errors_F2[:, 0], np.degrees(errors_F2[:, 1])
    row: Row = {"frames": len(errors_F2)}
    for name, (far, turned) in WITHIN.items():
        row[name] = round(100.0 * float(np.mean((metres <= far) & (degrees <= turned))), 1)
    for (name, unit), values in zip(MEDIANS.items(), errors_F2.T, strict=True):
        median = unit * float(np.median(values))
        row[name] = round(median, 2) if math.isfinite(median) else None
    row[_MS] = round(1e3 * float(np.median(seconds)), 1)
    return row


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [_HEADING, ["---"] * len(_HEADING)]
    for row in rows:
        shares = [f"{row[name]:.0f}" for name in WITHIN]
        medians = ["none" if row[name] is None else f"{row[name]:.1f}" for name in MEDIANS]
        rest = [f"{row[_MS]:.0f}", f"{row[_MB]:.1f}", f"{row[_MAPPING]:.0f}"]
        title = METHODS[row["method"]][0]
        lines.append([row["split"], title, str(row["frames"]), *shares, *medians, *rest])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    args = _parser().parse_args(arguments)
    return run(
        args,
        lambda walks: measure(walks, args.splits, args.methods, args.budget_seconds),
        table,
        {"budget_seconds": args.budget_seconds},
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.baselines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def methods(text: str) -> list[str]:
        return known_names(text, METHODS)

    add_walk_arguments(parser)
    names = ",".join(METHODS)
    parser.add_argument("--methods", type=methods, default=list(METHODS), help=f"of {names}")
    parser.add_argument("--budget-seconds", type=float, default=200.0, help="of our mapping")
    return parser


if __name__ == "__main__":
    sys.exit(main())
