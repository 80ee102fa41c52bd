# SPDX-License-Identifier: Apache-2.0
"""How many right scene coordinates a pose needs, with RANSAC and without."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from bench.frames import INPUTS, RGB, RGBD, Frame, make_frame
from bench.methods import CONFIGS, correspondences_of
from bench.studies import plots
from bench.studies.judge import Row, figures
from bench.studies.study import Column, Run, Section, Study
from dsac_core.evaluation.metrics import FrameResult, summarize
from dsac_core.geometry.pose import invert, pose_error
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.solvers.kabsch import solve_kabsch
from dsac_core.solvers.pnp import refine_pnp

SHARES = (0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
NOISE = 2.0  # px with RGB, cm with RGB-D
_STEPS = 100  # of least squares at most
_TITLES = {RGB: "RGB", RGBD: "RGB-D"}

SECTION = Section(
    name="inliers",
    title="Inlier ratio: with RANSAC and without",
    intro=(
        "How good is a pose when only a share of the scene coordinates is right? The supplement of"
        " DSAC (section 2, Fig. 2) reports that 5 to 85 % of the predictions on 7-Scenes are"
        " inliers (within 10 cm), and plots the accuracy of DSAC against that share beside a naive"
        " fit to all predictions. Here the correspondences are synthetic: 4800 cells of a 640x480"
        " image, depth 1 to 4 m, inliers with a noise of 2 px (RGB) or 2 cm (RGB-D), outliers"
        " anywhere in the box of the scene. *RANSAC* is `estimate_poses`. *All* is least squares"
        " over all correspondences; with RGB it starts at the true pose, the kindest start there"
        " is, with RGB-D it is the closed form of Kabsch."
    ),
    notes=(
        "Outliers here are independent of each other and uniform. A network's are not: they are"
        " smooth and can agree on a wrong pose, which is harder for RANSAC than this. No network"
        " takes part, so nothing is said about how many inliers one has."
    ),
    columns=(
        Column("input", "input"),
        Column("inliers", "inliers (%)", 0),
        Column("method", "fit"),
        Column("frames", "frames"),
        Column("found", "with a pose (%)", 1),
        Column("recall_5cm_5deg", "within 5 cm, 5° (%)", 1),
        Column("median_cm", "median (cm)", 2),
        Column("median_deg", "median (°)", 2),
    ),
)


def rows(run: Run) -> Iterator[Row]:
    """All inputs and shares; the two fits see the same frames."""
    for input_ in INPUTS:
        for share in SHARES:
            frames = [make_frame(input_, share, NOISE, seed) for seed in range(run.settings.frames)]
            for method, fit in FITS.items():
                results = [_judged(frame, fit(frame)) for frame in frames]
                yield {
                    "input": _TITLES[input_],
                    "inliers": 100.0 * share,
                    "method": method,
                    "found": _share_found(results),
                    **figures(summarize(results)),
                }


def fit_by_ransac(frame: Frame) -> np.ndarray | None:
    """world_T_cam [4 x 4] by the RANSAC of this software."""
    correspondences = correspondences_of(frame, torch.from_numpy(frame.points).float())
    generator = torch.Generator().manual_seed(frame.seed)
    result = estimate_poses(correspondences, CONFIGS[frame.input], generator)
    return _world_T_cam(result.cam_T_world_B34[0]) if result.found_B[0] else None


def fit_to_all(frame: Frame) -> np.ndarray | None:
    """world_T_cam [4 x 4] of least squares over all correspondences, from the truth on."""
    points = torch.from_numpy(frame.points)
    given = correspondences_of(frame, points)
    weights = points.new_ones(1, 1, len(points))
    if given.camera_points_BN3 is not None:
        return _world_T_cam(solve_kabsch(given.camera_points_BN3, points[None], weights)[0, 0])
    truth = torch.from_numpy(invert(frame.world_T_cam)[:3])[None, None]
    poses = refine_pnp(truth, points[None], given.pixels_BN2, weights, given.focal_B2, steps=_STEPS)
    return _world_T_cam(poses[0, 0])


FITS: dict[str, Callable[[Frame], np.ndarray | None]] = {
    "RANSAC": fit_by_ransac,
    "all": fit_to_all,
}


def draw(given: Sequence[Row], _: dict[str, Any]) -> Figure:
    """Success and median error over the share of inliers."""
    figure = plots.new_figure(2, width=9.5)
    success, error = figure.axes
    marks = {"RANSAC": "o", "all": "s"}
    lines = {"RGB": "-", "RGB-D": "--"}
    names = {"RANSAC": "RANSAC", "all": "least squares on all"}
    for number, method in enumerate(FITS):
        for input_ in _TITLES.values():
            chosen = [r for r in given if r["method"] == method and r["input"] == input_]
            shares = [_number(row["inliers"]) for row in chosen]
            style: dict[str, Any] = {
                "color": plots.COLOURS[number],
                "linestyle": lines[input_],
                "marker": marks[method],
                "markersize": 4.5,
                "label": f"{names[method]}, {input_}",
            }
            success.plot(shares, [_number(row["recall_5cm_5deg"]) for row in chosen], **style)
            error.plot(shares, [_number(row["median_cm"]) for row in chosen], **style)
    success.set(title="Success", ylabel="frames within 5 cm and 5° (%)", ylim=(-4, 104))
    error.set(title="Accuracy", ylabel="median position error (cm)", yscale="log")
    error.axhline(5.0, color="0.6", linewidth=1)
    error.annotate("5 cm", (2, 5.6), color="0.4", fontsize=9)
    error.yaxis.set_major_formatter("{x:g}")
    for axes in (success, error):
        axes.set(xlabel="scene coordinates that are inliers (%)", xlim=(0, 102))
        axes.grid(alpha=0.3)
    plots.legend_below(figure, success)
    return figure


def _number(value: object) -> float:
    return math.nan if value is None else float(str(value))


def _judged(frame: Frame, world_T_cam: np.ndarray | None) -> FrameResult:
    distance, angle = math.inf, math.inf
    if world_T_cam is not None and np.isfinite(world_T_cam).all():
        distance, angle = pose_error(world_T_cam, frame.world_T_cam)
    return FrameResult(str(frame.seed), True, distance, angle, 0.0)


def _share_found(results: list[FrameResult]) -> float:
    """Percent of the frames that have a pose, right or wrong."""
    found = sum(math.isfinite(each.translation_error) for each in results)
    return round(100.0 * found / len(results), 2)


def _world_T_cam(cam_T_world_34: torch.Tensor) -> np.ndarray:
    full = np.eye(4)
    full[:3] = cam_T_world_34.double().numpy()
    return invert(full)


STUDY = Study(SECTION, rows, draw, minutes=1, uses=("frames",))
