# SPDX-License-Identifier: Apache-2.0
"""Scene points from several views with known poses, many points at once.

Robust least squares on the reprojection errors (Hartley and Zisserman, Multiple View Geometry,
section 12), from the point nearest to all rays. Where depth was measured it is one more residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional

_ROBUST_SCALE = 2.0  # px, of the Cauchy weights
_STEPS = 6
_DAMPING = 1e-3  # of the diagonal: views that hardly differ leave the depth open
_NEAREST = 0.05  # metres in front of a camera


@dataclass(frozen=True)
class Views:
    """Poses and intrinsics of M images."""

    rotation_M33: torch.Tensor  # of cam_T_world
    translation_M3: torch.Tensor
    focal_M2: torch.Tensor  # px

    @classmethod
    def of(cls, cam_T_world_M34: torch.Tensor, intrinsics_M4: torch.Tensor) -> Views:
        """From [R | t], and fx, fy, cx, cy."""
        return cls(cam_T_world_M34[:, :, :3], cam_T_world_M34[:, :, 3], intrinsics_M4[:, :2])

    @property
    def centres_M3(self) -> torch.Tensor:
        """Positions of the cameras, metres."""
        return -(self.rotation_M33.mT @ self.translation_M3[..., None])[..., 0]


class Sightings(NamedTuple):
    """Where each of T points is seen, in up to V views."""

    view_TV: torch.Tensor  # which view, -1 for none
    pixels_TV2: torch.Tensor  # px from the principal point, undistorted
    depth_TV: torch.Tensor | None = None  # measured along the optical axis, metres; 0 for none


class Triangulated(NamedTuple):
    """The points, and which sightings agree with them."""

    points_T3: torch.Tensor
    inliers_TV: torch.Tensor  # bool
    angle_T: torch.Tensor  # radians, twice the widest angle of an inlier's ray to their mean


def triangulate(
    views: Views, seen: Sightings, *, max_error: float, depth_weight: float = 0.2
) -> Triangulated:
    """The points of least robust reprojection error.

    Args:
        views: Of all points; in float64, as is everything else here.
        seen: The sightings; a point needs two, or one with depth.
        max_error: Px; a sighting that is farther off, or behind its camera, is no inlier.
        depth_weight: Of an error in depth as a share of the depth, times the focal length: with
            0.2, one percent of depth counts as one pixel at a focal length of 500.
    """
    there = seen.view_TV >= 0
    view = seen.view_TV.clamp_min(0)
    rotation, translation = views.rotation_M33[view], views.translation_M3[view]
    focal, centres = views.focal_M2[view], views.centres_M3[view]
    ray = functional.pad(seen.pixels_TV2 / focal, (0, 1), value=1.0)
    ray = (rotation.mT @ ray[..., None])[..., 0]
    depth = torch.zeros_like(there, dtype=ray.dtype) if seen.depth_TV is None else seen.depth_TV
    measured = there & (depth > 0)
    points = _start(centres, ray, depth, there, measured)
    per_metre = depth_weight * focal[..., 0] / torch.where(measured, depth, 1.0)
    along = (per_metre[..., None] * rotation[..., 2, :])[..., None, :]
    identity = torch.eye(3, dtype=points.dtype, device=points.device)
    for _ in range(_STEPS):
        camera_point, residual, error = _residuals(points, rotation, translation, focal, seen)
        z = camera_point[..., 2].clamp_min(_NEAREST)
        weight = there * (camera_point[..., 2] > _NEAREST) / (1 + (error / _ROBUST_SCALE).square())
        weight = weight[..., None].expand_as(residual)
        planar = camera_point[..., :2] / z[..., None]
        slope = (focal / z[..., None])[..., None]
        jacobian = slope * (rotation[..., :2, :] - planar[..., None] * rotation[..., 2:, :])
        if seen.depth_TV is not None:
            off = per_metre * (camera_point[..., 2] - depth)
            certain = measured / (1 + (off / _ROBUST_SCALE).square())
            weight = torch.cat([weight, certain[..., None]], dim=2)
            residual = torch.cat([residual, off[..., None]], dim=2)
            jacobian = torch.cat([jacobian, along], dim=2)
        jacobian = jacobian.flatten(1, 2)
        weighted = (jacobian * weight.flatten(1)[..., None]).mT
        hessian = weighted @ jacobian
        gradient = (weighted @ residual.flatten(1)[..., None])[..., 0]
        scale = hessian.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None]
        damped = hessian + (_DAMPING * scale + 1e-9) * identity
        points = points - torch.linalg.solve(damped, gradient)
    camera_point, _, error = _residuals(points, rotation, translation, focal, seen)
    inliers = there & (camera_point[..., 2] > _NEAREST) & (error < max_error)
    return Triangulated(points, inliers, _widest_angle(points, centres, inliers))


def _start(
    centres_TV3: torch.Tensor,
    ray_TV3: torch.Tensor,
    depth_TV: torch.Tensor,
    there_TV: torch.Tensor,
    measured_TV: torch.Tensor,
) -> torch.Tensor:
    """The mean of what depth says, else the point nearest to all rays."""
    direction = functional.normalize(ray_TV3, dim=2)
    identity = torch.eye(3, dtype=ray_TV3.dtype, device=ray_TV3.device)
    across = identity - direction[..., :, None] * direction[..., None, :]
    across = across * there_TV[..., None, None]
    # From the first camera, as the origin of the world may be far away.
    origin = centres_TV3[:, :1]
    target = (across @ (centres_TV3 - origin)[..., None])[..., 0].sum(dim=1)
    nearest = torch.linalg.solve(across.sum(dim=1) + 1e-6 * identity, target) + origin[:, 0]
    lifted = (centres_TV3 + depth_TV[..., None] * ray_TV3) * measured_TV[..., None]
    count = measured_TV.sum(dim=1, keepdim=True)
    return torch.where(count > 0, lifted.sum(dim=1) / count.clamp_min(1), nearest)


def _residuals(
    points_T3: torch.Tensor,
    rotation_TV33: torch.Tensor,
    translation_TV3: torch.Tensor,
    focal_TV2: torch.Tensor,
    seen: Sightings,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points in the cameras, reprojection errors as vectors, and their lengths, px."""
    point = (rotation_TV33 @ points_T3[:, None, :, None])[..., 0] + translation_TV3
    away = point[..., 2:].clamp_min(_NEAREST)
    residual = point[..., :2] / away * focal_TV2 - seen.pixels_TV2
    return point, residual, residual.norm(dim=-1)


def _widest_angle(
    points_T3: torch.Tensor, centres_TV3: torch.Tensor, inliers_TV: torch.Tensor
) -> torch.Tensor:
    towards = functional.normalize(centres_TV3 - points_T3[:, None], dim=2)
    mean = functional.normalize((towards * inliers_TV[..., None]).sum(dim=1), dim=1)
    cosine = (towards * mean[:, None]).sum(dim=2)
    return 2.0 * torch.where(inliers_TV, cosine, 1.0).amin(dim=1).clamp(-1.0, 1.0).acos()
