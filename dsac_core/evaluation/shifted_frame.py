# SPDX-License-Identifier: Apache-2.0
"""Whether a recording's poses are right, but in another frame than the map's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.evaluation.metrics import FALSE_ROTATION, FALSE_TRANSLATION
from dsac_core.geometry.pose import from_quaternion, invert, pose_error
from dsac_core.scene.confidence import USABLE_ROTATION, USABLE_TRANSLATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsac_core.evaluation.metrics import FrameResult, Pose7

_LEAST_FRAMES, _MOST_FRAMES = 5, 80
_LEAST_SHARE = 0.6  # of the localized frames that one transform explains


def shift_between_frames(frames: Sequence[FrameResult]) -> tuple[float, float] | None:
    """Metres and radians between two frames, if one transform explains the errors; else None.

    Only poses that were localized are asked. Those that are right already are no shift.
    """
    pairs = [(f.truth, f.pose) for f in frames if f.localized]
    known = [(truth, pose) for truth, pose in pairs if truth is not None and pose is not None]
    known = known[:: 1 + len(known) // _MOST_FRAMES]
    if len(known) < _LEAST_FRAMES:
        return None
    estimates = [_matrix(pose) for _, pose in known]
    truths = [_matrix(truth) for truth, _ in known]

    def explained(map_T_other: np.ndarray) -> int:
        errors = (
            pose_error(map_T_other @ truth, estimate)
            for truth, estimate in zip(truths, estimates, strict=True)
        )
        return sum(d <= USABLE_TRANSLATION and a <= USABLE_ROTATION for d, a in errors)

    candidates = [e @ invert(t) for t, e in zip(truths, estimates, strict=True)]
    best = max(candidates, key=explained)
    # Measured where the camera was: a turn about a far origin moves it too.
    centre = truths[len(truths) // 2]
    metres, radians = pose_error(best @ centre, centre)
    if explained(best) < _LEAST_SHARE * len(known):
        return None
    return (metres, radians) if metres > FALSE_TRANSLATION or radians > FALSE_ROTATION else None


def _matrix(pose: Pose7) -> np.ndarray:
    return from_quaternion(pose[:3], pose[3:])
