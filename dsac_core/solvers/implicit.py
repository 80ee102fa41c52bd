# SPDX-License-Identifier: Apache-2.0
"""The exact derivative of solved PnP poses, by the implicit function theorem.

A solved pose h(Y) is where the gradient g(h, Y) = J^T W r of its cost vanishes. However the solver
came there, its derivative is -H^-1 dg/dY with the Hessian H of the cost. So one Newton step
-H^-1 g(h, Y), of length zero, carries it: `attach_pnp` returns the very poses that it is given,
with that derivative. Eq. 31 is the same with H = J^T W J and dg/dY = J^T W dr/dY, which drops the
terms that the residuals multiply; here they are kept.

The formulas are derived in docs/differentiable-ransac.md. Where a pose is no minimum (H is not
positive definite: the correspondences leave a direction open) it has no derivative, and gets none.
"""

from __future__ import annotations

import torch

from dsac_core.geometry.se3 import retract
from dsac_core.solvers.least_squares import is_definite
from dsac_core.solvers.pnp import Reprojection, reproject


def attach_pnp(
    poses_BH34: torch.Tensor,
    points_BN3: torch.Tensor,
    pixels_BN2: torch.Tensor,
    weights_BHN: torch.Tensor,
    focal_B2: torch.Tensor,
) -> torch.Tensor:
    """Solved PnP poses, with their derivative in the scene points (Eq. 31).

    Args:
        poses_BH34: cam_T_world, each a minimum of the cost with its weights.
        points_BN3: Scene points, metres; what is differentiated by.
        pixels_BN2: Where they were seen, px from the principal point.
        weights_BHN: Of each correspondence under each pose; constants.
        focal_B2: fx, fy in px.
    """
    at = reproject(poses_BH34.detach(), points_BN3, pixels_BN2, focal_B2)
    weights = weights_BHN * at.in_front
    with torch.no_grad():
        hessian, _ = at.normal_equations(weights)
        hessian = hessian + _reprojection_curvature(at, weights)
        minimum = is_definite(hessian, points_BN3.dtype)
        inverse, _ = torch.linalg.inv_ex(hessian)
        inverse = torch.where(minimum[..., None, None], inverse, 0.0)
    gradient = _reprojection_gradient(at, weights)
    change = gradient - gradient.detach()  # zero, but for its derivative
    step = -(inverse @ change.double()[..., None])[..., 0]
    return retract(poses_BH34.detach(), step.to(poses_BH34.dtype))


def _reprojection_gradient(at: Reprojection, weights_BHN: torch.Tensor) -> torch.Tensor:
    """J^T W r [B x H x 6], differentiable in all that the reprojection depends on."""
    focal = at.focal_B2[:, :, None, None]
    pull_x = weights_BHN * at.residual_x * focal[:, 0]
    pull_y = weights_BHN * at.residual_y * focal[:, 1]
    (x, y), q = at.ideal, at.inverse_depth
    along = x * pull_x + y * pull_y
    components = [
        q * pull_x,
        q * pull_y,
        -q * along,
        -pull_y - y * along,
        pull_x + x * along,
        x * pull_y - y * pull_x,
    ]
    return torch.stack([component.sum(dim=-1) for component in components], dim=-1)


def _reprojection_curvature(at: Reprojection, weights_BHN: torch.Tensor) -> torch.Tensor:
    """The part of the cost's Hessian [B x H x 6 x 6] that J^T W J leaves out, float64.

    It is sum_i w_i (r_x d2x + r_y d2y): residuals times second derivatives in (rho, phi).
    """
    focal = at.focal_B2[:, :, None, None]
    a = weights_BHN * at.residual_x * focal[:, 0]
    d = weights_BHN * at.residual_y * focal[:, 1]
    (x, y), q = at.ideal, at.inverse_depth
    m = a * x + d * y
    aq, dq, mq = a * q, d * q, m * q
    twist = a * y - d * x
    zero = torch.zeros_like(a)
    translation = [[zero, zero, -aq * q], [zero, zero, -dq * q], [-aq * q, -dq * q, 2.0 * mq * q]]
    mixed = [
        [-aq * y, aq * x, zero],
        [-dq * y, dq * x, zero],
        [dq + 2.0 * mq * y, -aq - 2.0 * mq * x, twist * q],
    ]
    xy = -0.5 * (a * y + d * x) - 2.0 * m * x * y
    xz = y * twist + 0.5 * (a - m * x)
    yz = -x * twist + 0.5 * (d - m * y)
    rotation = [
        [2.0 * d * y + 2.0 * m * y * y + a * x, xy, xz],
        [xy, 2.0 * a * x + 2.0 * m * x * x + d * y, yz],
        [xz, yz, -m],
    ]
    top = torch.cat([_sums(translation), _sums(mixed)], dim=-1)
    bottom = torch.cat([_sums(mixed).transpose(-2, -1), _sums(rotation)], dim=-1)
    return torch.cat([top, bottom], dim=-2)


def _sums(entries: list[list[torch.Tensor]]) -> torch.Tensor:
    rows = [torch.stack([entry.sum(dim=-1) for entry in row], dim=-1) for row in entries]
    return torch.stack(rows, dim=-2).double()
