# SPDX-License-Identifier: Apache-2.0
"""What each part of fast mapping brings where views are few, or from elsewhere, or look different.

    python3 -m bench.generalisation --dataset RECORDING --iterations 800 --splits all,quarter

Without a recording, it is the synthetic office. The number of training steps is fixed, so that the
load of the machine changes nothing, and all images of the split are trained on. Poses are from
colour alone, and every pose counts, whether the map calls it localized or not. A map that the
mapper refuses to make counts as one without poses. The figures of docs/fast-mapping.md.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.rows import Row, run
from bench.splits import (
    SPLITS,
    Part,
    Walks,
    add_walk_arguments,
    known_names,
)
from dsac_core.data.frame import ALL, spread_indices
from dsac_core.errors import DatasetError
from dsac_core.evaluation.evaluate import relocalize_all
from dsac_core.regression import Sources
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.encoded_recording import Validation
from dsac_core.training.fast_map import map_scene
from dsac_core.training.fast_map_config import FastMapConfig

WITHIN = {"5 cm/5°": (0.05, 5.0), "10 cm/5°": (0.1, 5.0), "25 cm/10°": (0.25, 10.0)}
MEDIAN = "median cm"
_CHECKS = 10  # images that a map is checked with
_HEADING = ["split", "variant", "frames", *(f"{name} (%)" for name in WITHIN), MEDIAN]


@dataclass(frozen=True)
class Variant:
    """Fast mapping with other settings."""

    title: str
    changes: dict[str, Any] = field(default_factory=dict)  # of `FastMapConfig`


VARIANTS = {
    "plain": Variant("reprojection only", {"stereo": None, "landmarks": None}),
    "stereo": Variant("+ depth from features", {"landmarks": None}),
    "landmarks": Variant("+ landmarks (the default)"),
    "varied": Variant("+ varied images", {"vary_every": 3}),
    "varied-throughout": Variant("+ varied to the end", {"vary_every": 3, "varied_until": 1.0}),
    "depth": Variant("measured depth", {"use_depth": True}),
    "depth-varied": Variant("measured depth, varied", {"use_depth": True, "vary_every": 3}),
}


def measure(
    walks: Walks,
    splits: Sequence[str],
    variants: Sequence[str],
    seeds: Sequence[int],
    iterations: int,
) -> Iterator[Row]:
    """A row for each split, variant, seed and kind of views; equal maps are made once."""
    maps: dict[tuple[object, ...], SceneMap | None] = {}
    for name, variant, seed in itertools.product(splits, variants, seeds):
        split = SPLITS[name](walks)
        key = (tuple(split.mapped.indices), variant, seed)
        if key not in maps:
            changes = VARIANTS[variant].changes
            config = FastMapConfig(iterations=iterations, seed=seed, **changes)
            maps[key] = _mapped(split.mapped, config)
        for kind, part in split.judged.items():
            figures = judge(maps[key], part)
            what = f"{name}: {kind}" if kind else name
            mapped = len(split.mapped.indices)
            yield {"split": what, "variant": variant, "seed": seed, "mapped": mapped, **figures}


def _mapped(part: Part, config: FastMapConfig) -> SceneMap | None:
    """The map of all images of a part; some of them check it, which changes no pose."""
    started = time.perf_counter()
    images = len(part.indices)
    checks = Validation(part.only(sorted(spread_indices(images, _CHECKS))), ALL)
    try:
        scene = map_scene(part, ALL, config, name="bench", validation=checks)
    except DatasetError as error:
        print(f"no map: {error}", flush=True)
        return None
    print(f"mapped {images} images in {time.perf_counter() - started:.0f} s", flush=True)
    return scene


def judge(scene: SceneMap | None, part: Part, use: Sources = "both") -> Row:
    """Shares of all frames (percent) and the median error; a frame without a pose is far off."""
    frames = part.count(ALL)
    metres = degrees = np.full(frames, math.inf)
    if scene is not None:
        relocalizer = Relocalizer(scene, use=use)
        results = [result for _, _, result in relocalize_all(relocalizer, part, ALL)]
        metres = np.array([result.translation_error for result in results])
        degrees = np.degrees([result.rotation_error for result in results])
    shares = {
        name: round(100.0 * float(np.mean((metres <= far) & (degrees <= turned))), 1)
        for name, (far, turned) in WITHIN.items()
    }
    median = 100.0 * float(np.median(metres))
    return {
        "frames": frames,
        **shares,
        MEDIAN: round(median, 2) if math.isfinite(median) else None,
    }


def table(rows: Sequence[Row]) -> str:
    """Markdown; of several seeds the mean, and from where to where they go."""
    lines = [_HEADING, ["---"] * len(_HEADING)]
    for split, variant in dict.fromkeys((row["split"], row["variant"]) for row in rows):
        same = [row for row in rows if (row["split"], row["variant"]) == (split, variant)]
        cells = [over_seeds([row[name] for row in same], 0) for name in WITHIN]
        cells.append(over_seeds([row[MEDIAN] for row in same], 1))
        lines.append([split, VARIANTS[variant].title, str(same[0]["frames"]), *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def over_seeds(values: Sequence[float | None], digits: int) -> str:
    known = [math.inf if value is None else value for value in values]
    said = [
        f"{value:.{digits}f}" if math.isfinite(value) else "none"
        for value in (float(np.mean(known)), min(known), max(known))
    ]
    return said[0] if len(known) == 1 else f"{said[0]} ({said[1]} to {said[2]})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    args = _parser().parse_args(arguments)
    return run(
        args,
        lambda walks: measure(walks, args.splits, args.variants, args.seeds, args.iterations),
        table,
        {"iterations": args.iterations},
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.generalisation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def variants(text: str) -> list[str]:
        return known_names(text, VARIANTS)

    add_walk_arguments(parser)
    parser.add_argument("--iterations", type=int, default=800, help="training steps")
    names = ",".join(VARIANTS)
    parser.add_argument("--variants", type=variants, default=list(VARIANTS), help=f"of {names}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
