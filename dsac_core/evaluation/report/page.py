# SPDX-License-Identifier: Apache-2.0
"""Puts the page together."""

from __future__ import annotations

from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from dsac_core.evaluation.metrics import threshold_name
from dsac_core.evaluation.report import parts, words
from dsac_core.evaluation.report.bands import MISSED, WORDS, band
from dsac_core.evaluation.report.error_plots import (
    error_curve,
    inlier_histogram,
    recall_by_inliers,
    timeline,
)
from dsac_core.evaluation.report.trajectories import CAMERA, trajectories, upwards
from dsac_core.evaluation.report.trust_plots import normalised_errors, reliability_curve, stages
from dsac_core.evaluation.report.worst_cards import worst_section
from dsac_core.evaluation.shifted_frame import shift_between_frames
from dsac_core.files import replacing_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dsac_core.evaluation.metrics import FrameResult, Summary
    from dsac_core.evaluation.report.worst_frames import WorstFrame
    from dsac_core.evaluation.run_file import Run


def write_report(file: Path, run: Run, worst: Sequence[WorstFrame]) -> None:
    """Write one HTML page that loads nothing; ``worst`` as `look_again` gives it, or empty."""
    template = Template(resources.files(__package__).joinpath("page.html").read_text())
    summary = run.summary
    content = "\n".join(
        (
            _head(run, summary),
            _recall(summary),
            _paths(run),
            _errors(run.frames),
            _trust(run.frames, summary),
            _time(summary),
            worst_section(run.frames, worst) if worst else "",
            _about(run),
        )
    )
    title = f"{run.about.get('scene', 'scene')} on {run.about.get('dataset', 'recording')}"
    with replacing_file(file) as unfinished:
        unfinished.write_text(template.substitute(title=escape(title), content=content))


def _head(run: Run, summary: Summary) -> str:
    grade, headline, advice = words.verdict(summary, shift_between_frames(run.frames))
    about = run.about
    median = "none"
    if summary.median_translation_cm is not None:
        median = f"{summary.median_translation_cm:.1f} cm, {summary.median_rotation_deg:.1f}°"
    tiles = (
        (f"{summary.localized_percent:.3g} %", f"localized: {summary.localized} of"
         f" {words.count(summary.frames, 'frame')}"),
        (f"{summary.recall['5cm_5deg']:.3g} %", "within 5 cm and 5°"),
        (f"{summary.recall['10cm_5deg']:.3g} %", "within 10 cm and 5°"),
        (median, "median error; a frame that is not localized counts as infinitely far"),
        (f"{summary.falsely_localized}", "localized wrongly: claimed, and off by more than"
         " 25 cm or 10°"),
        (f"{summary.latency_ms['p50']:.0f} ms", "per frame (median); 95 % within"
         f" {summary.latency_ms['p95']:.0f} ms"),
    )  # fmt: skip
    drawn = "".join(
        f'<div class="card tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>'
        for value, text in tiles
    )
    return (
        f"<h1>Scene “{escape(str(about.get('scene', '?')))}”, relocalized</h1>"
        f'<p class="sub">in the recording {escape(str(about.get("dataset", "?")))}, split'
        f" {escape(str(about.get('split', '?')))}, {words.count(summary.frames, 'frame')}</p>"
        f'<div class="verdict {grade}"><strong>{escape(headline)}</strong>'
        f'<p>{escape(advice)}</p></div><div class="tiles">{drawn}</div>'
    )


def _limit(key: str) -> str:
    return f"within {threshold_name(key).replace(' /', ',').replace(' deg', '°')}"


def _recall(summary: Summary) -> str:
    rows = "".join(
        f'<tr><th class="limit">{escape(_limit(key))}</th>'
        f'<td class="meter"><i><i style="width:{share:g}%"></i></i></td>'
        f'<td class="number">{share:.1f} %</td></tr>'
        for key, share in summary.recall.items()
    )
    return parts.section(
        "How many frames, how exactly",
        "Shares of all frames. What was not localized counts as missed.",
        f'<div class="card"><table>{rows}</table></div>',
        grid="",
    )


