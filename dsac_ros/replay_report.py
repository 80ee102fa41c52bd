# SPDX-License-Identifier: Apache-2.0
"""Compares what came back from a replay with the truth: numbers, and a table of them.

Every image that was sent counts. One that the node had no time for, or about which it was silent,
was not localized.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.evaluation.metrics import THRESHOLDS, milliseconds
from dsac_core.geometry.pose import pose_error
from dsac_core.geometry.pose_error import normalised_error_squared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.geometry.trajectory import Trajectory
    from dsac_ros.replay_records import Collection, ReceivedPose, SentFrame

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One image that was sent. Errors are NaN where no pose came back, or no truth is known."""

    stamp: int  # ns
    translation_error: float  # m
    rotation_error_deg: float
    latency: float  # s from publishing the image to receiving the pose
    normalised_error: float  # squared, by the covariance; 6 on average where that is honest


@dataclass
class Comparison:
    """The result of one replay."""

    frames: list[Judged]
    processed: int  # images that the node reported on
    without_truth: int  # images at whose stamp the truth is not known
    answers: dict[int, ReceivedPose] = field(default_factory=dict)  # by place among the images
    node_latencies: list[float] = field(default_factory=list)  # s, arrival to published
    tf_errors: list[float] = field(default_factory=list)  # m, of the body through map -> odom
    stages: dict[str, list[float]] = field(default_factory=dict)  # s by stage of the node's work

    @property
    def localized(self) -> list[Judged]:
        """The images for which a pose came back, of those whose truth is known."""
        return [frame for frame in self.frames if not math.isnan(frame.translation_error)]

    def recall(self, metres: float, degrees: float, of: int | None = None) -> float:
        """Percent of the images (all that were sent, or ``of``) whose pose is that close."""
        close = sum(
            frame.translation_error <= metres and frame.rotation_error_deg <= degrees
            for frame in self.frames
        )
        return 100.0 * close / max(1, len(self.frames) if of is None else of)

    def _recalls(self, of: int) -> dict[str, float]:
        return {
            name: self.recall(metres, math.degrees(radians), of)
            for name, (metres, radians) in THRESHOLDS.items()
        }

    def summary(self) -> dict[str, Any]:
        """For programs: percentages of all images sent, medians in cm and degrees, times in ms."""
        found = self.localized
        return {
            "frames": len(self.frames),
            "processed": self.processed,
            "localized": len(found),
            "without_truth": self.without_truth,
            "recall": self._recalls(len(self.frames)),
            "recall_of_processed": self._recalls(self.processed),
            "median_translation_cm": _median([100 * f.translation_error for f in found]),
            "median_rotation_deg": _median([f.rotation_error_deg for f in found]),
            "max_translation_cm": _largest([100 * f.translation_error for f in found]),
            "median_normalised_error": _median(
                [f.normalised_error for f in found if math.isfinite(f.normalised_error)]
            ),
            "map_to_odom_cm": _median([100 * error for error in self.tf_errors]),
            "latency_ms": _spread([f.latency for f in found]),
            "node_latency_ms": _spread(self.node_latencies),
            "stage_ms": {
                name: _median([1000 * s for s in times]) for name, times in self.stages.items()
            },
        }


def compare(
    sent: Sequence[SentFrame],
    received: Collection,
    truth: Trajectory,
    odometry: Trajectory,
    odom_frame: str = "odom",
) -> Comparison:
    """Judge every image that was sent.

    Args:
        sent: What was published.
        received: What came back.
        truth: map_T_body.
        odometry: odom_T_body; may be empty.
        odom_frame: Child of the map -> odom transforms to judge.
    """
    stamps = {frame.stamp for frame in sent}
    answers = _answers(sent, received.poses)
    frames = [_judge(frame, answers.get(i), truth) for i, frame in enumerate(sent)]
    reported = [status for status in received.statuses if status.stamp in stamps]
    stages: dict[str, list[float]] = {}
    for status in reported:
        for name, seconds in status.stages.items():
            stages.setdefault(name, []).append(seconds)
    errors = []
    for transform in received.transforms:
        body_in_odom = odometry.at(transform.stamp)
        body_in_map = truth.at(transform.stamp)
        if transform.child == odom_frame and body_in_odom is not None and body_in_map is not None:
            errors.append(pose_error(transform.map_T_child @ body_in_odom, body_in_map)[0])
    return Comparison(
        frames=frames,
        processed=len(reported),
        without_truth=sum(truth.at(frame.stamp) is None for frame in sent),
        answers=answers,
        node_latencies=[status.latency for status in reported],
        tf_errors=errors,
        stages=stages,
    )


