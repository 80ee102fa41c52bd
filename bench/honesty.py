# SPDX-License-Identifier: Apache-2.0
"""Does a map know how good its poses are? On views of its own place, made harder, and of elsewhere.

    python3 -m bench.honesty MAP --own RECORDING --elsewhere RECORDING [--rgbd]

The figures of docs/honesty.md.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from bench.machine import describe, use_one_thread
from dsac_core.data.bag_topics import BagTopics
from dsac_core.data.frame import Dataset, Frame
from dsac_core.data.open_dataset import choose_split, open_dataset
from dsac_core.evaluation.honesty import expected_calibration_error, reliability
from dsac_core.files import write_json
from dsac_core.geometry.pose import pose_error
from dsac_core.geometry.pose_error import normalised_error_squared
from dsac_core.relocalizer import PoseEstimate, Relocalizer
from dsac_core.scene.confidence import USABLE_ROTATION, USABLE_TRANSLATION
from dsac_core.scene.scene_map import Calibration, SceneMap
from dsac_core.training.hard_views import hard_view, mirrored

NOISE_IMAGES = 100
_FALSE = 0.25, np.radians(10.0)


@dataclass(frozen=True)
class Judged:
    """An estimate of one image; without truth every pose is wrong."""

    localized: bool
    confidence: float
    right: bool
    false: bool  # localized, and more than 25 cm or 10 degrees away
    before: float | None  # normalised error squared of the inliers' covariance, if right
    after: float | None  # and of the covariance that the map says


def judge(estimate: PoseEstimate, frame: Frame | None, calibration: Calibration) -> Judged:
    """What became of an image; ``frame`` is None where no pose would be right."""
    distance, angle = np.inf, np.inf
    if frame is not None and estimate.world_T_cam is not None:
        distance, angle = pose_error(estimate.world_T_cam, frame.world_T_cam)
    right = bool(distance <= USABLE_TRANSLATION and angle <= USABLE_ROTATION)
    false = estimate.localized and bool(distance > _FALSE[0] or angle > _FALSE[1])
    before = after = None
    if right and frame is not None and estimate.world_T_cam is not None:
        assert estimate.covariance is not None
        floor = calibration.honest(np.zeros((6, 6)))
        of_inliers = (estimate.covariance - floor) / calibration.covariance_scale
        pose, truth = estimate.world_T_cam, frame.world_T_cam
        before = normalised_error_squared(pose, of_inliers, truth)
        after = normalised_error_squared(pose, estimate.covariance, truth)
    return Judged(estimate.localized, estimate.confidence, right, false, before, after)


def noise_images(frame: Frame) -> Iterator[Frame]:
    """Random patterns of all sizes, as large as the frame, which say nothing of any place."""
    rng = np.random.default_rng(0)
    height, width = frame.image.shape[:2]
    for index in range(NOISE_IMAGES):
        block = 2 ** (index % 7)
        small = rng.integers(0, 256, (-(-height // block), -(-width // block), 3), dtype=np.uint8)
        image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        yield replace(frame, image=image.astype(np.uint8))


def measure(
    scene: SceneMap,
    own: Iterator[Frame],
    elsewhere: Iterator[Frame],
    *,
    with_depth: bool = False,
) -> dict[str, object]:
    """All figures of a map."""
    relocalizer = Relocalizer(scene)
    calibration = scene.calibration
    if with_depth:
        assert scene.depth_calibration is not None
        calibration = scene.depth_calibration

    def judged(seen: Frame, truth: Frame | None) -> Judged:
        depth = seen.depth if with_depth else None
        return judge(relocalizer(seen.image, seen.camera, depth), truth, calibration)

    straight, hard, mirrors, noise = [], [], [], []
    for index, frame in enumerate(own):
        if index == 0:
            noise = [judged(image, None) for image in noise_images(frame)]
        straight.append(judged(frame, frame))
        view = hard_view(frame, index)
        hard.append(judged(view, view))
        mirrors.append(judged(mirrored(frame), None))
    others = [judged(frame, None) for frame in elsewhere]
    return {
        "own": _figures(straight),
        "own, harder": _figures(hard),
        "mirrored": _figures(mirrors),
        "elsewhere": _figures(others),
        "noise": _figures(noise),
        "reliability": [row._asdict() for row in reliability(*_said([*straight, *hard]))],
        "calibration_error": round(expected_calibration_error(*_said([*straight, *hard])), 3),
    }


def _said(rows: list[Judged]) -> tuple[list[float], list[bool]]:
    return [row.confidence for row in rows], [row.right for row in rows]


def _figures(rows: list[Judged]) -> dict[str, object]:
    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return round(float(np.mean(known)), 1) if known else None

    localized = sum(row.localized for row in rows)
    return {
        "images": len(rows),
        "localized": localized,
        "localized_percent": round(100.0 * localized / max(1, len(rows)), 1),
        "right": sum(row.right for row in rows),
        "localized_falsely": sum(row.false for row in rows),
        "highest_confidence": round(max((row.confidence for row in rows), default=0.0), 3),
        "normalised_error_of_inliers": mean([row.before for row in rows]),
        "normalised_error": mean([row.after for row in rows]),
    }


def report(figures: dict[str, object]) -> str:
    """The figures as two tables in Markdown."""
    lines = [
        "| images of | number | localized | within 10 cm, 5° | localized, beyond 25 cm or 10° |"
        " highest confidence | NEES of inliers | NEES |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in ("own", "own, harder", "mirrored", "elsewhere", "noise"):
        row = figures[name]
        assert isinstance(row, dict)
        share = f"{row['localized']} ({row['localized_percent']} %)"
        cells = [row["images"], share, row["right"], row["localized_falsely"]]
        cells += [row["highest_confidence"]]
        cells += [row["normalised_error_of_inliers"], row["normalised_error"]]
        lines.append(f"| {name} | " + " | ".join("" if c is None else str(c) for c in cells) + " |")
    lines += ["", "| confidence | poses | mean confidence | right |", "|---|---|---|---|"]
    rows = figures["reliability"]
    assert isinstance(rows, list)
    for row in rows:
        said, right = row["mean_confidence"], row["share_right"]
        interval = f"{row['low']:.1f} to {row['high']:.1f}"
        lines.append(f"| {interval} | {row['poses']} | {said:.2f} | {right:.2f} |")
    return "\n".join([*lines, "", f"Expected calibration error {figures['calibration_error']}."])


def _frames(
    path: Path, args: argparse.Namespace, split: str | None = None, every: int = 1
) -> Iterator[Frame]:
    """Those of one split, or of all."""
    dataset: Dataset = open_dataset(path, BagTopics(pose=args.pose_topic))
    splits = dataset.splits() if split is None else (choose_split(dataset, split),)
    for name in splits:
        chosen = set(range(0, dataset.count(name), every))
        yield from dataset.frames(name, indices=chosen, with_depth=args.rgbd)


def main(arguments: list[str] | None = None) -> int:
    """Measure one map."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.honesty", description=__doc__)
    parser.add_argument("map", help="scene map: its folder, or its name")
    parser.add_argument("--own", type=Path, required=True, help="recording of the place")
    parser.add_argument("--split", default="test", help="of that recording (default: test)")
    parser.add_argument("--elsewhere", type=Path, nargs="*", default=[], help="of other places")
    parser.add_argument("--pose-topic", default=None, help="of bags")
    parser.add_argument("--own-every", type=int, default=1, help="n-th image of the place")
    parser.add_argument("--every", type=int, default=1, help="n-th image of elsewhere")
    parser.add_argument("--rgbd", action="store_true", help="use depth")
    parser.add_argument("--json", type=Path, default=None, help="write the figures here")
    args = parser.parse_args(arguments)
    use_one_thread()
    others = (_frames(path, args, every=args.every) for path in args.elsewhere)
    elsewhere = itertools.chain.from_iterable(others)
    own = _frames(args.own, args, args.split, args.own_every)
    figures = measure(SceneMap.load(args.map), own, elsewhere, with_depth=args.rgbd)
    if args.json is not None:
        write_json(args.json, {**figures, "machine": describe()})
    print(report(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
