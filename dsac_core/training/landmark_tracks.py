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
from dsac_core.training.in_threads import in_threads
from dsac_core.training.keypoint_view import poses_of
from dsac_core.training.star_competition import SightedPixels, Stars, compete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dsac_core.progress import Progress
    from dsac_core.solvers.triangulation import Views
    from dsac_core.training.keypoint_view import KeypointView
    from dsac_core.training.landmark_config import LandmarkConfig

_MOST_SIGHTINGS = 9  # of a point, while it is triangulated
_ANGLE_COUNTS = 0.01 / math.radians(1.0)  # a hundred degrees weigh as one more view

_CPU = torch.device("cpu")  # where keypoints are
_Matches = list[tuple[int, torch.Tensor, torch.Tensor]]  # other view, own rows, its rows


class Tracks(NamedTuple):
    """Points [T x 3] and where they are sighted: lists of O sightings."""

    points_T3: torch.Tensor  # metres, float64
    track_O: torch.Tensor
    view_O: torch.Tensor
    keypoint_O: torch.Tensor  # row in its view
    pairs: int  # of images that were matched


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

    def stars_of(number: int) -> Stars:
        return _stars_of(number, views, poses, matches[number], first, config)

    stars = list(in_threads(stars_of, range(len(views)), _CPU))
    seen = SightedPixels(
        torch.cat([view.pixels_K2 for view in views]).double(),
        torch.repeat_interleave(torch.arange(len(views)), counts),
    )
    together = Stars(*(torch.cat(part) for part in zip(*stars, strict=True)))
    points, owner = compete(together, seen, poses, config.max_error)
    sighted = torch.nonzero(owner >= 0)[:, 0]
    view = seen.view_Q[sighted]
    return Tracks(points, owner[sighted], view, sighted - first[view], pairs)


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

    def wanted() -> Iterator[tuple[int, int]]:
        for number, pair in enumerate(pairs):
            if enough(number):
                return
            yield pair

    def match(pair: tuple[int, int]) -> tuple[int, int, torch.Tensor, torch.Tensor]:
        one, other = pair
        limits = {"max_error": config.max_error, "min_similarity": config.min_similarity}
        return one, other, *epipolar_matches(views[one], views[other], **limits)

    matches: list[_Matches] = [[] for _ in views]
    done = 0
    for one, other, rows, columns in in_threads(match, wanted(), _CPU):
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
    config: LandmarkConfig,
) -> Stars:
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
    # Most keypoints have a few matches: what is there moves to the left.
    filled = (row >= 0)[possible].sort(dim=1, descending=True, stable=True).indices
    filled = filled[:, :_MOST_SIGHTINGS]
    view, row, depth = (each[possible].gather(1, filled) for each in (view, row, depth))
    pixels = pixels[possible].gather(1, filled[..., None].expand(-1, -1, 2))
    seen = Sightings(view, pixels, depth if bool((depth > 0).any()) else None)
    found = triangulate(poses, seen, max_error=config.max_error)
    inliers = found.inliers_TV
    agreeing = inliers.sum(dim=1)
    wide = (agreeing >= 2) & (found.angle_T > math.radians(config.min_angle))
    good = inliers[:, 0] & (wide | (depth[:, 0] > 0)) & found.points_T3.isfinite().all(dim=1)
    everywhere = torch.where(inliers, row + first_M[view.clamp_min(0)], -1)
    keypoints = torch.full((int(good.sum()), _MOST_SIGHTINGS), -1)
    keypoints[:, : everywhere.shape[1]] = everywhere[good]
    rank = agreeing + _ANGLE_COUNTS * found.angle_T
    return Stars(found.points_T3[good], rank[good], keypoints)
