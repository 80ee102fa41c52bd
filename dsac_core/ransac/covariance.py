# SPDX-License-Identifier: Apache-2.0
"""How well the inliers determine a pose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsac_core.solvers.pnp import normal_equations, reproject

if TYPE_CHECKING:
    from dsac_core.ransac.correspondences import Correspondences


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
    poses = poses_B34[:, None]
    reprojection = reproject(
        poses, correspondences.points_BN3, correspondences.pixels_BN2, correspondences.focal_B2
    )
    mask = inliers_BN[:, None].to(poses.dtype)
    hessian, _ = normal_equations(reprojection, mask, correspondences.focal_B2)
    residual_x, residual_y = reprojection.residual_2HN
    squared = ((residual_x.square() + residual_y.square()) * mask).sum(dim=-1).double()
    freedom = 2.0 * mask.sum(dim=-1).double() - 6.0
    inverse, failed = torch.linalg.inv_ex(hessian)
    # The camera frame's left perturbation (rho, phi) is (-R^T rho, -R^T phi) of world_T_cam.
    world_R_cam = poses_B34[:, :, :3].transpose(1, 2).double()
    turn = torch.zeros(len(poses_B34), 6, 6, dtype=torch.float64, device=poses_B34.device)
    turn[:, :3, :3] = turn[:, 3:, 3:] = world_R_cam
    variance = (squared / freedom)[:, 0, None, None]
    covariance = variance * (turn @ inverse[:, 0] @ turn.transpose(1, 2))
    covariance = 0.5 * (covariance + covariance.transpose(1, 2))
    determined = (freedom[:, 0] > 0) & (failed[:, 0] == 0)
    unknown = torch.diag(torch.full((6,), torch.inf, dtype=torch.float64)).to(poses_B34.device)
    return torch.where(determined[:, None, None], covariance, unknown)
