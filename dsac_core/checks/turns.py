# SPDX-License-Identifier: Apache-2.0
"""Rotations between images from matches alone, against those of the poses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from dsac_core.checks.epipolar import Belief, Evidence

_PAIRS = 30  # each costs some milliseconds
_THRESHOLD = 2.0  # px


def turn_errors(evidence: Evidence, belief: Belief) -> float:
    """The median angle between both, degrees; NaN where no pair tells it.

    From the essential matrix by five points (Nister, 2004), which knows nothing of the poses.
    """
    matches, rays = evidence.matches, evidence.rays(belief.cameras)
    relative = evidence.relative(belief)
    angles = []
    known = np.flatnonzero(np.isfinite(relative).all(axis=(1, 2)))
    for pair in known[:: max(1, len(known) // _PAIRS)]:
        own = rays[matches.pair_M == pair]
        own = own[np.isfinite(own).all(axis=(1, 2))]
        if len(own) < 8:
            continue
        first, second = np.ascontiguousarray(own[:, 0, :2]), np.ascontiguousarray(own[:, 1, :2])
        focal = belief.cameras[0].fx / evidence.sampled.views[0].px
        cv2.setRNGSeed(0)
        essential, _ = cv2.findEssentialMat(
            first, second, np.eye(3), cv2.USAC_MAGSAC, 0.999, _THRESHOLD / focal, 1000
        )
        if essential is None or essential.shape != (3, 3):
            continue
        _, turn, _, _ = cv2.recoverPose(essential, first, second, np.eye(3))
        angles.append(Rotation.from_matrix(turn.T @ relative[pair, :3, :3]).magnitude())
    return float(np.degrees(np.median(angles))) if angles else float("nan")
