# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as tensors [... x 3 x 4], batched over images and hypotheses.

A pose is perturbed on the left: (rho, phi), metres and radians, moves a point X of its target frame
to Exp(phi) X + rho.
"""

from __future__ import annotations

import torch


def transform(poses_BH34: torch.Tensor, points_BN3: torch.Tensor) -> torch.Tensor:
    """Points of each image under each of its poses [B x H x 3 x N]."""
    return torch.stack(transform_rows(poses_BH34, points_BN3), dim=2)


def transform_rows(
    poses_BH34: torch.Tensor, points_BN3: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The three coordinates of the points under the poses, each [B x H x N] of its own."""
    batch, hypotheses = poses_BH34.shape[:2]
    # All x coordinates, all y, all z: one product, whose parts lie each in one piece.
    rows = poses_BH34.transpose(1, 2).reshape(batch, 3 * hypotheses, 4)
    moved = torch.baddbmm(rows[..., 3:], rows[..., :3], points_BN3.transpose(1, 2))
    x, y, z = moved.view(batch, 3, hypotheses, points_BN3.shape[1]).unbind(dim=1)
    return x, y, z


def inverse(poses_34: torch.Tensor) -> torch.Tensor:
    """The inverses [... x 3 x 4] of poses."""
    rotation = poses_34[..., :3].transpose(-2, -1)
    return torch.cat([rotation, -(rotation @ poses_34[..., 3:])], dim=-1)


def retract(poses_34: torch.Tensor, step_6: torch.Tensor) -> torch.Tensor:
    """Poses moved by (rho, phi) on the left; exactly rigid by Rodrigues' formula."""
    rho, phi = step_6[..., :3], step_6[..., 3:]
    turn = exponential(phi)
    rotation = turn @ poses_34[..., :3]
    translation = (turn @ poses_34[..., 3:])[..., 0] + rho
    return torch.cat([rotation, translation[..., None]], dim=-1)


def axial_vector(matrices_33: torch.Tensor) -> torch.Tensor:
    """Of the antisymmetric part A - A^T [... x 3]; of a rotation, the axis times twice the sine."""
    a = matrices_33
    return torch.stack(
        [a[..., 2, 1] - a[..., 1, 2], a[..., 0, 2] - a[..., 2, 0], a[..., 1, 0] - a[..., 0, 1]],
        dim=-1,
    )


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
