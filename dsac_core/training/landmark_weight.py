# SPDX-License-Identifier: Apache-2.0
"""How much a landmark counts beside a cell: as it serves the held-out views best."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.frame import spread_indices
from dsac_core.geometry.pose import pose_error
from dsac_core.relocalizer import Relocalizer

if TYPE_CHECKING:
    import torch

    from dsac_core.data.frame import Frame
    from dsac_core.progress import Progress
    from dsac_core.relocalizer import PoseEstimate
    from dsac_core.scene.scene_map import SceneMap

WEIGHTS = (1.0, 3.0, 10.0, 30.0)
_FRAMES = 16  # of the held-out ones
_LEAST_ERROR = 1e-3  # metres: below it one pose is as good as another
_NO_POSE = 10.0  # metres, as if it were off so far
_LEVER = 1.0  # metres per radian: how far away what matters is


def weigh_landmarks(
    scene: SceneMap, held_out: list[Frame], device: torch.device, progress: Progress
) -> SceneMap:
    """The map with provisional calibrations that weigh landmarks, for colour and for depth.

    Of ``WEIGHTS`` that of the least mean logarithm of the pose error: a view that is off by a
    metre does not decide for all.

    Args:
        scene: With a provisional calibration.
        held_out: Frames that it did not learn from.
        device: Where to relocalize them.
        progress: Is told how far it is.
    """
    scene = replace(scene, depth_calibration=scene.calibration)
    if scene.landmarks is None or not scene.regression:
        return scene
    frames = [held_out[index] for index in sorted(spread_indices(len(held_out), _FRAMES))]
    with_depth = [frame for frame in frames if frame.depth is not None]
    errors = np.zeros((2, len(WEIGHTS)))
    relocalizers = [Relocalizer(_weighted(scene, weight), device=str(device)) for weight in WEIGHTS]
    for number, frame in enumerate(frames):
        for place, relocalizer in enumerate(relocalizers):
            errors[0, place] += _error(relocalizer(frame.image, frame.camera), frame)
            if frame.depth is not None:
                estimate = relocalizer(frame.image, frame.camera, frame.depth)
                errors[1, place] += _error(estimate, frame)
        progress("weighing", (number + 1) / len(frames), f"view {number + 1}/{len(frames)}")
    by_colour, by_depth = (WEIGHTS[place] for place in errors.argmin(axis=1))
    calibration = scene.calibration
    return replace(
        scene,
        calibration=replace(calibration, landmark_weight=by_colour),
        depth_calibration=replace(
            calibration, landmark_weight=by_depth if with_depth else by_colour
        ),
    )


def _weighted(scene: SceneMap, weight: float) -> SceneMap:
    calibration = replace(scene.calibration, landmark_weight=weight)
    return replace(scene, calibration=calibration, depth_calibration=calibration)


def _error(estimate: PoseEstimate, frame: Frame) -> float:
    if estimate.world_T_cam is None:
        return math.log(_NO_POSE)
    distance, angle = pose_error(estimate.world_T_cam, frame.world_T_cam)
    return math.log(min(_NO_POSE, _LEAST_ERROR + distance + _LEVER * angle))
