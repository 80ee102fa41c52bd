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


def as_run(
    about: dict[str, Any],
    sent: Sequence[SentFrame],
    comparison: Comparison,
    received: Collection,
    truth: Trajectory,
) -> Run:
    """Every image that the node looked at; one that came to no pose is not localized.

    How many it had no time for is added to ``about``.

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
            statuses[frame.stamp],
            truth,
        )
        for place, (frame, judged) in enumerate(zip(sent, comparison.frames, strict=True))
        if frame.stamp in statuses
    ]
    left_out = f"{len(sent) - len(frames)} of {len(sent)} images, which the node had no time for"
    return Run({**about, "left_out": left_out}, frames)


def _frame(
    name: str,
    sent: SentFrame,
    judged: Judged,
    pose: ReceivedPose | None,
    status: ReceivedStatus,
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
        latency=judged.latency if known else status.latency,
        confidence=status.confidence,
        normalised_error=error if known and math.isfinite(error) else None,
        stamp=sent.stamp / NANOSECONDS,
        reason=status.reason,
        inliers=status.inliers,
        correspondences=status.correspondences,
        stages=dict(status.stages),
        truth=_seven(true_pose),
        pose=None if pose is None else _seven(pose.map_T_body),
    )


def _seven(pose: NDArray[np.float64] | None) -> tuple[float, ...] | None:
    if pose is None:
        return None
    translation, xyzw = to_quaternion(pose)
    return (*map(float, translation), *map(float, xyzw))
