# SPDX-License-Identifier: Apache-2.0
"""How large a map is on disk, and what that buys in the same training time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from bench.studies import plots
from bench.studies.judge import RECALLS, Judge, Row
from bench.studies.maps import MapMaker, TrainedMap
from bench.studies.study import Column, Run, Section, Study, figure_columns
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.init_loss import Setting

FAST = "fast"
_FULL_HEIGHT = 480  # px, for which the fast map's encoder was made
FAST_ON_FULL = f"fast on images of {_FULL_HEIGHT} px"
NETWORKS = ("dsacstar-tiny", "dsacstar", "dsacpp")
SETTING: Setting = "rgbd"

SECTION = Section(
    name="size",
    title="Size of the map against accuracy",
    intro=(
        "DSAC* (section 6.10, Table 4) compares the memory that a map takes with its accuracy on"
        " Cambridge Landmarks: 104 MB for DSAC++, 28 MB for DSAC* with slightly better poses, 4 MB"
        " for its tiny variant with worse ones. Here the fast map of this software (a frozen"
        " encoder and a head for the scene) stands beside these three. All learn from the same"
        " images with their depth (setting RGB-D), for the same wall time on the same device. The"
        " fast map's encoder was made for larger images than the small ones here, so it is also"
        " shown on the same views in 640x480, in the same time."
    ),
    notes=(
        "The budget is time, not steps: a large network gets few steps in it, so this says what"
        " fits into minutes on this machine, not what a network can hold after days. The fast map"
        " brings its encoder (6 MB, the same for all scenes, not counted) with what it learned"
        " elsewhere, and its time includes encoding and checking; the others start from nothing"
        " and have one learning rate."
        " The column *busy* is the share of the time in which the processor worked for this"
        " training rather than for others. One seed."
    ),
    columns=(
        Column("method", "map"),
        Column("megabytes", "size (MB)", 1),
        Column("iterations", "steps"),
        Column("seconds", "training (s)", 0),
        Column("busy", "busy", 2),
        Column("views", "test views"),
        *figure_columns(RECALLS[:2]),
    ),
)


def rows(run: Run) -> Iterator[Row]:
    """Each map on each set of test views."""
    maker, settings = run.maker(), run.settings
    fast = FastMapConfig(budget_seconds=settings.budget_seconds, use_depth=True, seed=settings.seed)
    yield from _rows(FAST, maker, maker.fast(fast))
    for network in NETWORKS:
        config = settings.training(SETTING, network=network, budget_seconds=settings.budget_seconds)
        yield from _rows(network, maker, maker.dense(config))
    if settings.dataset is None and settings.image_height != _FULL_HEIGHT:
        full = replace(run, settings=replace(settings, image_height=_FULL_HEIGHT)).maker()
        yield from _rows(FAST_ON_FULL, full, full.fast(fast))


def _rows(method: str, maker: MapMaker, trained: TrainedMap) -> Iterator[Row]:
    judge = Judge(maker.device)
    for views, frames in maker.recording.tests.items():
        yield {
            "method": method,
            "megabytes": round(trained.megabytes, 3),
            "iterations": trained.iterations,
            "seconds": trained.seconds,
            "busy": round(trained.busy, 3),
            "views": views,
            **judge(trained.scene, frames, SETTING),
        }


def draw(given: Sequence[Row], settings: dict[str, Any]) -> Figure:
    """Recall over size on a logarithmic axis, one line for each set of test views."""
    figure = plots.new_figure(1, width=8.0, height=4.8)
    (axes,) = figure.axes
    sets = list(dict.fromkeys(str(row["views"]) for row in given))
    for number, views in enumerate(sets):
        label = f"views {views} those of training" if len(sets) > 1 else "test views"
        colour = plots.COLOURS[number]
        small = [r for r in given if r["views"] == views and r["method"] != FAST_ON_FULL]
        axes.plot(*_places(small), "o:", color=colour, label=label)
        full = [r for r in given if r["views"] == views and r["method"] == FAST_ON_FULL]
        if full:
            star = f"the same views in {_FULL_HEIGHT} px, fast map"
            axes.plot(*_places(full), "*", color=colour, markersize=13, label=star)
    for row in given:
        if row["views"] == sets[0] and row["method"] != FAST_ON_FULL:
            axes.axvline(float(str(row["megabytes"])), color="0.85", linewidth=1, zorder=0)
            place = (float(str(row["megabytes"])), 104.0)
            axes.annotate(str(row["method"]), place, ha="center", fontsize=9)
    axes.set(
        xscale="log",
        xlim=(0.5, 300),
        ylim=(-4, 112),
        xlabel="size of the map on disk (MB)",
        ylabel="test views within 10 cm, 5° (%)",
        title=f"Maps trained for {settings['budget_seconds']:g} s each",
    )
    axes.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y", alpha=0.3)
    plots.legend_below(figure, axes, columns=2)
    return figure


def _places(rows_: Sequence[Row]) -> tuple[list[float], list[float]]:
    x = [float(str(row["megabytes"])) for row in rows_]
    return x, [plots.recalls(row, ["recall_10cm_5deg"])[0] for row in rows_]


STUDY = Study(
    SECTION,
    rows,
    draw,
    minutes=12,
    # So many that the clock decides; the schedule of the learning rate follows the clock, too.
    defaults={"iterations": 1_000_000},
    uses=(
        "dataset", "test_dataset", "views", "image_height", "budget_seconds", "learning_rate",
        "batch_size", "augmentation", "seed",
    ),
)  # fmt: skip
