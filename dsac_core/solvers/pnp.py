# SPDX-License-Identifier: Apache-2.0
"""Reprojection, its Jacobian, and Gauss-Newton on it: batched over images and hypotheses.

Poses here are ``cam_T_world`` as [... x 3 x 4]. A pose is perturbed on the left, in the camera
frame: (rho, phi) moves a camera point X to Exp(phi) X + rho. Residuals are the full 2-vectors, not
their norms: the norm's Jacobian loses the component across the residual, and with it the right
normal equations and the right gradient of Eq. 31.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

MIN_DEPTH = 1e-2  # metres: a point nearer than this, or behind, is never an inlier
_BEHIND = 1e4  # px, the error of such a point


class Reprojection(NamedTuple):
    """Where points project under poses, relative to where they were seen."""

    residual_2HN: tuple[torch.Tensor, torch.Tensor]  # x and y, px, each [B x H x N]
    camera_points: tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # X, Y, Z, each [B x H x N]


def transform(poses_BH34: torch.Tensor, points_BN3: torch.Tensor) -> torch.Tensor:
    """Camera coordinates [B x H x 3 x N] of scene points under each pose."""
    batch, hypotheses = poses_BH34.shape[:2]
    rotation = poses_BH34[..., :3].reshape(batch, hypotheses * 3, 3)
    moved = torch.matmul(rotation, points_BN3.transpose(1, 2))
    return moved.reshape(batch, hypotheses, 3, -1) + poses_BH34[..., 3:]


def reproject(
    poses_BH34: torch.Tensor,
    points_BN3: torch.Tensor,
    pixels_BN2: torch.Tensor,
    focal_B2: torch.Tensor,
) -> Reprojection:
    """Residual vectors of scene points under each pose (Eq. 9).

    Args:
        poses_BH34: cam_T_world.
        points_BN3: Scene points, metres.
        pixels_BN2: Where they were seen, px from the principal point.
        focal_B2: fx, fy in px.
    """
    x, y, z = transform(poses_BH34, points_BN3).unbind(dim=2)
    inverse_depth = z.clamp_min(MIN_DEPTH).reciprocal()
    residual_x = x * inverse_depth * focal_B2[:, 0, None, None] - pixels_BN2[:, None, :, 0]
    residual_y = y * inverse_depth * focal_B2[:, 1, None, None] - pixels_BN2[:, None, :, 1]
    return Reprojection((residual_x, residual_y), (x, y, z))


def reprojection_errors(
    poses_BH34: torch.Tensor,
    points_BN3: torch.Tensor,
    pixels_BN2: torch.Tensor,
    focal_B2: torch.Tensor,
) -> torch.Tensor:
    """Reprojection errors [B x H x N] in px (Eq. 10); points behind the camera never fit."""
    (residual_x, residual_y), (_, _, z) = reproject(poses_BH34, points_BN3, pixels_BN2, focal_B2)
    error = torch.hypot(residual_x, residual_y)
    return torch.where(z > MIN_DEPTH, error, error.new_tensor(_BEHIND)).clamp_max(_BEHIND)


def pose_jacobian(reprojection: Reprojection, focal_B2: torch.Tensor) -> torch.Tensor:
    """Derivative of the residual in (rho, phi) [B x H x 2 x 6 x N] (Eq. 29)."""
    x, y, z = reprojection.camera_points
    inverse_depth = z.clamp_min(MIN_DEPTH).reciprocal()
    u, v = x * inverse_depth, y * inverse_depth
    zero = torch.zeros_like(u)
    along_x = [inverse_depth, zero, -u * inverse_depth, -u * v, 1.0 + u * u, -v]
    along_y = [zero, inverse_depth, -v * inverse_depth, -1.0 - v * v, u * v, u]
    jacobian = torch.stack([torch.stack(along_x, dim=2), torch.stack(along_y, dim=2)], dim=2)
    return jacobian * focal_B2[:, None, :, None, None]


def normal_equations(
    reprojection: Reprojection, weights_BHN: torch.Tensor, focal_B2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """J^T W J [B x H x 6 x 6] and J^T W r [B x H x 6], in float64."""
    jacobian = pose_jacobian(reprojection, focal_B2)
    residual = torch.stack(reprojection.residual_2HN, dim=2)
    weighted = jacobian * weights_BHN[:, :, None, None]
    # One matrix product per pose, over both components of all residuals.
    left = weighted.transpose(2, 3).flatten(3)
    right = torch.cat([jacobian.transpose(2, 3), residual[:, :, None]], dim=2).flatten(3)
    product = torch.matmul(left, right.transpose(2, 3)).double()
    return product[..., :6], product[..., 6]


def retract(poses_BH34: torch.Tensor, step_BH6: torch.Tensor) -> torch.Tensor:
    """Poses moved by (rho, phi) on the left; exactly rigid by Rodrigues' formula."""
    rho, phi = step_BH6[..., :3], step_BH6[..., 3:]
    turn = exponential(phi)
    rotation = turn @ poses_BH34[..., :3]
    translation = (turn @ poses_BH34[..., 3:])[..., 0] + rho
    return torch.cat([rotation, translation[..., None]], dim=-1)


