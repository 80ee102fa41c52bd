# SPDX-License-Identifier: Apache-2.0
"""Turned and scaled training images: what they do near the walk and beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from bench.studies import plots
from bench.studies.judge import RECALLS, Judge, Row
from bench.studies.study import Column, Run, Section, Study, figure_columns
from dsac_core.training.init_loss import Setting

WITHOUT, WITH = "without", "with"
SETTING: Setting = "rgbd"
_SHOWN = ("recall_10cm_5deg", "recall_5cm_5deg", "recall_2cm_2deg")

SECTION = Section(
    name="augmentation",
    title="Data augmentation",
    intro=(
        "Does it help to show the training images turned (up to 30° either way) and scaled (66 to"
        " 150 %)? DSAC* (section 6.6, Fig. 10) found 4 to 9 % more frames localized on 7-Scenes,"
        " and no clear gain on Cambridge Landmarks. Here, in the setting RGB-D and with the same"
        " number of steps, maps with and without are judged on two sets of views: *between*, from"
        " the walk itself, a few centimetres from views of training; and *beside*, moved by 30 to"
        " 50 cm along the ground and turned by 10 to 20° about the vertical. With `--dataset`"
        " there is one set, its test split."
    ),
    notes=(
        "Augmentation makes the task of training harder, so with few steps it starts with a debt:"
        " a loss here says something of these steps, not of augmentation as such. One seed."
    ),
    columns=(
        Column("augmentation", "augmentation"),
        Column("views", "test views"),
        *figure_columns(RECALLS[:3]),
    ),
)


def rows(run: Run) -> Iterator[Row]:
    """Without and with, on each set of test views."""
    maker, settings = run.maker(), run.settings
    judge = Judge(maker.device)
    for name in (WITHOUT, WITH):
        asked = replace(settings, augmentation="full" if name == WITH else "none")
        trained = maker.dense(asked.training(SETTING))
        for views, frames in maker.recording.tests.items():
            shown = judge(trained.scene, frames, SETTING)
            yield {"augmentation": name, "views": views, **shown}


def draw(given: Sequence[Row], _: dict[str, Any]) -> Figure:
    """One panel for each set of test views."""
    sets = list(dict.fromkeys(str(row["views"]) for row in given))
    figure = plots.new_figure(len(sets), width=1.0 + 4.6 * len(sets))
    for axes, views in zip(figure.axes, sets, strict=True):
        chosen = [row for row in given if row["views"] == views]
        series = {
            f"{row['augmentation']} augmentation": plots.recalls(row, _SHOWN) for row in chosen
        }
        plots.recall_bars(axes, plots.recall_titles(_SHOWN), series)
        axes.set_title(f"Views {views} those of training" if len(sets) > 1 else "Test views")
        axes.tick_params(axis="x", labelsize=8)
    figure.suptitle(SECTION.title)
    plots.legend_below(figure, figure.axes[0])
    return figure


STUDY = Study(
    SECTION,
    rows,
    draw,
    minutes=8,
    defaults={"iterations": 4000},
    uses=(
        "dataset", "test_dataset", "views", "image_height", "network", "iterations",
        "learning_rate", "batch_size", "seed",
    ),
)  # fmt: skip
