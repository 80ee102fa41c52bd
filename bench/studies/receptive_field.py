# SPDX-License-Identifier: Apache-2.0
"""How much of the image a scene coordinate should be predicted from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from bench.studies import plots
from bench.studies.judge import RECALLS, Judge, Row
from bench.studies.study import Column, Run, Section, Study, figure_columns
from dsac_core.training.init_loss import Setting

FIELDS = {  # network: receptive field, px
    "dsacstar-rf49": "49 px",
    "dsacstar": "81 px",
    "dsacstar-rf149": "149 px",
    "encoder-decoder": "whole image",
}
SETTING: Setting = "rgbd"
_SHOWN = ("recall_10cm_5deg", "recall_5cm_5deg")

SECTION = Section(
    name="receptive-field",
    title="Receptive field",
    intro=(
        "How much of the image should decide about one scene coordinate? DSAC* (section 6.7,"
        " Fig. 11) found 81 px best on 7-Scenes, 49 px a little worse, 149 px worse, and a network"
        " that sees the whole image (encoder and decoder) far behind: much context generalises"
        " badly to other views. The networks have the same number of parameters. Here each is"
        " initialised (setting RGB-D) with the same number of steps and judged on views"
        " between those of training and on views beside them (see data augmentation)."
    ),
    notes=(
        "The image is lower here than the 480 px of the paper, so that a field of 81 px covers"
        " most of it, and 149 px all of it: the fields differ less here, in terms of the scene,"
        " than they do in the paper. Same steps are not same time; the seconds are in the table."
        " One seed, no augmentation unless the settings say so."
    ),
    columns=(
        Column("network", "network"),
        Column("field", "receptive field"),
        Column("parameters", "parameters (M)", 2),
        Column("seconds", "training (s)", 0),
        Column("views", "test views"),
        *figure_columns(RECALLS[:2]),
    ),
)


def rows(run: Run) -> Iterator[Row]:
    """Each network on each set of test views."""
    maker, settings = run.maker(), run.settings
    judge = Judge(maker.device)
    for network, field in FIELDS.items():
        trained = maker.dense(settings.training(SETTING, network=network))
        count = sum(each.numel() for each in trained.scene.regressor.parameters())
        for views, frames in maker.recording.tests.items():
            yield {
                "network": network,
                "field": field,
                "parameters": round(count / 1e6, 3),
                "seconds": trained.seconds,
                "views": views,
                **judge(trained.scene, frames, SETTING),
            }


def draw(given: Sequence[Row], _: dict[str, Any]) -> Figure:
    """One panel for each set of test views, one group for each field."""
    sets = list(dict.fromkeys(str(row["views"]) for row in given))
    figure = plots.new_figure(len(sets), width=1.0 + 4.2 * len(sets))
    for axes, views in zip(figure.axes, sets, strict=True):
        chosen = [row for row in given if row["views"] == views]
        series = {
            title: [plots.recalls(row, [key])[0] for row in chosen]
            for key, title in zip(_SHOWN, plots.recall_titles(_SHOWN), strict=True)
        }
        plots.recall_bars(axes, [str(row["field"]) for row in chosen], series)
        axes.set_title(f"Views {views} those of training" if len(sets) > 1 else "Test views")
        axes.set_xlabel("receptive field")
    figure.suptitle(SECTION.title)
    plots.legend_below(figure, figure.axes[0])
    return figure


STUDY = Study(
    SECTION,
    rows,
    draw,
    minutes=8,
    defaults={"iterations": 500, "batch_size": 4},
    uses=(
        "dataset", "test_dataset", "views", "image_height", "iterations", "learning_rate",
        "batch_size", "augmentation", "seed",
    ),
)  # fmt: skip
