# SPDX-License-Identifier: Apache-2.0
"""Regression, landmarks, or both: what each brings, on the same maps and the same frames.

    python3 -m bench.landmarks --dataset RECORDING --splits all,tenth,stretch --seeds 0,1,2

Without a recording, it is the synthetic office. Each map is made once, with landmarks, and judged
with each source alone and with both; the regression is the one that landmarks supervised. Poses are
from colour alone, and every pose counts, whether the map calls it localized or not. With
``--iterations`` the load of the machine changes nothing; without, training has what is left of
``--budget-seconds``. The figures of docs/landmarks.md.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from typing import get_args

from bench.generalisation import MEDIAN, WITHIN, judge, over_seeds
from bench.rows import Row, run
from bench.splits import SPLITS, Walks, add_walk_arguments
from dsac_core.data.frame import ALL
from dsac_core.errors import DatasetError
from dsac_core.regression import Sources
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.fast_map import map_scene
from dsac_core.training.fast_map_config import FastMapConfig

SOURCES: tuple[Sources, ...] = get_args(Sources)
_MS, _KB = "ms a frame", "map kB"
_HEADING = ["split", "from", "frames", *(f"{name} (%)" for name in WITHIN), MEDIAN, _MS, _KB]


def measure(
    walks: Walks, splits: Sequence[str], seeds: Sequence[int], config: dict[str, object]
) -> Iterator[Row]:
    """A row for each split, seed, kind of views and source; equal maps are made once."""
    maps: dict[tuple[tuple[int, ...], int], SceneMap | None] = {}
    for name, seed in itertools.product(splits, seeds):
        split = SPLITS[name](walks)
        key = (tuple(split.mapped.indices), seed)
        if key not in maps:
            settings = FastMapConfig(seed=seed, vary_every=0, **config)  # type: ignore[arg-type]
            try:
                maps[key] = map_scene(split.mapped, ALL, settings, name="bench")
            except DatasetError as error:
                print(f"no map: {error}", flush=True)
                maps[key] = None
        scene = maps[key]
        for (kind, part), use in itertools.product(split.judged.items(), SOURCES):
            started = time.perf_counter()
            figures = judge(scene, part, use)
            spent = 1e3 * (time.perf_counter() - started) / max(1, part.count(ALL))
            yield {
                "split": f"{name}: {kind}" if kind else name,
                "use": use,
                "seed": seed,
                "mapped": len(split.mapped.indices),
                **figures,
                _MS: round(spent, 1),
                _KB: _size(scene, use),
                "weight": scene.calibration.landmark_weight if scene else None,
            }


def _size(scene: SceneMap | None, use: Sources) -> int:
    """As stored: the head in half precision, landmarks as they are."""
    if scene is None:
        return 0
    total = 0
    if use != "landmarks":
        total += sum(2 * each.numel() for each in scene.regressor.state_dict().values())
    if use != "regression" and scene.landmarks is not None:
        stored = scene.landmarks.tensors().values()
        total += sum(each.numel() * each.element_size() for each in stored)
    return round(total / 1000)


def table(rows: Sequence[Row]) -> str:
    """Markdown; of several seeds the mean, and from where to where they go."""
    lines = [_HEADING, ["---"] * len(_HEADING)]
    for split, use in dict.fromkeys((row["split"], row["use"]) for row in rows):
        same = [row for row in rows if (row["split"], row["use"]) == (split, use)]
        cells = [over_seeds([row[name] for row in same], 0) for name in WITHIN]
        cells.append(over_seeds([row[MEDIAN] for row in same], 1))
        cells.append(f"{sum(row[_MS] for row in same) / len(same):.0f}")
        lines.append([split, use, str(same[0]["frames"]), *cells, str(same[0][_KB])])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    args = _parser().parse_args(arguments)
    config = {
        "iterations": args.iterations,
        "budget_seconds": args.budget_seconds,
        "use_depth": args.depth,
    }
    return run(
        args,
        lambda walks: measure(walks, args.splits, args.seeds, config),
        table,
        {"config": config},
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.landmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    add_walk_arguments(parser)
    parser.add_argument("--iterations", type=int, help="training steps")
    parser.add_argument("--budget-seconds", type=float, default=200.0, help="of mapping")
    parser.add_argument("--depth", action="store_true", help="learn from measured depth")
    return parser


if __name__ == "__main__":
    sys.exit(main())
