# SPDX-License-Identifier: Apache-2.0
"""The worst frames on the page."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.evaluation.report import parts, words
from dsac_core.evaluation.report.bands import PIXEL_WORDS, errors_in_words
from dsac_core.evaluation.report.worst_frames import overlay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsac_core.evaluation.metrics import FrameResult
    from dsac_core.evaluation.report.worst_frames import Reprojections, WorstFrame


def worst_section(frames: Sequence[FrameResult], worst: Sequence[WorstFrame]) -> str:
    """The section of the page: a card for each of `look_again`'s frames."""
    typical = float(np.median([frame.correspondences for frame in frames]))
    steps = "".join(
        f'<li><svg viewBox="0 0 14 14"><path class="at p{step}" d="M7 7h0"/></svg>{text}</li>'
        for step, text in enumerate(PIXEL_WORDS)
    )
    choices = (
        ("truth-shown", ' checked="checked"', "with the true pose"),
        ("estimate-shown", "", "with the estimated pose"),
        ("none-shown", "", "only the image"),
    )
    show = "".join(
        f'<label><input type="radio" name="show" value="{value}"{checked}/>{text}</label>'
        for value, checked, text in choices
    )
    cards = "".join(_worst_card(view, typical) for view in worst)
    return parts.section(
        "The worst frames",
        "For spots of the image the map says which point of the scene they show (its scene"
        " coordinate). Here these points are projected back into the image: a line leads from"
        " where a point was seen to where it should appear, in the colour of the distance. Of"
        " frames that are neighbours, only the worst is here.",
        cards,
        before=f'<fieldset class="show">{show}</fieldset><ul class="legend">{steps}</ul>',
        grid="grid two",
    )


def _worst_card(view: WorstFrame, typical: float) -> str:
    frame, (width, height) = view.result, view.size
    image = base64.b64encode(view.jpeg).decode("ascii")
    layers = _layer("by-truth", view.by_truth, view.size)
    if view.by_estimate is not None:
        layers += _layer("by-estimate", view.by_estimate, view.size)
    grade = "bad" if frame.false else "fair" if not (frame.localized and frame.usable) else "good"
    badge = "wrong" if frame.false else "localized" if frame.localized else "not localized"
    facts = (
        ("error", errors_in_words(frame)),
        ("confidence", f"{100 * frame.confidence:.0f} %"),
        ("agreement", f"{100 * frame.inlier_ratio:.0f} %"),
        ("points", f"{frame.correspondences}"),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return (
        f'<article class="card worst"><figure><img alt="{escape(frame.name)}" width="{width}"'
        f' height="{height}" src="data:image/jpeg;base64,{image}"/>{layers}</figure>'
        f'<div class="words"><span class="badge {grade}">{badge}</span>'
        f"<h3>{escape(frame.name)}</h3><p>{escape(words.what_went_wrong(view, typical))}</p>"
        f"<dl>{listed}</dl></div></article>"
    )


def _layer(css: str, view: Reprojections, size: tuple[int, int]) -> str:
    width, height = size
    return f'<svg class="{css}" viewBox="0 0 {width} {height}">{overlay(view)}</svg>'
