# SPDX-License-Identifier: Apache-2.0
"""Frames as an evaluation has judged them, made up."""

from __future__ import annotations

import math
from typing import Any

from dsac_core.evaluation.metrics import FrameResult


def judged(index: int, cm: float, deg: float = 0.5, **changes: Any) -> FrameResult:
    """Frame ``index`` of a walk along x, 10 cm a frame, estimated so far off along y.

    An infinite error is a frame without a pose.
    """
    found = math.isfinite(cm)
    values: dict[str, Any] = {
        "name": f"seq-01/frame-{index:06d}",
        "localized": found,
        "translation_error": cm / 100.0,
        "rotation_error": math.radians(deg) if found else math.inf,
        "latency": 0.05,
        "confidence": 0.9 if found else 0.0,
        "normalised_error": 5.0 if found else None,
        "stamp": 0.5 * index,
        "reason": "400 of 1000 usable cells agree" if found else "no consistent pose",
        "inliers": 400 if found else 0,
        "correspondences": 1000,
        "stages": {"encode": 0.02, "ransac": 0.01},
        "truth": (0.1 * index, 0.0, 1.0, *UPRIGHT),
        "pose": (0.1 * index, cm / 100.0, 1.0, *UPRIGHT) if found else None,
    }
    return FrameResult(**{**values, **changes})


# A camera that looks along x with its top up, in a map whose z is up.
UPRIGHT = (-0.5, 0.5, -0.5, 0.5)
