# SPDX-License-Identifier: Apache-2.0
"""The replay from above: where the robot went, and where the relocalizer said it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dsac_core.geometry.trajectory import Trajectory
    from dsac_ros.replay_records import Collection
    from dsac_ros.replay_report import Comparison

    FloatArray = NDArray[np.float64]

INK, GREY, MISSED = "#22262b", "#9aa4ae", "#c0392b"
SCALE_CM = 10.0  # the error at which the colours end


def draw(
    path: Path, comparison: Comparison, received: Collection, truth: Trajectory, title: str
) -> None:
    """Write a PNG: the trajectories from above, and the error over time below."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    style: dict[Any, Any] = {
        "font.size": 10,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with plt.rc_context(style):
        figure, (above, below) = plt.subplots(
            2, 1, figsize=(8.0, 8.4), height_ratios=(4.2, 1.0), layout="constrained", dpi=130
        )
        points = _draw_above(above, comparison, received, truth)
        _draw_errors(below, comparison)
        if points is not None:
            bar = figure.colorbar(points, ax=above, fraction=0.035, pad=0.02, extend="max")
            bar.set_label("position error of the estimate (cm)")
            bar.outline.set_visible(False)
        above.set_title(title, loc="left", color=INK, fontsize=11)
        figure.savefig(path)
        plt.close(figure)


def _draw_above(
    axes: Any, comparison: Comparison, received: Collection, truth: Trajectory
) -> Any | None:
    stamps = [frame.stamp for frame in comparison.frames]
    if stamps:
        inside = [min(stamps) <= stamp <= max(stamps) for stamp in truth.stamps]
        walked = truth.positions_N3[np.array(inside, dtype=bool)]
        axes.plot(walked[:, 0], walked[:, 1], color=INK, lw=1.0, label="true path", zorder=2)
        axes.plot(*walked[0, :2], "o", ms=9, mfc="white", mec=INK, label="start", zorder=5)
        axes.plot(*walked[-1, :2], "s", ms=8, mfc="white", mec=INK, label="end", zorder=5)
    missed = [
        place[:2, 3]
        for frame in comparison.frames
        if np.isnan(frame.translation_error) and (place := truth.at(frame.stamp)) is not None
    ]
    if missed:
        places = np.array(missed)
        axes.plot(
            places[:, 0], places[:, 1], "x", color=MISSED, ms=5, label="no pose given", zorder=4
        )
    points = None
    estimates = {pose.stamp: pose.map_T_body for pose in received.poses}
    found = [frame for frame in comparison.localized if frame.stamp in estimates]
    if found:
        places = np.array([estimates[frame.stamp][:2, 3] for frame in found])
        points = axes.scatter(
            places[:, 0],
            places[:, 1],
            c=[100 * frame.translation_error for frame in found],
            cmap=_dark_to_orange(),
            vmin=0.0,
            vmax=SCALE_CM,
            s=16,
            linewidths=0,
            label="estimates",
            zorder=3,
        )
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.grid(color="#eceff1", lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("x (m)")
    axes.set_ylabel("y (m)")
    axes.legend(loc="upper right", framealpha=0.9, edgecolor="none", fontsize=9)
    return points


def _dark_to_orange() -> Any:
    """A colour map that stays visible on white."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    return ListedColormap(mpl.colormaps["plasma"](np.linspace(0.0, 0.82, 256)))


def _draw_errors(axes: Any, comparison: Comparison) -> None:
    if not comparison.frames:
        return
    first = comparison.frames[0].stamp
    seconds = np.array([(frame.stamp - first) / 1e9 for frame in comparison.frames])
    errors = np.array([100 * frame.translation_error for frame in comparison.frames])
    axes.axhline(SCALE_CM, color=GREY, lw=0.8, ls="--")
    axes.plot(seconds, errors, ".", ms=3, color="#4b2991")
    missed = seconds[np.isnan(errors)]
    axes.plot(missed, np.full(len(missed), 0.12), "|", color=MISSED, ms=7)
    axes.set_yscale("log")
    axes.set_ylim(0.1, max(100.0, float(np.nanmax(errors, initial=0.0)) * 1.3))
    axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.minorticks_off()
    axes.set_xlabel("time (s)")
    axes.set_ylabel("error (cm)")
    axes.grid(axis="y", color="#eceff1", lw=0.8)