def _paths(run: Run) -> str:
    frames, body = run.frames, run.about.get("poses_of", CAMERA)
    if not any(frame.truth for frame in frames):
        return ""
    above, side, beyond = trajectories(frames, body)
    up = upwards(frames, body).name
    used = [band(frame) for frame in frames]
    legend = "".join(
        parts.key(name, f"{text} ({used.count(name)})")
        for name, text in WORDS.items()
        if name in used
    )
    hint = (
        f"Up is the map's {up} axis, as the {body} was held."
        " Thin lines lead from the truth to the estimate."
    )
    if beyond:
        where = "estimate lies" if beyond == 1 else "estimates lie"
        hint += f" {beyond} {where} beyond the picture, drawn as a ring at the true place."
    return parts.section(
        "Where it was localized",
        f"The grey line is the true path of the {body}, dots are the estimates.",
        parts.card("From above", above) + parts.card("From the side", side),
        after=f'<ul class="legend">{legend}</ul><p class="hint">{hint}</p>',
    )


def _errors(frames: Sequence[FrameResult]) -> str:
    trusted = (
        f'<ul class="legend">{parts.line("first", "localized")}'
        f"{parts.line('second', 'any pose, also those not believed')}</ul>"
    )
    kinds = (
        f'<ul class="legend">{parts.box("good", "localized within 10 cm, 5°")}'
        f"{parts.box('off', 'localized, less exactly')}{parts.box(MISSED, WORDS[MISSED])}</ul>"
    )
    curves = (
        parts.card("Position", error_curve(frames), trusted)
        + parts.card("Rotation", error_curve(frames, rotation=True), trusted)
        + parts.card("Frames by agreement", inlier_histogram(frames), kinds)
        + parts.card("Success by agreement", recall_by_inliers(frames))
    )
    return parts.section(
        "How large the errors are",
        "Each curve rises to the share of frames whose error is smaller. The higher and the"
        " further left, the better. Agreement is the share of an image's points that fit the pose"
        " found (the inlier ratio).",
        curves,
        after='<div class="card" style="margin-top:14px"><h3>Frame by frame</h3>'
        f'<div class="scroll">{timeline(frames)}</div></div>',
    )


def _trust(frames: Sequence[FrameResult], summary: Summary) -> str:
    errors = normalised_errors(frames)
    right = sum(frame.usable for frame in frames) / len(frames)
    hint = f'<p class="hint">{escape(words.on_confidence(summary, right))} Larger dots are more'
    confidence = parts.card("Confidence", reliability_curve(frames), f"{hint} frames.</p>")
    hint = f'<p class="hint">{escape(words.on_covariance(summary))}</p>'
    covariance = parts.card("Covariance", errors or "", hint)
    return parts.section(
        "Whether it knows how good it is",
        "Each pose comes with a confidence (the probability of being within 10 cm and 5°) and a"
        " covariance (how large its error may be). Both are compared with the truth. The curve"
        " over the bars is what the errors of an honest covariance look like (chi-square with 6"
        " degrees of freedom).",
        confidence + covariance,
    )


def _time(summary: Summary) -> str:
    device = "Milliseconds on the machine that ran this: median / 95 % are faster."
    return parts.section("How long a pose takes", device, parts.card("", stages(summary)))


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "used" if value else "not used"
    return {"both": "scene coordinates and landmarks"}.get(str(value), str(value))


def _about(run: Run) -> str:
    rows = "".join(
        f"<tr><th>{escape(key.replace('_', ' '))}</th><td>{escape(_in_words(value))}</td></tr>"
        for key, value in run.about.items()
        if value is not None
    )
    alone = "Each image was seen on its own, without what came before it."
    note = "" if "how" in run.about else f'<p class="hint">{alone}</p>'
    return parts.section("What was run", "", f'<div class="card"><table>{rows}</table></div>{note}',
                    grid="")  # fmt: skip
