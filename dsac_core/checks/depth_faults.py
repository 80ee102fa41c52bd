# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with measured depth: where it lies, what it measures, its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.checks.depth_views import read_depth
from dsac_core.checks.measured_depth import compare_depth
from dsac_core.checks.registration import align_edges
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsac_core.checks.depth_views import DepthView
    from dsac_core.checks.epipolar import Belief, Evidence
    from dsac_core.checks.findings import CheckReport
    from dsac_core.checks.measured_depth import DepthComparison
    from dsac_core.data.frame import Dataset
    from dsac_core.progress import Progress

_MOST_DISPLACED = 0.02  # of the width, between depth and image: 13 px of 640, a cell and a half
_SAME_UNIT = 1.1  # factor up to which measured and triangulated depth are of one unit
_SMALL_FACTOR = 10.0  # from which on poses may as well be in another unit
_USUAL = 3.0  # metres to what a camera sees: which of two that contradict each other is nearer?


def check_depth(
    dataset: Dataset,
    split: str,
    evidence: Evidence,
    belief: Belief,
    report: CheckReport,
    progress: Progress,
) -> bool:
    """Compare depth with images and poses; whether the unit of the poses was checked by it."""
    views = sorted({int(view) for view in evidence.matches.view_P2[:, 0]})
    try:
        depth_views = read_depth(dataset, split, evidence.sampled, views, progress)
    except DatasetError as error:
        report.not_checked.append(f"depth: {error}")
        return False
    if not depth_views:
        report.not_checked.append("depth: there is none")
        return False
    _check_registration(depth_views, belief, report)
    comparison = compare_depth(evidence, belief, depth_views)
    if not comparison.is_enough:
        report.not_checked.append(
            f"the unit of depth: only {len(comparison.ratios_R)} readings where matches have"
            " moved enough to be triangulated"
        )
        return False
    _check_meaning(comparison, report)
    _check_unit(comparison, report)
    return True


def _check_registration(
    depth_views: Sequence[DepthView], belief: Belief, report: CheckReport
) -> None:
    found = align_edges(depth_views)
    if not found.is_known:
        report.not_checked.append(
            f"the registration of depth: {found.views} images have edges enough"
        )
        return
    best, width = found.best, depth_views[0].depth_HW.shape[1]
    displaced = best.displacement()
    report.numbers["depth_displaced_px"] = width * displaced
    if not (found.is_clear and displaced > _MOST_DISPLACED):
        report.checked.append(
            f"the registration of depth: its edges lie best on those of {found.views} images when"
            f" moved by {width * displaced:.0f} px of {width}"
        )
        return
    focal = belief.cameras[0].fx * best.scale
    report.add(
        "depth that is not registered to the images",
        f"its edges lie on those of the images {found.found / max(found.given, 0.01):.1f} times as"
        f" well when scaled by {1 / best.scale:.2f} and moved by"
        f" {-width * best.right / best.scale:.0f}, {-width * best.down / best.scale:.0f} px of"
        f" {width} (in {found.better:.0%} of {found.views} images)",
        "register depth to colour (depth_image_proc's register node, or the driver's align"
        f" option), or give the depth camera's own intrinsics (fx is about {focal:.0f} px)",
    )


def _check_meaning(comparison: DepthComparison, report: CheckReport) -> None:
    along = comparison.along_rays()
    if along.is_clear:
        report.add(
            "depth along the rays",
            f"taken as distance from the camera it differs from triangulation by {along.ratio:.0%}"
            f" of what it does now (less in {along.better:.0%} of {along.pairs} pairs)",
            "divide each reading by the length of its pixel's ray, so that it is depth along the"
            " optical axis",
        )


def _check_unit(comparison: DepthComparison, report: CheckReport) -> None:
    ratio, readings = comparison.ratio, len(comparison.ratios_R)
    report.numbers |= {"depth_ratio": ratio, "depth_readings": readings}
    measured = float(np.median(comparison.measured_R))
    triangulated = float(np.median(comparison.triangulated_R))
    if 1 / _SAME_UNIT < ratio < _SAME_UNIT:
        report.checked.append(
            f"depth: {readings} readings are {ratio:.3f} times what triangulation has;"
            f" {comparison.within:.0%} of them within 10 % of that"
        )
        return
    evidence = (
        f"measured depth is {ratio:.4g} times what triangulation from the poses has, at {readings}"
        f" matches: typically {measured:.3g} m against {triangulated:.3g} m"
    )
    far_ratio = max(ratio, 1 / ratio) >= _SMALL_FACTOR
    if far_ratio and abs(np.log(triangulated / _USUAL)) > abs(np.log(measured / _USUAL)):
        factor = _rounded(ratio)
        unit = {0.001: "millimetres", 0.01: "centimetres"}.get(factor, "another unit than metres")
        report.add(f"poses in {unit}", evidence, f"multiply the positions by {factor:.4g}")
        return
    report.add(
        "wrong depth unit",
        evidence,
        f"multiply depth by {_rounded(1 / ratio):.4g} (see what a value of one means), or, where"
        f" depth is known to be right, the positions by {_rounded(ratio):.4g}",
    )


def _rounded(factor: float) -> float:
    """A usual ratio of units where the factor is near one."""
    for usual in (1000.0, 100.0, 10.0, 5.0, 4.0, 2.0, 0.5, 0.25, 0.2, 0.1, 0.01, 0.001):
        if abs(np.log(factor / usual)) < np.log(_SAME_UNIT):
            return usual
    return float(f"{factor:.3g}")
