# SPDX-License-Identifier: Apache-2.0
"""How much a landmark counts beside a cell: as held-out views say, with a lean to landmarks.

Held-out views lie on the walk, where regression is at its best. Farther off landmarks carry, so the
largest weight is taken that these views do not show to be worse than the best one: the rule of one
standard error (Breiman et al., "Classification and Regression Trees", 1984).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from dsac_core.data.frame import spread_indices
from dsac_core.geometry.pose import pose_error
from dsac_core.landmarks.lead import LARGEST_WEIGHT, landmark_lead
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.regression import make_regressor
from dsac_core.relocalizer import DEFAULT_DEPTH_RANSAC, DEFAULT_MAX_CELLS, DEFAULT_RANSAC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.data.frame import Frame
    from dsac_core.progress import Progress
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.regression import Regressed
    from dsac_core.scene.scene_map import Calibration, SceneMap

WEIGHTS = (1.0, 3.0, 10.0, 30.0, LARGEST_WEIGHT)
_HARDLY = 1.05  # times the least error: so much is not worse, however sure it is
_FRAMES = 16  # of the held-out ones
_LEAST_ERROR = 1e-3  # metres: below it one pose is as good as another
_NO_POSE = 10.0  # metres, as if it were off so far
_LEVER = 1.0  # metres per radian: how far away what matters is


def weigh_landmarks(
    scene: SceneMap, held_out: list[Frame], device: torch.device, progress: Progress
) -> SceneMap:
    """The map with provisional calibrations that weigh landmarks, for colour and for depth.

    Args:
        scene: With a provisional calibration.
        held_out: Frames that it did not learn from.
        device: Where to relocalize them.
        progress: Is told how far it is.
    """
    provisional = scene.calibration
    scene = replace(scene, depth_calibration=provisional)
    if scene.landmarks is None or not scene.regression:
        return scene
    frames = [held_out[index] for index in sorted(spread_indices(len(held_out), _FRAMES))]
    regressor = make_regressor(scene, device, DEFAULT_MAX_CELLS)
    by_colour, by_depth = [], []
    for number, frame in enumerate(frames):
        depth = None if frame.depth is None else frame.depth * np.float32(scene.depth_scale)
        regressed = regressor(frame.image, frame.camera, depth)
        by_colour.append(_tried(_weighed(regressed, with_depth=False), frame, in_metres=False))
        if depth is not None:
            by_depth.append(_tried(_weighed(regressed, with_depth=True), frame, in_metres=True))
        progress("weighing", (number + 1) / len(frames), f"view {number + 1}/{len(frames)}")
    calibration = _calibrated(provisional, by_colour)
    depth_calibration = _calibrated(provisional, by_depth) if by_depth else calibration
    return replace(scene, calibration=calibration, depth_calibration=depth_calibration)


def best_weight(errors_FW: NDArray[np.float64]) -> float:
    """The largest of ``WEIGHTS`` that is, by the frames, not clearly worse than the best.

    The best has the least mean logarithm of the error, so that a view that is off by a metre does
    not decide for all. Another one is clearly worse if its mean is higher by more than the standard
    error of the difference, and by more than a twentieth.

    Args:
        errors_FW: Metres, of each frame with each weight.
    """
    logarithm_FW = np.log(errors_FW)
    best = int(logarithm_FW.mean(axis=0).argmin())
    behind_FW = logarithm_FW - logarithm_FW[:, [best]]
    frames = len(errors_FW)
    doubt_W = np.full(len(WEIGHTS), math.inf)
    if frames > 1:
        doubt_W = behind_FW.std(axis=0, ddof=1) / math.sqrt(frames)
    as_good = behind_FW.mean(axis=0) <= np.maximum(doubt_W, math.log(_HARDLY))
    return WEIGHTS[int(np.nonzero(as_good)[0][-1])]


def _weighed(regressed: Regressed, *, with_depth: bool) -> list[Correspondences]:
    """The correspondences with each weight."""
    return [
        regressed.correspondences(with_depth=with_depth, landmark_weight=weight)
        for weight in WEIGHTS
    ]


class _Tried(NamedTuple):
    """A frame with one weight."""

    error: float  # distance and angle in one, metres
    lead: float | None = None  # of landmarks: see `landmark_lead`


def _calibrated(provisional: Calibration, tried_FW: list[list[_Tried]]) -> Calibration:
    """With the best weight, and the lead that landmarks usually have with it."""
    weight = best_weight(np.array([[tried.error for tried in row] for row in tried_FW]))
    leads = [row[WEIGHTS.index(weight)].lead for row in tried_FW]
    known = [lead for lead in leads if lead is not None]
    usual = float(np.median(known)) if known else None
    return replace(provisional, landmark_weight=weight, landmark_lead=usual)


def _tried(weighed: list[Correspondences], frame: Frame, *, in_metres: bool) -> list[_Tried]:
    """The pose of a frame with each weight."""
    config = DEFAULT_DEPTH_RANSAC if in_metres else DEFAULT_RANSAC
    tried = []
    for correspondences in weighed:
        found = estimate_poses(correspondences, config, torch.Generator().manual_seed(0))
        if not found.found_B[0]:
            tried.append(_Tried(_NO_POSE))
            continue
        distance, angle = pose_error(found.world_T_cam(), frame.world_T_cam)
        error = min(_NO_POSE, _LEAST_ERROR + distance + _LEVER * angle)
        is_landmark = correspondences.source_BN
        lead = None
        if is_landmark is not None:
            lead = landmark_lead(found.inliers_BN[0], is_landmark[0])
        tried.append(_Tried(error, lead))
    return tried
