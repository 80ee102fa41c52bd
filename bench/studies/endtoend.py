# SPDX-License-Identifier: Apache-2.0
"""What end-to-end training adds to a network that was initialised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from bench.studies import plots
from bench.studies.judge import RECALLS, Judge, Row
from bench.studies.study import Column, Run, Section, Study, figure_columns
from dsac_core.training.init_loss import Setting

BEFORE, LONGER, AFTER = "before", "initialised longer", "after"
TRAINED, UNSEEN = "training", "test"
SETTINGS: tuple[Setting, ...] = ("rgb", "rgb-model", "rgbd")
_TITLES: dict[Setting, str] = {"rgb": "RGB", "rgb-model": "RGB + 3D model", "rgbd": "RGB-D"}
_LEGEND = {
    BEFORE: "before end-to-end training",
    LONGER: "initialised longer instead",
    AFTER: "after end-to-end training",
}
_DRAWN = RECALLS[1:]  # the thresholds of the paper

SECTION = Section(
    name="endtoend",
    title="Before and after end-to-end training",
    intro=(
        "DSAC* (section 6.8, Fig. 12) compares the poses before and after end-to-end training on"
        " 7-Scenes and 12-Scenes. It found little change at 5 cm, 5° and clear gains at 2 cm, 2°"
        " and 1 cm, 1°: successful poses become more precise, failures mostly stay. Here a network"
        " is initialised in each setting and then trained end to end: *RGB* from images and poses"
        " alone, *RGB + 3D model* with the depth of the training images in place of a model,"
        " *RGB-D* with depth in training and at test time. The images of the end-to-end"
        " steps are not turned and scaled; so that this does not pass for an effect of end-to-end"
        " training, a control (*initialised longer*) goes on with the loss of the initialisation"
        " on the same images, for as many steps at the same rate. Training views show what"
        " training achieves, test views what is left of that where it was not trained."
    ),
    notes=(
        "All are judged on the same views. What counts is the difference between *after* and"
        " *initialised longer*, not that to *before*. Steps are few and the seed is one."
    ),
    columns=(
        Column("setting", "setting"),
        Column("views", "views"),
        Column("stage", "end-to-end training"),
        *figure_columns(RECALLS),
    ),
)


def rows(run: Run) -> Iterator[Row]:
    """Before, control and after in each setting, on views of training and of the test."""
    maker, settings = run.maker(), run.settings
    judge = Judge(maker.device)
    views = {TRAINED: maker.recording.trained(), UNSEEN: maker.recording.main}
    for setting in SETTINGS:
        before = maker.dense(settings.training(setting))
        longer = maker.dense(settings.longer(setting), before)
        after = maker.dense(settings.training(setting, stages=("e2e",)), before)
        maps = {BEFORE: before, LONGER: longer, AFTER: after}
        for name, frames in views.items():
            for stage, trained in maps.items():
                shown = judge(trained.scene, frames, setting)
                yield {"setting": _TITLES[setting], "views": name, "stage": stage, **shown}


def draw(given: Sequence[Row], _: dict[str, Any]) -> Figure:
    """One panel for each setting and set of views."""
    figure = plots.new_figure(len(SETTINGS), 2, width=10.5, height=7.0)
    groups = [title.replace("within ", "") for title in plots.recall_titles(_DRAWN)]
    places = [(views, setting) for views in (TRAINED, UNSEEN) for setting in SETTINGS]
    for axes, (views, setting) in zip(figure.axes, places, strict=True):
        chosen = [
            row for row in given if row["setting"] == _TITLES[setting] and row["views"] == views
        ]
        plots.recall_bars(
            axes,
            groups,
            {_LEGEND[str(row["stage"])]: plots.recalls(row, _DRAWN) for row in chosen},
            label="share of views (%)",
        )
        axes.set(title=f"{_TITLES[setting]}, {views} views", xlabel="pose error within")
    figure.suptitle(SECTION.title)
    plots.legend_below(figure, figure.axes[0])
    return figure


STUDY = Study(
    SECTION,
    rows,
    draw,
    minutes=17,
    defaults={"iterations": 4000, "augmentation": "full"},
    uses=(
        "dataset", "test_dataset", "views", "image_height", "network", "iterations",
        "learning_rate", "e2e_iterations", "e2e_learning_rate", "batch_size", "augmentation",
        "seed",
    ),
)  # fmt: skip
