# SPDX-License-Identifier: Apache-2.0
"""Checks that need no geometry of two views: poses that are none, images that show nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.geometry.pose import is_rigid

if TYPE_CHECKING:
    from dsac_core.checks.findings import CheckReport
    from dsac_core.checks.matched_pairs import Matches
    from dsac_core.checks.sampled_views import SampledViews

LEAST_VIEWS = 20  # images, to map the smallest place from
_LEAST_KEYPOINTS = 50  # in the typical image, where up to 1000 are looked for
_LEAST_OVERLAPPING = 0.5  # share of the images that must show something of another one
_MOST_FROZEN = 0.2  # share of the pairs in which the image moves and the pose does not


def check_poses(sampled: SampledViews, report: CheckReport) -> bool:
    """Whether all poses are rigid; the report says which one is not."""
    wrong = [row for row, pose in enumerate(sampled.world_T_frame_N44) if not is_rigid(pose, 0.01)]
    if not wrong:
        return True
    pose = sampled.world_T_frame_N44[wrong[0]]
    finite = bool(np.isfinite(pose).all())
    size = abs(float(np.linalg.det(pose[:3, :3]))) ** (1 / 3) if finite else float("nan")
    what = f"its rotation scales by {size:.3g}" if finite else "it has no finite numbers"
    report.add(
        "poses that are not rigid",
        f"{len(wrong)} of {len(sampled.world_T_frame_N44)} poses; the first is that of image"
        f" {int(sampled.index_N[wrong[0]])}: {what}",
        "give 4x4 matrices of a rotation and a translation; take a scale out of the rotation, and"
        " leave out images without a pose",
    )
    return False


def check_number(sampled: SampledViews, matches: Matches, report: CheckReport) -> None:
    """Whether there are images enough, and whether they overlap."""
    views = len(sampled.views)
    keypoints = float(np.median([len(view.pixels_K2) for view in sampled.views] or [0]))
    report.numbers["keypoints"] = keypoints
    if sampled.count < LEAST_VIEWS:
        report.add(
            "too few views",
            f"{sampled.count} images; from fewer than {LEAST_VIEWS} no place can be mapped",
            "record more images: walk slowly, and show everything from several sides",
        )
    elif keypoints < _LEAST_KEYPOINTS:
        report.add(
            "images without texture",
            f"the typical image has {keypoints:.0f} keypoints",
            "record again: the images are dark, blurred or of bare walls",
        )
    elif matches.overlapping < _LEAST_OVERLAPPING * views:
        report.add(
            "too few views",
            f"only {matches.overlapping} of {views} images show something that another one shows",
            "record more images: walk slowly, so that neighbouring images overlap by half",
        )


def check_frozen(sampled: SampledViews, matches: Matches, report: CheckReport) -> bool:
    """Whether poses change where images do; the report says where they do not."""
    rows = np.array([view.row for view in sampled.views])[matches.view_P2]
    first, second = sampled.world_T_frame_N44[rows].transpose(1, 0, 2, 3)
    same = np.abs(first - second).max(axis=(1, 2)) < 1e-9
    share = float(same.mean())
    if share <= _MOST_FROZEN:
        return True
    report.add(
        "poses that do not change",
        f"in {same.sum()} of {len(same)} pairs of images that moved by"
        f" {100 * float(np.median(matches.moved_P)):.0f} % of their width both poses are the same",
        "give each image its own pose: see whether odometry or tracking had stopped",
    )
    return False
