# SPDX-License-Identifier: Apache-2.0
"""How well the inliers determine a pose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsac_core.solvers.pnp import normal_equations, reproject

if TYPE_CHECKING:
    from dsac_core.ransac.correspondences import Correspondences

_RANK_TOLERANCE = 1e-10  # of the least eigenvalue of the normal matrix with ones on its diagonal


def pnp_covariance(
    correspondences: Correspondences, poses_B34: torch.Tensor, inliers_BN: torch.Tensor
) -> torch.Tensor:
    """Covariance [B x 6 x 6] of world_T_cam, float64: metres and radians, REP-103.

    The order is (x, y, z, rotX, rotY, rotZ) about the fixed axes of the world. It is
    sigma^2 (J^T J)^-1 with the Jacobian J of the inliers' residual 2-vectors and sigma^2 their
    spread, sum |r|^2 / (2 n - 6), as if residuals were independent; those of neighbouring cells
    are not, which is what a scene map's calibration makes up for.

    An image whose inliers leave a direction undetermined has infinite variances.
    """
    poses = poses_B34[:, None].double()
    focal_B2 = correspondences.focal_B2.double()
    reprojection = reproject(
        poses, correspondences.points_BN3.double(), correspondences.pixels_BN2.double(), focal_B2
    )
    mask = inliers_BN[:, None].to(poses.dtype)
    hessian, _ = normal_equations(reprojection, mask, focal_B2)
    residual_x, residual_y = reprojection.residual_2HN
    squared = ((residual_x.square() + residual_y.square()) * mask).sum(dim=-1)
    freedom = 2.0 * mask.sum(dim=-1) - 6.0
    inverse, _ = torch.linalg.inv_ex(hessian)
    # The camera frame's left perturbation (rho, phi) is (-R^T rho, -R^T phi) of world_T_cam.
    world_R_cam = poses_B34[:, :, :3].transpose(1, 2).double()
    turn = torch.zeros(len(poses_B34), 6, 6, dtype=torch.float64, device=poses_B34.device)
    turn[:, :3, :3] = turn[:, 3:, 3:] = world_R_cam
    variance = (squared / freedom)[:, 0, None, None]
    covariance = variance * (turn @ inverse[:, 0] @ turn.transpose(1, 2))
    covariance = 0.5 * (covariance + covariance.transpose(1, 2))
    determined = (freedom[:, 0] > 0) & _is_definite(hessian[:, 0])
    determined &= covariance.isfinite().flatten(1).all(dim=1)
    unknown = torch.diag(torch.full((6,), torch.inf, dtype=torch.float64)).to(poses_B34.device)
    return torch.where(determined[:, None, None], covariance, unknown)


def _is_definite(hessian_B66: torch.Tensor) -> torch.Tensor:
    """Whether each normal matrix [B] is positive definite beyond rounding, whatever its units.

    The inverse of one that is not exists numerically, with variances of any size and sign.
    """
    size = hessian_B66.diagonal(dim1=-2, dim2=-1).clamp_min(1e-12).sqrt()
    scaled = hessian_B66 / (size[:, :, None] * size[:, None, :])
    identity = torch.eye(6, dtype=hessian_B66.dtype, device=hessian_B66.device)
    _, failed = torch.linalg.cholesky_ex(scaled - _RANK_TOLERANCE * identity)
    return torch.eq(failed, 0)
