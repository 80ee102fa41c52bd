# SPDX-License-Identifier: Apache-2.0
"""How well matches of two images agree with the poses and the cameras of the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.geometry.pose import invert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.checks.matched_pairs import Matches
    from dsac_core.checks.sampled_views import SampledViews
    from dsac_core.geometry.camera import Camera

    FloatArray = NDArray[np.float64]

_WORST = 1000.0  # px: a match that is behind a camera, or where the lens has no ray
_BEST = 0.05  # px: less is chance


@dataclass(frozen=True)
class Belief:
    """Poses and cameras, as they were given or as they may be meant."""

    world_T_frame_N44: FloatArray  # NaN where there is none
    cameras: tuple[Camera, ...]  # of each view


@dataclass(frozen=True)
class Sight:
    """What poses and cameras make of M matches; px are those of the resized images."""

    error_M: FloatArray  # px from the half of the epipolar line that is in front of both cameras
    depth_M: FloatArray  # along the axis of the first camera, in units of the poses; inf: far away
    disparity_M: FloatArray  # px from where it would be if it were far away


class Evidence:
    """Matches of a recording, against which beliefs are held."""

    def __init__(self, sampled: SampledViews, matches: Matches) -> None:
        """Nothing is computed yet."""
        self.sampled, self.matches = sampled, matches
        self._rows = np.array([view.row for view in sampled.views], dtype=np.int64)
        self._rays: tuple[tuple[Camera, ...], FloatArray] | None = None

    def given(self) -> Belief:
        """What the recording says."""
        return Belief(
            self.sampled.world_T_frame_N44, tuple(view.camera for view in self.sampled.views)
        )

    def rays(self, cameras: tuple[Camera, ...]) -> FloatArray:
        """Directions [M x 2 x 3] of the matches, z = 1, NaN where the lens has none."""
        if self._rays is None or self._rays[0] is not cameras:
            self._rays = cameras, _rays(cameras, self.matches)
        return self._rays[1]

    def relative(self, belief: Belief) -> FloatArray:
        """Poses second_T_first [P x 4 x 4] of the pairs."""
        world_T_view = belief.world_T_frame_N44[self._rows]
        first, second = self.matches.view_P2.T
        return np.asarray(invert(world_T_view[second]) @ world_T_view[first])

    def sight(self, belief: Belief) -> Sight:
        """Where the matches are, against where they can be."""
        focal_V = [
            0.5 * (camera.fx + camera.fy) / view.px
            for camera, view in zip(belief.cameras, self.sampled.views, strict=True)
        ]
        focal_M = np.array(focal_V)[self.matches.view_P2[:, 1]][self.matches.pair_M]
        relative_M44 = self.relative(belief)[self.matches.pair_M]
        return half_line_sight(self.rays(belief.cameras), relative_M44, focal_M)

    def errors(self, belief: Belief) -> FloatArray:
        """Median error [P] of each pair, px of the resized images; NaN without a pose."""
        error = np.clip(self.sight(belief).error_M, _BEST, _WORST)
        median = self.matches.medians(error)
        known = np.isfinite(self.relative(belief)).all(axis=(1, 2))
        return np.where(known, median, np.nan)


def half_line_sight(rays_M23: FloatArray, relative_M44: FloatArray, focal_M: FloatArray) -> Sight:
    """Where matches are, against where they can be.

    A point at inverse depth r of the first image is seen in the second at R x + r t, so along half
    of a line, from r = 0 on (Hartley and Zisserman, section 9; the other half is behind a camera).

    Args:
        rays_M23: Directions in both images, z = 1.
        relative_M44: second_T_first.
        focal_M: Of the second camera, px.
    """
    far = (relative_M44[:, :3, :3] @ rays_M23[:, 0, :, None])[..., 0]
    shift, target = relative_M44[:, :3, 3], rays_M23[:, 1, :2]
    off = far[:, :2] - target * far[:, 2:]
    along = shift[:, :2] - target * shift[:, 2:]
    length = (along * along).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse_depth = np.where(length > 0, -(off * along).sum(axis=1) / length, 0.0)
        inverse_depth = np.maximum(inverse_depth, 0.0)
        point = far + inverse_depth[:, None] * shift
        seen = point[:, :2] / point[:, 2:]
        error = focal_M * np.linalg.norm(seen - target, axis=1)
        error = np.where(point[:, 2] > 0, error, np.inf)
        disparity = focal_M * np.linalg.norm(seen - far[:, :2] / far[:, 2:], axis=1)
        depth = 1.0 / inverse_depth
    error = np.where(np.isnan(error), np.inf, error)
    return Sight(error, depth, np.where(np.isnan(disparity), 0.0, disparity))


def _rays(cameras: Sequence[Camera], matches: Matches) -> FloatArray:
    view_M2 = matches.view_P2[matches.pair_M]
    rays = np.ones((*view_M2.shape, 3))
    groups: dict[Camera, list[int]] = {}
    for number, camera in enumerate(cameras):
        groups.setdefault(camera, []).append(number)
    for camera, members in groups.items():
        there = np.isin(view_M2, members)
        ideal = camera.undistort(matches.pixels_M22[there])
        rays[there, :2] = (ideal - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    return rays