def exponential(phi: torch.Tensor) -> torch.Tensor:
    """Rotation matrices [... x 3 x 3] of rotation vectors [... x 3]."""
    x, y, z = phi.unbind(dim=-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    angle = phi.norm(dim=-1)[..., None, None].clamp_min(1e-12)
    first, second = torch.sin(angle) / angle, 2.0 * (torch.sin(angle / 2.0) / angle).square()
    identity = torch.eye(3, dtype=phi.dtype, device=phi.device)
    rotation: torch.Tensor = identity + first * skew + second * (skew @ skew)
    return rotation


def refine_pnp(
    poses_BH34: torch.Tensor,
    points_BN3: torch.Tensor,
    pixels_BN2: torch.Tensor,
    weights_BHN: torch.Tensor,
    focal_B2: torch.Tensor,
    *,
    steps: int = 10,
    tolerance: float = 1e-6,
) -> torch.Tensor:
    """Poses that minimise the weighted squared reprojection error (Eq. 26, 28).

    Gauss-Newton with Levenberg's damping: a step that raises the cost of its pose is undone and
    tried shorter.

    Args:
        poses_BH34: Where to start, cam_T_world.
        points_BN3: Scene points, metres.
        pixels_BN2: Where they were seen, px from the principal point.
        weights_BHN: One weight per pose and correspondence, 0 leaves it out.
        focal_B2: fx, fy in px.
        steps: At most so many.
        tolerance: Stop when no step (metres, radians) is longer.
    """
    poses = poses_BH34
    damping = poses.new_full((*poses.shape[:2], 1), 1e-6, dtype=torch.float64)
    identity = torch.eye(6, dtype=torch.float64, device=poses.device)
    current = reproject(poses, points_BN3, pixels_BN2, focal_B2)
    cost = _cost(current, weights_BHN)
    for _ in range(steps):
        hessian, gradient = normal_equations(current, weights_BHN, focal_B2)
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        # The floor keeps a pose without weights in place instead of failing the whole batch.
        damped = hessian + identity * (damping * diagonal + 1e-9)[..., None]
        step = -torch.linalg.solve_ex(damped, gradient[..., None])[0][..., 0]
        step = torch.where(step.isfinite().all(dim=-1, keepdim=True), step, 0.0)
        tried = retract(poses, step.to(poses.dtype))
        reprojection = reproject(tried, points_BN3, pixels_BN2, focal_B2)
        tried_cost = _cost(reprojection, weights_BHN)
        better = tried_cost <= cost
        if not better.any():
            damping = damping * 100.0
            if (damping > 1e3).all():
                break
            continue
        keep = better[..., None, None]
        poses = torch.where(keep, tried, poses)
        cost = torch.where(better, tried_cost, cost)
        damping = torch.where(better[..., None], damping * 0.1, damping * 100.0).clamp_min(1e-9)
        if better.all():
            current = reprojection
        else:
            current = reproject(poses, points_BN3, pixels_BN2, focal_B2)
        if (step.abs() * better[..., None]).max() < tolerance:
            break
    return poses


def _cost(reprojection: Reprojection, weights_BHN: torch.Tensor) -> torch.Tensor:
    residual_x, residual_y = reprojection.residual_2HN
    squared = residual_x.square() + residual_y.square()
    in_front = reprojection.camera_points[2] > MIN_DEPTH
    # A point that a step carries behind the camera costs more than any that is in front.
    squared = torch.where(in_front, squared, squared.new_tensor(_BEHIND**2))
    return (squared * weights_BHN).sum(dim=-1)
