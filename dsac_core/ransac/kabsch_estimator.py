# SPDX-License-Identifier: Apache-2.0
"""The RGB-D case: Kabsch on three points and on the inliers, distances in space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from dsac_core.ransac.estimator import Candidates, Estimator
from dsac_core.solvers.kabsch import RigidResiduals, rigid_residuals, solve_kabsch

if TYPE_CHECKING:
    from dsac_core.ransac.correspondences import Correspondences

_THINNEST = 1e-3  # height over length of a triangle that still determines a rotation


class KabschEstimator(Estimator):
    """Poses from 3D-3D correspondences; the correspondences have camera points."""

    residual_size = 3
    set_size = 3
    check_size = 3

    def generate(self, sets: Correspondences, threshold: float) -> Candidates:
        """Kabsch on the triangles whose sides agree.

        A rigid motion that brings every corner within the threshold changes no side by more than
        twice the threshold. Most sets with an outlier end here, at a fraction of the price.
        """
        measured, scene = _camera_points(sets)[:, :3], sets.points_BN3[:, :3]
        sides, scene_sides = _sides(measured), _sides(scene)
        length, scene_length = _length(sides), _length(scene_sides)
        agree = ((length - scene_length).abs() < 2.0 * threshold).all(dim=1)
        agree &= (_height(sides) > _THINNEST * length.amax(dim=1)) & (
            _height(scene_sides) > _THINNEST * scene_length.amax(dim=1)
        )
        chosen = agree.nonzero()[:, 0]
        weights = sets.weights_BN[chosen, None, :3]
        return Candidates(solve_kabsch(measured[chosen], scene[chosen], weights)[:, 0], chosen)

    def residuals(
        self, correspondences: Correspondences, poses_BH34: torch.Tensor
    ) -> RigidResiduals:
        """Distance vectors in the camera frame, metres."""
        camera_points = _camera_points(correspondences)
        return rigid_residuals(poses_BH34, correspondences.points_BN3, camera_points)

    def attach(
        self, correspondences: Correspondences, poses_BH34: torch.Tensor, weights_BHN: torch.Tensor
    ) -> torch.Tensor:
        """Solved anew, differentiably: the solution is in closed form."""
        del poses_BH34
        camera_points = _camera_points(correspondences)
        return solve_kabsch(camera_points, correspondences.points_BN3, weights_BHN)

    def chance_of_inlier(self, correspondences: Correspondences, threshold: float) -> torch.Tensor:
        """The threshold's ball as a share of the box around the measured points."""
        extent = correspondences.extent(_camera_points(correspondences))
        volume = (extent + 2.0 * threshold).prod(dim=1)
        return 4.0 / 3.0 * math.pi * threshold**3 / volume


def _camera_points(correspondences: Correspondences) -> torch.Tensor:
    points = correspondences.camera_points_BN3
    if points is None:
        msg = "Kabsch needs correspondences with camera points (depth)"
        raise TypeError(msg)
    return points


def _sides(corners_S33: torch.Tensor) -> torch.Tensor:
    return corners_S33 - corners_S33[:, [1, 2, 0]]


def _length(sides_S33: torch.Tensor) -> torch.Tensor:
    length: torch.Tensor = torch.linalg.vector_norm(sides_S33, dim=2)
    return length


def _height(sides_S33: torch.Tensor) -> torch.Tensor:
    """Of each triangle over its longest side; 0 where corners coincide."""
    normal = torch.linalg.cross(sides_S33[:, 0], sides_S33[:, 1])
    longest = _length(sides_S33).amax(dim=1)
    height: torch.Tensor = torch.linalg.vector_norm(normal, dim=1) / longest.clamp_min(
        torch.finfo(longest.dtype).tiny
    )
    return height
