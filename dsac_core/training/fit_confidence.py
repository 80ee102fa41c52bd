# SPDX-License-Identifier: Apache-2.0
"""The probability that a pose is right, from evidence whose outcome is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.scene.confidence import Confidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsac_core.scene.confidence import Evidence

# Fitted to held-out views of a synthetic office and a real kitchen, straight and made harder, and
# to views of another place (docs/honesty.md); a map of its own has too few views to fit them all.
USUAL_CONFIDENCE = Confidence(offset=1.7, support=1.0, spread=0.8, sigma=2.2)
_OFFSET_DEVIATION = 1.0  # how far maps differ from each other
_STEPS = 50


def fit_confidence(evidence: Sequence[Evidence], right: Sequence[bool]) -> Confidence:
    """The confidence function of one map: the usual one, moved to where this map's poses fail.

    Most probable offset given the outcomes and a normal prior about the usual one, as Platt scaling
    ("Probabilistic outputs for support vector machines", 1999) with a fixed slope.

    Args:
        evidence: Of poses.
        right: Whether each was within 10 cm and 5 degrees.
    """
    usual = np.array([USUAL_CONFIDENCE(each) for each in evidence]).clip(1e-12, 1.0 - 1e-12)
    logits, outcomes = np.log(usual / (1.0 - usual)), np.asarray(right, dtype=float)
    precision = 1.0 / _OFFSET_DEVIATION**2
    shift = 0.0
    for _ in range(_STEPS):
        said = 1.0 / (1.0 + np.exp(-(logits + shift)))
        slope = float((said - outcomes).sum()) + precision * shift
        curvature = float((said * (1.0 - said)).sum()) + precision
        shift -= float(np.clip(slope / curvature, -1.0, 1.0))
    return replace(USUAL_CONFIDENCE, offset=round(USUAL_CONFIDENCE.offset + shift, 4))
