# SPDX-License-Identifier: Apache-2.0
"""A replay as the run of an evaluation: the same report as of images read from the file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dsac_core.evaluation.metrics import FrameResult
from dsac_core.evaluation.run_file import Run
from dsac_core.geometry.pose import to_quaternion
from dsac_ros.stamps import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.geometry.trajectory import Trajectory
    from dsac_ros.replay_records import Collection, ReceivedPose, ReceivedStatus, SentFrame
    from dsac_ros.replay_report import Comparison, Judged

NO_TIME = "the node had no time for this image, or was silent about it"


def as_run(
    about: dict[str, Any],
    sent: Sequence[SentFrame],
    comparison: Comparison,
    received: Collection,
    truth: Trajectory,
) -> Run:
    """Every image that was sent; one that came to no pose is not localized.

    Args:
        about: What was replayed.
        sent: What was published.
        comparison: Of these.
        received: All that came.
        truth: map_T_body.
    """
    statuses = {status.stamp: status for status in received.statuses}
    frames = [
        _frame(
            f"image {place}",
            frame,
            judged,
            comparison.answers.get(place),
            statuses.get(frame.stamp),
            truth,
        )
        for place, (frame, judged) in enumerate(zip(sent, comparison.frames, strict=True))
    ]
    return Run(about, frames)


def _frame(
    name: str,
    sent: SentFrame,
    judged: Judged,
    pose: ReceivedPose | None,
    status: ReceivedStatus | None,
    truth: Trajectory,
) -> FrameResult:
    true_pose = truth.at(sent.stamp)
    known = pose is not None and true_pose is not None
    error = judged.normalised_error
    return FrameResult(
        name=name,
        localized=known,
        translation_error=judged.translation_error if known else math.inf,
        rotation_error=math.radians(judged.rotation_error_deg) if known else math.inf,
        latency=judged.latency if known else (status.latency if status else 0.0),
        confidence=status.confidence if status else 0.0,
        normalised_error=error if known and math.isfinite(error) else None,
        stamp=sent.stamp / NANOSECONDS,
        reason=status.reason if status else NO_TIME,
        inliers=status.inliers if status else 0,
        correspondences=status.correspondences if status else 0,
        stages=dict(status.stages) if status else {},
        truth=_seven(true_pose),
        pose=None if pose is None else _seven(pose.map_T_body),
    )


def _seven(pose: NDArray[np.float64] | None) -> tuple[float, ...] | None:
    if pose is None:
        return None
    translation, xyzw = to_quaternion(pose)
    return (*map(float, translation), *map(float, xyzw))
