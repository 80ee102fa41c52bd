# SPDX-License-Identifier: Apache-2.0
"""Recall, medians and latency of a run: the figures of the relocalization literature."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import numpy as np

from dsac_core.evaluation.honesty import consistency, expected_calibration_error
from dsac_core.scene.confidence import USABLE_ROTATION, USABLE_TRANSLATION

FALSE_TRANSLATION, FALSE_ROTATION = 0.25, math.radians(10.0)  # never to be called localized
THRESHOLDS = {  # metres, radians
    "1cm_1deg": (0.01, math.radians(1.0)),
    "2cm_2deg": (0.02, math.radians(2.0)),
    "5cm_5deg": (0.05, math.radians(5.0)),
    "10cm_5deg": (USABLE_TRANSLATION, USABLE_ROTATION),
    "25cm_10deg": (FALSE_TRANSLATION, FALSE_ROTATION),
}


Pose7 = tuple[float, ...]  # x y z qx qy qz qw, metres


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
    stamp: float = 0.0  # seconds
    reason: str = ""  # in words, why it is localized or not
    inliers: int = 0
    correspondences: int = 0
    stages: dict[str, float] = field(default_factory=dict)  # seconds by stage
    truth: Pose7 | None = None  # of the camera in the map
    pose: Pose7 | None = None  # the estimate, also where it is not believed

    @property
    def inlier_ratio(self) -> float:
        """Share of the correspondences that agree with the pose."""
        return self.inliers / max(1, self.correspondences)

    def within(self, translation: float, rotation: float) -> bool:
        """Whether the pose is that close, in metres and radians, believed or not."""
        return self.translation_error <= translation and self.rotation_error <= rotation

    @property
    def usable(self) -> bool:
        """Within 10 cm and 5 degrees: what confidence is the probability of."""
        return self.within(USABLE_TRANSLATION, USABLE_ROTATION)

    @property
    def false(self) -> bool:
        """Called localized, and more than 25 cm or 10 degrees away."""
        return self.localized and not self.within(FALSE_TRANSLATION, FALSE_ROTATION)


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
    inside_95_percent: float | None  # of the localized, inside the covariance's own 95 % bound
    stage_ms: dict[str, dict[str, float]]  # p50, p95 by stage

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
    localized = [result for result in results if result.localized]
    translation = np.array([r.translation_error if r.localized else np.inf for r in results])
    rotation = np.array([r.rotation_error if r.localized else np.inf for r in results])
    confidences = [result.confidence for result in results]
    errors = consistency([r.normalised_error for r in localized if r.normalised_error is not None])
    stages = {name: None for result in results for name in result.stages}  # in their order
    return Summary(
        frames=len(results),
        localized=len(localized),
        recall={
            name: _percent(sum(result.within(*limits) for result in localized), len(results))
            for name, limits in THRESHOLDS.items()
        },
        median_translation_cm=_finite_median(100.0 * translation),
        median_rotation_deg=_finite_median(np.degrees(rotation)),
        latency_ms=milliseconds([result.latency for result in results]),
        localized_percent=_percent(len(localized), len(results)),
        falsely_localized=sum(result.false for result in results),
        mean_confidence=round(float(np.mean(confidences)), 4),
        calibration_error=round(
            expected_calibration_error(confidences, [result.usable for result in results]), 4
        ),
        mean_normalised_error=None if errors is None else round(errors.mean, 2),
        median_normalised_error=None if errors is None else round(errors.median, 2),
        inside_95_percent=None if errors is None else round(100.0 * errors.inside, 2),
        stage_ms={
            name: milliseconds([r.stages[name] for r in results if name in r.stages])
            for name in stages
        },
    )


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """The median, p50, and p95 of times in seconds, of which there is at least one."""
    p50, p95 = np.percentile(seconds, [50, 95])
    return {"p50": round(1e3 * float(p50), 2), "p95": round(1e3 * float(p95), 2)}


def threshold_name(key: str) -> str:
    """``5cm_5deg`` for people."""
    return key.replace("cm_", " cm / ").replace("deg", " deg")


def table(summary: Summary) -> str:
    """The figures as a person reads them."""
    rows: list[tuple[str, str]] = [
        ("frames", f"{summary.frames}"),
        ("localized", f"{summary.localized} ({summary.localized_percent:.1f} %)"),
        *((f"recall {threshold_name(key)}", f"{v:.1f} %") for key, v in summary.recall.items()),
        ("median translation", _or_none(summary.median_translation_cm, "cm")),
        ("median rotation", _or_none(summary.median_rotation_deg, "deg")),
        ("localized falsely", f"{summary.falsely_localized} (beyond 25 cm / 10 deg)"),
        ("mean confidence", f"{summary.mean_confidence:.2f}"),
        ("confidence is off by", f"{summary.calibration_error:.2f} (expected calibration error)"),
        ("normalised error", _nees(summary)),
        ("latency p50 / p95", _pair(summary.latency_ms)),
    ]
    rows += [(f"  {stage}", _pair(times)) for stage, times in summary.stage_ms.items()]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _or_none(value: float | None, unit: str) -> str:
    return "none: most frames were not localized" if value is None else f"{value:.2f} {unit}"


def _pair(times: dict[str, float]) -> str:
    return f"{times['p50']:.0f} / {times['p95']:.0f} ms"


def _nees(summary: Summary) -> str:
    if summary.mean_normalised_error is None:
        return "none: no frame was localized"
    return (
        f"mean {summary.mean_normalised_error:.1f}, median {summary.median_normalised_error:.1f}"
        f" (squared; 6.0 and 5.3 if honest), {summary.inside_95_percent:.0f} % inside the 95 %"
        " bound"
    )


def _percent(part: int, whole: int) -> float:
    return round(100.0 * part / whole, 2)


def _finite_median(values: np.ndarray) -> float | None:
    median = float(np.median(values))
    return round(median, 3) if math.isfinite(median) else None
