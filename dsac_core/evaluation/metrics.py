# SPDX-License-Identifier: Apache-2.0
"""Recall, medians and latency of a run: the figures of the relocalization literature."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from dsac_core.evaluation.honesty import expected_calibration_error
from dsac_core.scene.confidence import USABLE_ROTATION, USABLE_TRANSLATION

THRESHOLDS = {  # metres, radians
    "1cm_1deg": (0.01, math.radians(1.0)),
    "2cm_2deg": (0.02, math.radians(2.0)),
    "5cm_5deg": (0.05, math.radians(5.0)),
    "10cm_5deg": (USABLE_TRANSLATION, USABLE_ROTATION),
}
FALSE_TRANSLATION, FALSE_ROTATION = 0.25, math.radians(10.0)  # never to be called localized


@dataclass(frozen=True)
class FrameResult:
    """What became of one frame."""

    name: str
    localized: bool
    translation_error: float  # metres, infinite without a pose
    rotation_error: float  # radians, infinite without a pose
    latency: float  # seconds
    confidence: float = 0.0  # probability of a usable pose, as the map has it
    normalised_error: float | None = None  # squared, by the covariance; None without a pose


@dataclass(frozen=True)
class Summary:
    """Figures of a whole run; a frame that was not localized counts as infinitely wrong."""

    frames: int
    localized: int
    recall: dict[str, float]  # percent of all frames, by threshold
    median_translation_cm: float | None  # None: most frames were not localized
    median_rotation_deg: float | None
    latency_ms: dict[str, float]  # p50, p95
    localized_percent: float
    falsely_localized: int  # more than 25 cm or 10 degrees away, and called localized
    mean_confidence: float  # over all frames
    calibration_error: float  # of the confidence: see `expected_calibration_error`
    mean_normalised_error: float | None  # squared, of the localized: 6 if the covariance is honest
    median_normalised_error: float | None  # 5.35 if it is

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def summarize(results: list[FrameResult]) -> Summary:
    """Figures over all frames of a run.

    Raises:
        ValueError: There are no frames.
    """
    if not results:
        msg = "no frames to summarize"
        raise ValueError(msg)
    translation = np.array([r.translation_error if r.localized else np.inf for r in results])
    rotation = np.array([r.rotation_error if r.localized else np.inf for r in results])
    localized = [result for result in results if result.localized]
    usable = [
        result.translation_error <= USABLE_TRANSLATION and result.rotation_error <= USABLE_ROTATION
        for result in results
    ]
    confidences = [result.confidence for result in results]
    errors = [r.normalised_error for r in localized if r.normalised_error is not None]
    latency_ms = 1e3 * np.array([result.latency for result in results])
    return Summary(
        frames=len(results),
        localized=len(localized),
        recall={
            name: round(100.0 * float(np.mean((translation <= t) & (rotation <= r))), 2)
            for name, (t, r) in THRESHOLDS.items()
        },
        median_translation_cm=_finite_median(100.0 * translation),
        median_rotation_deg=_finite_median(np.degrees(rotation)),
        latency_ms={
            "p50": round(float(np.percentile(latency_ms, 50)), 2),
            "p95": round(float(np.percentile(latency_ms, 95)), 2),
        },
        localized_percent=round(100.0 * len(localized) / len(results), 2),
        falsely_localized=sum(
            r.translation_error > FALSE_TRANSLATION or r.rotation_error > FALSE_ROTATION
            for r in localized
        ),
        mean_confidence=round(float(np.mean(confidences)), 4),
        calibration_error=round(expected_calibration_error(confidences, usable), 4),
        mean_normalised_error=round(float(np.mean(errors)), 2) if errors else None,
        median_normalised_error=round(float(np.median(errors)), 2) if errors else None,
    )


def table(summary: Summary) -> str:
    """The figures as a person reads them."""
    share = 100.0 * summary.localized / summary.frames
    rows = [
        ("frames", f"{summary.frames}"),
        ("localized", f"{summary.localized} ({share:.1f} %)"),
        *((f"recall {_threshold_name(key)}", f"{v:.1f} %") for key, v in summary.recall.items()),
        ("median translation", _or_none(summary.median_translation_cm, "cm")),
        ("median rotation", _or_none(summary.median_rotation_deg, "deg")),
        ("localized falsely", f"{summary.falsely_localized} (beyond 25 cm / 10 deg)"),
        ("mean confidence", f"{summary.mean_confidence:.2f}"),
        ("normalised error", _nees(summary)),
        ("latency p50 / p95", "{p50:.0f} / {p95:.0f} ms".format(**summary.latency_ms)),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _threshold_name(key: str) -> str:
    return key.replace("cm_", " cm / ").replace("deg", " deg")


def _or_none(value: float | None, unit: str) -> str:
    return "none: most frames were not localized" if value is None else f"{value:.2f} {unit}"


def _nees(summary: Summary) -> str:
    mean, median = summary.mean_normalised_error, summary.median_normalised_error
    if mean is None:
        return "none: no frame was localized"
    return f"mean {mean:.1f}, median {median:.1f} (squared; 6.0 and 5.3 if honest)"


def _finite_median(values: np.ndarray) -> float | None:
    median = float(np.median(values))
    return round(median, 3) if math.isfinite(median) else None
