# SPDX-License-Identifier: Apache-2.0
"""What the figures of a run mean, for somebody who does not know the field."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dsac_core.evaluation.report.bands import errors_in_words
from dsac_core.evaluation.report.worst_frames import FITS

if TYPE_CHECKING:
    from dsac_core.evaluation.metrics import FrameResult, Summary
    from dsac_core.evaluation.report.worst_frames import WorstFrame

_DARK, _BRIGHT = 35.0, 225.0  # mean gray values
_FEW = 0.4  # of the correspondences that the run's images have
_NOTHING, _LITTLE, _MUCH = 0.005, 0.1, 0.3  # shares of the scene points that fit a pose
_HONEST_INSIDE = 90.0  # percent inside the 95 % bound
_HONEST_MEDIAN = 5.35  # of chi-square with 6 degrees of freedom
_HONEST_POINTS = 5.0  # percentage points between confidence and truth
_FACTOR = 1.25  # between errors and what is said of them, that is still honest


def verdict(summary: Summary, shift: tuple[float, float] | None = None) -> tuple[str, str, str]:
    """A grade (``good``, ``fair`` or ``bad``), a headline, and what to make of it.

    ``shift``: as `shift_between_frames` has it.
    """
    if shift is not None:
        metres, degrees = shift[0], math.degrees(shift[1])
        advice = (
            "The poses found agree with the recording's after a shift of"
            f" {metres:.2f} m and a turn of {degrees:.0f}°. So the map seems right, and the figures"
            " below say nothing: give the recording's poses in the frame of the map, then evaluate"
            " again."
        )
        return "bad", "The recording's poses are in another frame than the map's", advice
    usable, frames = summary.recall["10cm_5deg"], summary.frames
    if summary.localized == 0:
        return "bad", "Not one frame was localized", _ELSEWHERE
    if usable >= 95:
        grade, headline = "good", f"Localizes {_share(usable)} well"
        advice = "This map is ready for this kind of walk."
    elif usable >= 75:
        grade, headline = "good", f"Localizes {_share(usable)} well"
        advice = "A robot that has odometry bridges the gaps; the worst frames below say where"
        advice += " more mapping images would help."
    elif usable >= 30:
        grade, headline = "fair", f"Localizes {_share(usable)} well, with gaps"
        advice = "Map also the places marked with a cross below, looking where the robot looks."
    else:
        grade, headline = "bad", f"Localizes only {_share(usable)} well"
        advice = _ELSEWHERE
    if summary.falsely_localized:
        share = 100.0 * summary.falsely_localized / frames
        wrong = f"{count(summary.falsely_localized, 'frame')} of {frames}"
        advice += f" Take care: {wrong} claimed a pose that is off by more than 25 cm or 10°."
        if share > 1.0:
            grade = "bad" if share > 5.0 else "fair"
    else:
        advice += " No pose that it claimed is off by more than 25 cm or 10°."
    return grade, headline, advice


_ELSEWHERE = (
    "Is this recording of the place that was mapped? If it is: are its poses in the map's frame, "
    "and does the camera's calibration belong to these images ('dsac check' tells)? If all is "
    "right, the views differ too much from those that were mapped."
)


def on_covariance(summary: Summary) -> str:
    """Whether the covariance is honest."""
    median, inside = summary.median_normalised_error, summary.inside_95_percent
    if median is None or inside is None:
        return "No frame was localized, so there is no covariance to judge."
    factor = math.sqrt(median / _HONEST_MEDIAN)
    figures = (
        f"{inside:.0f} % of the errors lie inside the bound that should hold 95 %;"
        f" squared they have mean {summary.mean_normalised_error:.1f} and median {median:.1f}"
        " (6.0 and 5.3 if honest)."
    )
    typical = f"typical errors are {factor:.1f} times as large as said"
    if inside < _HONEST_INSIDE and factor > _FACTOR:
        return f"Too sure of itself: {typical}. {figures}"
    if inside < _HONEST_INSIDE:
        return f"Mostly honest, with outliers that it does not foresee. {figures}"
    if factor < 1 / _FACTOR:
        return f"Cautious: {typical}. {figures}"
    return f"Honest. {figures}"


def on_confidence(summary: Summary, share_right: float) -> str:
    """Whether the confidence is honest; ``share_right``: of all frames, within 10 cm and 5°."""
    points = 100.0 * summary.calibration_error
    judgement = "Too sure of itself" if summary.mean_confidence > share_right else "Too modest"
    if points <= _HONEST_POINTS:
        judgement = "Honest"
    elif points <= 2 * _HONEST_POINTS:
        judgement = "Nearly honest"
    return (
        f"{judgement}: confidence and truth differ by {count(round(points), 'percentage point')}"
        " on average (expected calibration error). On the diagonal they are the same; below it"
        " the map is too sure of itself, above it too modest."
    )


def what_went_wrong(view: WorstFrame, typical: float) -> str:
    """One frame in words; ``typical``: correspondences that the run's images have."""
    frame = view.result
    parts = [_outcome(frame)]
    if view.brightness < _DARK:
        parts.append("The image is very dark.")
    elif view.brightness > _BRIGHT:
        parts.append("The image is overexposed.")
    if frame.correspondences < _FEW * typical:
        parts.append(
            f"It shows little that can be recognised: {frame.correspondences} usable points, where"
            f" others have about {typical:.0f}."
        )
    parts.append(_diagnosis(view))
    return " ".join(part for part in parts if part)


def _outcome(frame: FrameResult) -> str:
    reason = f" ({frame.reason})" if frame.reason else ""
    if frame.pose is None:
        return f"Not localized{reason}."
    if not frame.localized:
        return f"Not localized{reason}. The pose that was not believed is {_off(frame)}."
    if frame.false:
        return f"Localized wrongly, {_off(frame)}{reason}."
    return f"Localized, {_off(frame)}{reason}."


def _diagnosis(view: WorstFrame) -> str:
    truth = view.by_truth.share_that_fits
    fits = f"{100 * truth:.0f} % of its scene points fit the true pose within {FITS:g} px"
    estimate = 0.0 if view.by_estimate is None else view.by_estimate.share_that_fits
    if view.result.usable and view.result.localized:
        return f"{fits[0].upper()}{fits[1:]}."
    if view.result.usable:
        return f"{fits}: the pose is right, but the map had too little to be sure of it."
    if estimate > _MUCH and estimate > 2 * truth:
        return (
            f"Only {fits}, but {100 * estimate:.0f} % fit the estimate: the place looks like"
            " another one, or the recording's own pose is wrong here."
        )
    if truth < _LITTLE:
        only = (
            f"Only {fits}" if truth >= 0.005 else f"Nothing fits the true pose within {FITS:g} px"
        )
        return f"{only}: the map does not know this view."
    return f"{fits}."


def _off(frame: FrameResult) -> str:
    return f"off by {errors_in_words(frame)}"


def count(number: int, noun: str) -> str:
    """Such as ``1 frame``, ``3 frames``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _share(percent: float) -> str:
    return "all frames" if percent >= 100 else f"{percent:.3g} % of the frames"
