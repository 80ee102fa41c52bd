# SPDX-License-Identifier: Apache-2.0
"""DSAC against SoftAM against plain RANSAC: in training, and at test time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from bench.studies import plots
from bench.studies.judge import RECALLS, Judge, Row
from bench.studies.study import Column, Run, Section, Study, figure_columns
from dsac_core.ransac.selection import Selection
from dsac_core.training.init_loss import Setting

NONE, LONGER, SOFTAM, DSAC = "not at all", "not, but initialised longer", "SoftAM", "DSAC"
AT_TEST: tuple[Selection, ...] = ("argmax", "softam", "dsac")
_NAMES: dict[Selection, str] = {"argmax": "argmax", "softam": "SoftAM", "dsac": "DSAC (drawn)"}
SETTING: Setting = "rgb-model"

SECTION = Section(
    name="selection",
    title="Selection of a hypothesis: argmax, SoftAM, DSAC",
    intro=(
        "RANSAC takes the hypothesis of the highest score, which has no derivative. DSAC (sections"
        " 3 and 4) makes the choice differentiable in two ways: SoftAM takes the mean of all"
        " hypotheses by their probability, DSAC draws one and minimises the expected loss. The"
        " paper found end-to-end training with DSAC better than without it, and SoftAM no help,"
        " for a mean of several modes is none of them (supplement, section 2; DSAC*, section 5.5)."
        " Here one map is initialised (setting rgb-model), and trained on from it with either, for"
        " the same number of steps; each is then asked with the three ways to choose. The images"
        " of these steps are not turned and scaled; so that this does not pass for an effect of"
        " end-to-end training, one map goes on with the loss of the initialisation on the same"
        " images, for as many steps at the same rate."
    ),
    notes=(
        "The pose loss of SoftAM is that of the mean of refined hypotheses (in the paper the mean"
        " is refined). In all cases the chosen pose is refined on its inliers, which takes"
        " different choices to the same pose where they are near each other. All numbers are of"
        " one seed, and differences of a few percent are within what another seed does."
    ),
    columns=(
        Column("trained", "trained end to end with"),
        Column("selection", "selection at test time"),
        *figure_columns(RECALLS),
    ),
)


def rows(run: Run) -> Iterator[Row]:
    """Four maps, three ways to select."""
    maker, settings = run.maker(), run.settings
    judge, test = Judge(maker.device), maker.recording.main
    begun = maker.dense(settings.training(SETTING))
    maps = {NONE: begun, LONGER: maker.dense(settings.longer(SETTING), begun)}
    for name, selection in ((SOFTAM, "softam"), (DSAC, "dsac")):
        config = settings.training(SETTING, stages=("e2e",), selection=selection)
        maps[name] = maker.dense(config, begun)
    for name, trained in maps.items():
        for at_test in AT_TEST:
            shown = judge(trained.scene, test, SETTING, at_test)
            yield {"trained": name, "selection": _NAMES[at_test], **shown}


def draw(given: Sequence[Row], _: dict[str, Any]) -> Figure:
    """Left: what training makes of it. Right: what the choice at test time makes of it."""
    figure = plots.new_figure(2, width=10.5, height=4.9)
    left, right = figure.axes
    groups = plots.recall_titles(RECALLS)
    by_argmax = [row for row in given if row["selection"] == _NAMES["argmax"]]
    plots.recall_bars(
        left, groups, {str(row["trained"]): plots.recalls(row, RECALLS) for row in by_argmax}
    )
    left.set_title("Trained end to end with ...\n(argmax at test time)")
    by_dsac = [row for row in given if row["trained"] == DSAC]
    plots.recall_bars(
        right, groups, {str(row["selection"]): plots.recalls(row, RECALLS) for row in by_dsac}
    )
    right.set_title("Selection at test time\n(trained end to end with DSAC)")
    for axes in (left, right):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False)
        axes.tick_params(axis="x", labelsize=8)
    return figure


STUDY = Study(
    SECTION,
    rows,
    draw,
    minutes=8,
    defaults={"iterations": 4000, "augmentation": "full"},
    uses=(
        "dataset", "test_dataset", "views", "image_height", "network", "iterations",
        "learning_rate", "e2e_iterations", "e2e_learning_rate", "batch_size", "augmentation",
        "seed",
    ),
)  # fmt: skip
