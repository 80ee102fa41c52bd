# SPDX-License-Identifier: Apache-2.0
"""How well the inliers determine a pose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsac_core.solvers.least_squares import is_definite

if TYPE_CHECKING:
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.ransac.estimator import Estimator


def pose_covariance(
    estimator: Estimator,
    correspondences: Correspondences,
    poses_B34: torch.Tensor,
    inliers_BN: torch.Tensor,
) -> torch.Tensor:
    """Covariance [B x 6 x 6] of world_T_cam, float64: metres and radians, REP-103.

    The order is (x, y, z, rotX, rotY, rotZ) about the fixed axes of the world. It is
    sigma^2 (J^T W J)^-1 with the Jacobian J of the inliers' residual vectors, the correspondences'
    weights W and the residuals' spread sigma^2 = sum w |r|^2 / (d n - 6) for d-vectors, as if
    residuals were independent; those of neighbouring cells are not, which is what a scene map's
    calibration makes up for.

    An image whose inliers leave a direction undetermined has infinite variances.
    """
    poses = poses_B34[:, None].double()
    exact = correspondences.to(torch.float64)
    residuals = estimator.residuals(exact, poses)
    weights = inliers_BN[:, None] * exact.weights_BN[:, None]
    hessian, _ = residuals.normal_equations(weights)
    squared = (residuals.squared_BHN * weights).sum(dim=-1)
    freedom = float(estimator.residual_size) * inliers_BN[:, None].sum(dim=-1) - 6.0
    inverse, _ = torch.linalg.inv_ex(hessian)
    # The camera frame's left perturbation (rho, phi) is (-R^T rho, -R^T phi) of world_T_cam.
    world_R_cam = poses_B34[:, :, :3].transpose(1, 2).double()
    turn = torch.zeros(len(poses_B34), 6, 6, dtype=torch.float64, device=poses_B34.device)
    turn[:, :3, :3] = turn[:, 3:, 3:] = world_R_cam
    variance = (squared / freedom)[:, 0, None, None]
    covariance = variance * (turn @ inverse[:, 0] @ turn.transpose(1, 2))
    covariance = 0.5 * (covariance + covariance.transpose(1, 2))
    determined = (freedom[:, 0] > 0) & is_definite(hessian[:, 0])
    determined &= covariance.isfinite().flatten(1).all(dim=1)
    unknown = torch.diag(torch.full((6,), torch.inf, dtype=torch.float64)).to(poses_B34.device)
    return torch.where(determined[:, None, None], covariance, unknown)
