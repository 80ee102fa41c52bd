# SPDX-License-Identifier: Apache-2.0
"""How good a pose is, in the few steps that the page's colours have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dsac_core.evaluation.metrics import THRESHOLDS

if TYPE_CHECKING:
    from dsac_core.evaluation.metrics import FrameResult

_STEPS = ("2cm_2deg", "5cm_5deg", "10cm_5deg", "25cm_10deg")
MISSED = "missed"
WORDS = {
    "b0": "within 2 cm, 2°",
    "b1": "within 5 cm, 5°",
    "b2": "within 10 cm, 5°",
    "b3": "within 25 cm, 10°",
    "b4": "worse: localized wrongly",
    MISSED: "not localized",
}  # by class of the style sheet
PIXEL_STEPS = (2.0, 5.0, 10.0, 25.0)  # reprojection errors, px
PIXEL_WORDS = ("under 2 px", "under 5", "under 10", "under 25", "more")


def band(frame: FrameResult) -> str:
    """The class of a frame in the style sheet."""
    if not frame.localized:
        return MISSED
    for index, name in enumerate(_STEPS):
        if frame.within(*THRESHOLDS[name]):
            return f"b{index}"
    return "b4"


def errors_in_words(frame: FrameResult) -> str:
    """Such as ``1.2 cm, 0.4°``; ``no pose`` where there is none."""
    if not math.isfinite(frame.translation_error):
        return "no pose"
    centimetres = 100.0 * frame.translation_error
    degrees = math.degrees(frame.rotation_error)
    distance = f"{centimetres:.1f} cm" if centimetres < 100 else f"{centimetres / 100:.1f} m"
    return f"{distance}, {degrees:.1f}°"