def table(summary: dict[str, Any]) -> str:
    """The summary for people."""
    frames = max(1, summary["frames"])
    of_all, of_processed = summary["recall"], summary["recall_of_processed"]
    rows = [
        ("frames sent", f"{summary['frames']}"),
        ("processed", f"{summary['processed']}  ({100 * summary['processed'] / frames:.1f} %)"),
        ("localized", f"{summary['localized']}  ({100 * summary['localized'] / frames:.1f} %)"),
        ("within 5 cm, 5 deg", _both(of_all["5cm_5deg"], of_processed["5cm_5deg"])),
        ("within 10 cm, 5 deg", _both(of_all["10cm_5deg"], of_processed["10cm_5deg"])),
        (
            "median error",
            f"{_number(summary['median_translation_cm'])} cm,"
            f" {_number(summary['median_rotation_deg'])} deg",
        ),
        ("largest error", f"{_number(summary['max_translation_cm'])} cm"),
        ("map -> odom, median error", f"{_number(summary['map_to_odom_cm'])} cm"),
        ("latency p50, p95", _times(summary["latency_ms"], "image sent to pose received")),
        ("", _times(summary["node_latency_ms"], "within the node")),
    ]
    if summary["stage_ms"]:
        parts = ", ".join(f"{name} {median:.0f}" for name, median in summary["stage_ms"].items())
        rows.append(("", f"{parts} ms  (medians by stage)"))
    if summary["without_truth"]:
        rows.insert(1, ("without truth", f"{summary['without_truth']}  (count as missed)"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def _answers(sent: Sequence[SentFrame], poses: Sequence[ReceivedPose]) -> dict[int, ReceivedPose]:
    """The pose for each image, by its place in ``sent``; a loop sends the same stamp again."""
    places: dict[int, list[int]] = {}
    for place, frame in enumerate(sent):
        places.setdefault(frame.stamp, []).append(place)
    answers: dict[int, ReceivedPose] = {}
    for pose in poses:
        before = [p for p in places.get(pose.stamp, []) if sent[p].published <= pose.received]
        if before:
            answers.setdefault(before[-1], pose)
    return answers


def _judge(sent: SentFrame, pose: ReceivedPose | None, truth: Trajectory) -> Judged:
    true_pose = truth.at(sent.stamp)
    if pose is None or true_pose is None:
        return Judged(sent.stamp, math.nan, math.nan, math.nan, math.nan)
    metres, radians = pose_error(pose.map_T_body, true_pose)
    return Judged(
        stamp=sent.stamp,
        translation_error=metres,
        rotation_error_deg=math.degrees(radians),
        latency=pose.received - sent.published,
        normalised_error=_normalised_error(pose, true_pose),
    )


def _normalised_error(pose: ReceivedPose, true_pose: FloatArray) -> float:
    try:
        return normalised_error_squared(pose.map_T_body, pose.covariance, true_pose)
    except np.linalg.LinAlgError:
        return math.nan


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def _largest(values: list[float]) -> float | None:
    return max(values) if values else None


def _spread(seconds: list[float]) -> dict[str, float] | dict[str, None]:
    return milliseconds(seconds) if seconds else {"p50": None, "p95": None}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _both(of_all: float, of_processed: float) -> str:
    return f"{of_all:.1f} % of all frames sent, {of_processed:.1f} % of those processed"


def _times(spread: dict[str, float] | dict[str, None], what: str) -> str:
    p50, p95 = spread["p50"], spread["p95"]
    if p50 is None or p95 is None:
        return f"-  ({what})"
    return f"{p50:.0f} ms, {p95:.0f} ms  ({what})"
