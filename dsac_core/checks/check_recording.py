# SPDX-License-Identifier: Apache-2.0
"""Everything that is checked of a recording, in order: what comes first explains what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.checks import plain
from dsac_core.checks.depth_faults import check_depth
from dsac_core.checks.epipolar import Evidence
from dsac_core.checks.explain import MIN_PAIRS, explain, explain_by_two
from dsac_core.checks.findings import CheckReport
from dsac_core.checks.matched_pairs import match_pairs
from dsac_core.checks.measured_depth import triangulated_depths
from dsac_core.checks.sampled_views import sample_views
from dsac_core.checks.turns import turn_errors

if TYPE_CHECKING:
    from dsac_core.checks.epipolar import Belief
    from dsac_core.data.frame import Dataset
    from dsac_core.progress import Progress

_MOST_FAULTS = 3  # of poses and cameras, one upon the other
_MISFIT = 10.0  # px of an image 640 px wide: what RANSAC takes for an inlier (DSAC*, section 4)
_MUCH_LESS = 0.5  # of what one change leaves, if two are to be the explanation
_FARTHEST = 300.0  # metres to the typical keypoint that moves: no robot maps such a place ...
_NEAREST = 0.02  # ... nor one so near
_WIDTHS = "px in images 640 px wide"


def check_recording(
    dataset: Dataset, split: str, progress: Progress, *, with_depth: bool = True
) -> CheckReport:
    """Find what is wrong with images, poses, cameras and depth.

    Args:
        dataset: The recording.
        split: Its part to check.
        progress: Is told how far it is.
        with_depth: Check depth, where the recording has it.

    Raises:
        DatasetError: An image is unreadable.
    """
    report = CheckReport()
    sampled = sample_views(dataset, split, progress)
    report.numbers |= {"images": sampled.count, "images_read": len(sampled.index_N)}
    rigid = plain.check_poses(sampled, report)
    matches = match_pairs(sampled.views, progress)
    report.numbers |= {"pairs": len(matches.view_P2), "matches": len(matches.pair_M)}
    plain.check_number(sampled, matches, report)
    if not rigid:
        report.not_checked.append(
            "anything of poses and images together, as the poses are not rigid"
        )
        return report
    if len(matches.view_P2) < MIN_PAIRS:
        report.not_checked.append(
            f"poses, intrinsics and depth: only {len(matches.view_P2)} pairs of images overlap and"
            f" differ enough, of {len(sampled.views)} images; {MIN_PAIRS} are needed"
        )
        return report
    if not plain.check_frozen(sampled, matches, report):
        return report
    evidence = Evidence(sampled, matches)
    belief = _check_poses_and_cameras(evidence, report, progress)
    comparison = None
    if with_depth and belief is not None:
        comparison = check_depth(dataset, split, evidence, belief, report, progress)
    if belief is not None and not comparison:
        _check_size(evidence, belief, report)
    return report


def _check_poses_and_cameras(
    evidence: Evidence, report: CheckReport, progress: Progress
) -> Belief | None:
    """What poses and cameras were meant to be; None where that is not known."""
    given = belief = evidence.given()
    for number in range(_MOST_FAULTS):
        progress("comparing", number / _MOST_FAULTS)
        found = explain(evidence, belief)
        left = _misfit(evidence, belief) if found is None else found.after_px
        if left > _MISFIT:
            by_two = explain_by_two(evidence, belief)
            if by_two is not None and by_two.after_px < _MUCH_LESS * left:
                found = by_two
        if found is None:
            break
        mended = found.hypothesis.belief
        turned = (
            f"; rotations of pairs by the matches alone differ from the poses by"
            f" {turn_errors(evidence, belief):.1f} deg, then by {turn_errors(evidence, mended):.1f}"
        )
        report.add(
            found.hypothesis.fault,
            f"matches are off their epipolar lines by {found.before_px:.1f} px as given, and by"
            f" {found.after_px:.1f} px when that is mended ({_WIDTHS}; better in"
            f" {found.gain.better:.0%} of {found.gain.pairs} pairs){turned}",
            found.hypothesis.remedy,
        )
        belief = mended
    progress("comparing", 1.0)
    typical = _misfit(evidence, belief)
    if belief is given:
        report.numbers |= {"epipolar_error_px": typical}
        report.checked.append(
            f"poses and intrinsics: {len(evidence.matches.pair_M)} matches in"
            f" {len(evidence.matches.view_P2)} pairs of images, typically {typical:.1f} px from"
            f" where they can be ({_WIDTHS}); rotations differ from those of the matches alone by"
            f" {turn_errors(evidence, belief):.1f} deg"
        )
    if typical > _MISFIT:
        report.add(
            "poses and images do not fit",
            f"matches are off their epipolar lines by {typical:.1f} px ({_WIDTHS}) in the typical"
            " pair, and no single change that was tried mends it",
            "see whether each image has its own pose, of the same camera, and whether poses are"
            " accurate to a degree",
        )
        return None
    return belief


def _misfit(evidence: Evidence, belief: Belief) -> float:
    """The error of the typical pair, px."""
    errors = evidence.errors(belief)
    return float(np.nanmedian(errors)) if np.isfinite(errors).any() else float("inf")


def _check_size(evidence: Evidence, belief: Belief, report: CheckReport) -> None:
    """Without depth: whether the place has a plausible size."""
    depth, _ = triangulated_depths(evidence, belief)
    known = depth[np.isfinite(depth)]
    if len(known) < MIN_PAIRS:
        report.not_checked.append("the unit of the poses: the camera only turns")
        return
    typical = float(np.median(known))
    report.numbers["triangulated_depth"] = typical
    steps = np.linalg.norm(np.diff(belief.world_T_frame_N44[:, :3, 3], axis=0), axis=1)
    step = float(np.nanmedian(np.where(np.diff(evidence.sampled.run_N) == 0, steps, np.nan)))
    if _NEAREST < typical < _FARTHEST:
        report.checked.append(f"the unit of the poses: what is seen is {typical:.3g} m away")
        return
    what, do = (
        ("millimetres", "divide the positions by 1000")
        if typical > _FARTHEST
        else ("another unit than metres", "give positions in metres")
    )
    report.add(
        f"poses in {what}",
        f"what is seen would be {typical:.3g} m away, and the camera moves {step:.3g} m from image"
        " to image",
        do,
    )
