# SPDX-License-Identifier: Apache-2.0
"""The plots of the studies: one look for all, colours that colour-blind people tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.studies.judge import RECALL_TITLES, Row

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
HATCHES = ("", "//", "..", "xx")


def new_figure(
    columns: int = 1, rows: int = 1, *, width: float = 8.0, height: float = 4.4
) -> Figure:
    """A figure without pyplot's global state, with axes row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(rows, columns, squeeze=False)
    return figure


def recall_bars(
    axes: Axes,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    label: str = "share of test views (%)",
) -> None:
    """Groups of bars with their values above; the y axis is 0 to 100 %."""
    grouped_bars(axes, groups, series)
    axes.set_ylim(0.0, 109.0)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel(label)


def grouped_bars(
    axes: Axes, groups: Sequence[str], series: Mapping[str, Sequence[float]], digits: int = 0
) -> None:
    """Groups of bars with their values above, and a legend where there is more than one series."""
    places = np.arange(len(groups))
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        at = places + (number - (len(series) - 1) / 2) * width
        colour = COLOURS[number % len(COLOURS)]
        bars = axes.bar(at, values, 0.92 * width, label=name, color=colour)
        axes.bar_label(bars, fmt=f"%.{digits}f", fontsize=8, padding=1)
    axes.set_xticks(places, groups)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def recalls(row: Row, keys: Sequence[str]) -> list[float]:
    """The recalls of a row, percent."""
    return [float(str(row[key])) for key in keys]


def recall_titles(keys: Sequence[str]) -> list[str]:
    """As groups of bars are labelled."""
    return [f"within {RECALL_TITLES[key]}" for key in keys]


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """One legend under the whole figure, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(columns, len(labels)), frameon=False
    )
