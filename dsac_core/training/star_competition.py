# SPDX-License-Identifier: Apache-2.0
"""Which of many overlapping candidates become points, and which keypoints show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from dsac_core.solvers.triangulation import Views

_ROUNDS = 4


class Stars(NamedTuple):
    """Candidates: points, each with the keypoints that agree with it; the first is its centre."""

    points_S3: torch.Tensor  # metres, float64
    rank_S: torch.Tensor  # by which they compete
    keypoints_SV: torch.Tensor  # numbered over all views, -1 for none


class SightedPixels(NamedTuple):
    """Keypoints of all views, in one list."""

    pixels_Q2: torch.Tensor  # px from the principal point, float64
    view_Q: torch.Tensor


def compete(
    stars: Stars, seen: SightedPixels, poses: Views, max_error: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points [T x 3] that win, and for each keypoint [Q] the point that it shows, -1 for none.

    In each round a star wins that outranks all others with which it shares keypoints. One that
    shares a keypoint with a winner is mostly the same point seen by more views: what is left of it
    joins the winner where it agrees with it, within ``max_error`` px.
    """
    given = stars.keypoints_SV
    owner_Q = torch.full((len(seen.view_Q),), -1)
    # A star of depth alone has one keypoint.
    least_S = 2 - (given[:, 1:] < 0).all(dim=1).long()
    lost_S = (given >= 0).sum(dim=1)
    # No two are equal, so that of two one wins.
    tie_S = 1e-9 * torch.arange(len(given), dtype=torch.float64)
    points_T3 = stars.points_S3[:0]
    for _ in range(_ROUNDS):
        has = (given >= 0) & (owner_Q[given] < 0)
        count_S = has.sum(dim=1)
        has &= (count_S >= least_S)[:, None]
        rank_S = stars.rank_S - lost_S + count_S + tie_S
        best_Q = torch.full(owner_Q.shape, -torch.inf, dtype=torch.float64)
        best_Q.scatter_reduce_(0, given[has], rank_S[:, None].expand_as(given)[has], "amax")
        outranked = (best_Q[given.clamp_min(0)] > rank_S[:, None]) & has
        wins_S = has.any(dim=1) & ~outranked.any(dim=1)
        if not bool(wins_S.any()):
            break
        number = len(points_T3) + torch.arange(int(wins_S.sum()))
        points_T3 = torch.cat([points_T3, stars.points_S3[wins_S]])
        won = has[wins_S]
        owner_Q[given[wins_S][won]] = number[:, None].expand_as(won)[won]
        _join_winners(given, owner_Q, points_T3, seen, poses, max_error)
    return points_T3, owner_Q


def _join_winners(
    given_SV: torch.Tensor,
    owner_Q: torch.Tensor,
    points_T3: torch.Tensor,
    seen: SightedPixels,
    poses: Views,
    max_error: float,
) -> None:
    """Give free keypoints of stars that touch a point to that point, where they agree with it."""
    owner_SV = torch.where(given_SV >= 0, owner_Q[given_SV], -1)
    first = (owner_SV >= 0).to(torch.uint8).argmax(dim=1, keepdim=True)
    point_SV = owner_SV.gather(1, first).expand_as(given_SV)
    star, place = torch.nonzero((given_SV >= 0) & (owner_SV < 0) & (point_SV >= 0), as_tuple=True)
    keypoint, point = given_SV[star, place], point_SV[star, place]
    view = seen.view_Q[keypoint]
    in_camera = (poses.rotation_M33[view] @ points_T3[point][..., None])[..., 0]
    in_camera = in_camera + poses.translation_M3[view]
    away = in_camera[:, 2:].clamp_min(torch.finfo(in_camera.dtype).tiny)
    projected = in_camera[:, :2] / away * poses.focal_M2[view]
    agrees = (projected - seen.pixels_Q2[keypoint]).norm(dim=1) < max_error
    agrees &= in_camera[:, 2] > 0
    # Of several points the first, whatever the order.
    nearest = torch.full_like(owner_Q, len(points_T3))
    nearest.scatter_reduce_(0, keypoint[agrees], point[agrees], "amin")
    joined = nearest < len(points_T3)
    owner_Q[joined] = nearest[joined]
