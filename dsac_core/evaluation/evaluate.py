# SPDX-License-Identifier: Apache-2.0
"""A map against a recording, frame by frame."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from dsac_core.errors import DatasetError
from dsac_core.evaluation.metrics import FrameResult
from dsac_core.geometry.pose import pose_error, to_quaternion
from dsac_core.geometry.pose_error import normalised_error_squared
from dsac_core.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.evaluation.metrics import Pose7
    from dsac_core.progress import Progress
    from dsac_core.relocalizer import PoseEstimate, Relocalizer


def relocalize_all(
    relocalizer: Relocalizer,
    dataset: Dataset,
    split: str,
    progress: Progress = silent,
    *,
    with_depth: bool = False,
) -> Iterator[tuple[Frame, PoseEstimate, FrameResult]]:
    """Every frame of a split with its estimate and error; each image is seen on its own.

    Raises:
        DatasetError: The split has no frames.
    """
    count = dataset.count(split)
    if count == 0:
        msg = f"{dataset.name} has no frames in split '{split}'"
        raise DatasetError(msg)
    for index, frame in enumerate(dataset.frames(split, with_depth=with_depth)):
        if index == 0:
            relocalizer(frame.image, frame.camera, frame.depth)  # the first run of anything is slow
        started = time.perf_counter()
        estimate = relocalizer(frame.image, frame.camera, frame.depth)
        latency = time.perf_counter() - started
        progress("evaluating", (index + 1) / count, f"frame {index + 1}/{count}")
        yield frame, estimate, judge(frame, estimate, latency, relocalizer.scene.map_T_scene)


def judge(
    frame: Frame, estimate: PoseEstimate, latency: float, map_T_scene: NDArray[np.float64]
) -> FrameResult:
    """What became of a frame; ``latency`` in seconds."""
    truth = map_T_scene @ frame.world_T_cam
    distance, angle, normalised_error = math.inf, math.inf, None
    if estimate.world_T_cam is not None:
        distance, angle = pose_error(estimate.world_T_cam, truth)
        if estimate.covariance is not None:
            normalised_error = normalised_error_squared(
                estimate.world_T_cam, estimate.covariance, truth
            )
    return FrameResult(
        name=frame.name,
        localized=estimate.localized,
        translation_error=distance,
        rotation_error=angle,
        latency=latency,
        confidence=estimate.confidence,
        normalised_error=normalised_error,
        stamp=frame.stamp,
        reason=estimate.reason,
        inliers=estimate.inliers,
        correspondences=estimate.correspondences,
        stages=estimate.timings,
        truth=_pose7(truth),
        pose=None if estimate.world_T_cam is None else _pose7(estimate.world_T_cam),
    )


def _pose7(world_T_cam: NDArray[np.float64]) -> Pose7:
    translation, xyzw = to_quaternion(world_T_cam)
    return tuple(float(value) for value in (*translation, *xyzw))
