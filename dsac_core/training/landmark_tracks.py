# SPDX-License-Identifier: Apache-2.0
"""Scene points from the keypoints of a recording with known poses.

Each keypoint is triangulated with its matches in neighbouring images: a star, whose centre vouches
for all of it, where a chain of matches would drift from one thing to the next. Stars that share
keypoints compete, and those of most agreeing views win.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from dsac_core.geometry.neighbours import choose_neighbours
from dsac_core.progress import silent
from dsac_core.solvers.triangulation import Sightings, triangulate
from dsac_core.training.epipolar_matches import epipolar_matches
from dsac_core.training.keypoint_view import poses_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dsac_core.progress import Progress
    from dsac_core.solvers.triangulation import Views
    from dsac_core.training.keypoint_view import KeypointView
    from dsac_core.training.landmark_config import LandmarkConfig

_ROUNDS = 4  # of the competition
_ANGLE_COUNTS = 0.01 / math.radians(1.0)  # a hundred degrees weigh as one more view

_Matches = list[tuple[int, torch.Tensor, torch.Tensor]]  # other view, own rows, its rows


class Tracks(NamedTuple):
    """Points [T x 3] and where they are sighted: lists of O sightings."""

    points_T3: torch.Tensor  # metres, float64
    track_O: torch.Tensor
    view_O: torch.Tensor
    keypoint_O: torch.Tensor  # row in its view
    pairs: int  # of images that were matched


class _Stars(NamedTuple):
    points_S3: torch.Tensor
    rank_S: torch.Tensor
    keypoints_SV: torch.Tensor  # numbered over all views, -1 for none


def find_tracks(
    views: Sequence[KeypointView],
    baseline: float,
    config: LandmarkConfig,
    *,
    enough: Callable[[int], bool] = lambda _: False,
    progress: Progress = silent,
) -> Tracks:
    """Match, triangulate, and let overlapping points compete.

    Args:
        views: Of the whole recording.
        baseline: Metres, that is wanted between images that are matched.
        config: The settings.
        enough: Asked before each pair of images, with the number of those done; once true, no more
            are matched.
        progress: Is told how far it is.
    """
    poses = poses_of(views)
    matches, pairs = _match_all(views, poses, baseline, config, enough, progress)
    counts = torch.tensor([len(view.depth_K) for view in views])
    first = counts.cumsum(0) - counts
    width = 1 + max((len(some) for some in matches), default=0)
    stars = [
        _stars_of(number, views, poses, matches[number], first, width, config)
        for number in range(len(views))
    ]
    points, keypoints = _compete(
        _Stars(*(torch.cat(part) for part in zip(*stars, strict=True))), int(counts.sum())
    )
    track, place = torch.nonzero(keypoints >= 0, as_tuple=True)
    sighted = keypoints[track, place]
    view = torch.repeat_interleave(torch.arange(len(views)), counts)[sighted]
    return Tracks(points, track, view, sighted - first[view], pairs)


def _match_all(
    views: Sequence[KeypointView],
    poses: Views,
    baseline: float,
    config: LandmarkConfig,
    enough: Callable[[int], bool],
    progress: Progress,
) -> tuple[list[_Matches], int]:
    """Matches of each view, and of how many pairs.

    Best neighbours come first, so that every view has some when time is up.
    """
    axes = poses.rotation_M33[:, 2]
    neighbours = [
        choose_neighbours(
            poses.centres_M3, axes, number, baseline=baseline, count=config.neighbours
        )
        for number in range(len(views))
    ]
    pairs = dict.fromkeys(
        (min(number, others[rank]), max(number, others[rank]))
        for rank in range(config.neighbours)
        for number, others in enumerate(neighbours)
        if rank < len(others)
    )
    matches: list[_Matches] = [[] for _ in views]
    done = 0
    for one, other in pairs:
        if enough(done):
            break
        rows, columns = epipolar_matches(
            views[one],
            views[other],
            max_error=config.max_error,
            min_similarity=config.min_similarity,
        )
        matches[one].append((other, rows, columns))
        matches[other].append((one, columns, rows))
        done += 1
        if done % 50 == 0 or done == len(pairs):
            progress("matching keypoints", done / len(pairs), f"pair {done}/{len(pairs)}")
    return matches, done


def _stars_of(
    number: int,
    views: Sequence[KeypointView],
    poses: Views,
    matches: _Matches,
    first_M: torch.Tensor,
    width: int,
    config: LandmarkConfig,
) -> _Stars:
    """The points that the keypoints of one view are, with what matches them."""
    own = views[number]
    count = len(own.depth_K)
    others = torch.tensor([other for other, _, _ in matches], dtype=torch.long)
    view = torch.cat([torch.tensor([number]), others]).expand(count, -1)
    row = torch.full((count, 1 + len(matches)), -1)
    pixels = torch.zeros(*row.shape, 2, dtype=torch.float64)
    depth = torch.zeros(row.shape, dtype=torch.float64)
    own_rows = torch.arange(count)
    for place, (other, mine, its) in enumerate([(number, own_rows, own_rows), *matches]):
        row[mine, place] = its
        pixels[mine, place] = views[other].pixels_K2[its].double()
        depth[mine, place] = views[other].depth_K[its].double()
    view = torch.where(row >= 0, view, -1)
    possible = ((row >= 0).sum(dim=1) >= 2) | (own.depth_K > 0)
    view, row, pixels, depth = view[possible], row[possible], pixels[possible], depth[possible]
    found = triangulate(poses, Sightings(view, pixels, depth), max_error=config.max_error)
    inliers = found.inliers_TV
    agreeing = inliers.sum(dim=1)
    wide = (agreeing >= 2) & (found.angle_T > math.radians(config.min_angle))
    good = inliers[:, 0] & (wide | (depth[:, 0] > 0)) & found.points_T3.isfinite().all(dim=1)
    everywhere = torch.where(inliers, row + first_M[view.clamp_min(0)], -1)
    keypoints = torch.full((int(good.sum()), width), -1)
    keypoints[:, : everywhere.shape[1]] = everywhere[good]
    rank = agreeing + _ANGLE_COUNTS * found.angle_T
    return _Stars(found.points_T3[good], rank[good], keypoints)


def _compete(stars: _Stars, keypoints: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The points that win, and their keypoints: of each keypoint one at most has it."""
    given = stars.keypoints_SV
    free = torch.ones(keypoints, dtype=torch.bool)
    least = 2 - (given[:, 1:] < 0).all(dim=1).long()  # one is enough for a star with depth alone
    open_S = torch.ones(len(given), dtype=torch.bool)
    # No two are equal, so that of two one wins.
    tie = 1e-9 * torch.arange(len(given), dtype=torch.float64)
    won, taken = [], []
    for _ in range(_ROUNDS):
        has = (given >= 0) & free[given] & open_S[:, None]
        count = has.sum(dim=1)
        able = open_S & (count >= least)
        rank = stars.rank_S - (given >= 0).sum(dim=1) + count + tie
        has &= able[:, None]
        best = torch.full((keypoints,), -torch.inf, dtype=torch.float64)
        best.scatter_reduce_(0, given[has], rank[:, None].expand_as(given)[has], "amax")
        wins = able & ((best[given.clamp_min(0)] <= rank[:, None]) | ~has).all(dim=1)
        if not wins.any():
            break
        won.append(wins)
        taken.append(torch.where(has[wins], given[wins], -1))
        free[given[wins][has[wins]]] = False
        open_S &= ~wins
    if not won:
        return stars.points_S3[:0], given[:0]
    return torch.cat([stars.points_S3[wins] for wins in won]), torch.cat(taken)
