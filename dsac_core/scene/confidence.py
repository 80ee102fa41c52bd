# SPDX-License-Identifier: Apache-2.0
"""How likely a pose is right, by what is known without the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

USABLE_TRANSLATION = 0.10  # metres: confidence is the probability of a pose this good
USABLE_ROTATION = math.radians(5.0)
_LOWEST_SPREAD = 1.0 / 16.0
_LARGEST_LOGIT = 30.0


class Evidence(NamedTuple):
    """What a pose estimate says about itself."""

    support: float  # share of the cells that agree
    spread: float  # share of the image's blocks that hold agreeing cells
    sigma: float  # metres: the `position_deviation` of the calibrated covariance


@dataclass(frozen=True)
class Confidence:
    """Probability that a pose is within 10 cm and 5 degrees: a logistic function of evidence.

    Its logarithms make each factor count: twice the support adds the same at any support.
    """

    offset: float
    support: float  # per unit of ln(share of agreeing cells)
    spread: float = 0.0  # per unit of ln(share of blocks)
    sigma: float = 0.0  # per unit of ln(10 cm / sigma)

    def __post_init__(self) -> None:
        """Refuse what would make the map lie."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not math.isfinite(value):
                msg = f"confidence: {item.name} must be a finite number, got {value}"
                raise ConfigError(msg)
            if item.name != "offset" and value < 0:
                msg = f"confidence: {item.name} must not be negative, got {value}"
                raise ConfigError(msg)

    def __call__(self, evidence: Evidence) -> float:
        """The probability; zero where nothing agrees or the position is not determined."""
        if not (evidence.support > 0 and evidence.sigma < math.inf):
            return 0.0
        factors = logarithms(evidence)
        weights = (self.support, self.spread, self.sigma)
        logit = self.offset + sum(w * x for w, x in zip(weights, factors, strict=True))
        return 1.0 / (1.0 + math.exp(-max(-_LARGEST_LOGIT, min(logit, _LARGEST_LOGIT))))


def position_deviation(covariance_66: NDArray[np.float64]) -> float:
    """Root of the mean squared error of the position, metres, that a covariance expects."""
    return float(np.sqrt(np.trace(covariance_66[:3, :3])))


def logarithms(evidence: Evidence) -> tuple[float, float, float]:
    """What the weights of `Confidence` multiply: of support, of spread, of 10 cm over sigma."""
    return (
        math.log(max(evidence.support, 1e-6)),
        math.log(max(evidence.spread, _LOWEST_SPREAD)),
        math.log(0.1 / max(evidence.sigma, 1e-4)),
    )


def by_support(min_support: float) -> Confidence:
    """Of a map without a confidence function: one half where its threshold of support is."""
    steepness = 4.0
    return Confidence(offset=-steepness * math.log(min_support), support=steepness)
