# SPDX-License-Identifier: Apache-2.0
"""Reprojection of scene points, and the pose of least squared reprojection error.

Poses here are ``cam_T_world``. Residuals are the full 2-vectors, not their norms: the norm's
Jacobian loses the component across the residual, and with it the right normal equations and the
right gradient of Eq. 31.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsac_core.geometry.se3 import transform_rows
from dsac_core.solvers.least_squares import minimise
from dsac_core.solvers.lengths import vector_lengths

MIN_DEPTH = 1e-2  # metres: a point nearer than this, or behind, is never an inlier
_BEHIND = 1e4  # px, the error of such a point

# The derivatives of x = X/Z and y = Y/Z in (rho, phi) (Eq. 29), as combinations of the features
# q, xq, yq, 1, x, y, xx, xy, yy with q = 1/Z; one row for each of the six.
_ALONG_X = [
    [1, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, -1, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, -1, 0],
    [0, 0, 0, 1, 0, 0, 1, 0, 0],
    [0, 0, 0, 0, 0, -1, 0, 0, 0],
]
_ALONG_Y = [
    [0, 0, 0, 0, 0, 0, 0, 0, 0],
    [1, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, -1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, -1, 0, 0, 0, 0, -1],
    [0, 0, 0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 1, 0, 0, 0, 0],
]
_FEATURES = 9
_MAPS = torch.zeros(2, 6, _FEATURES + 2, dtype=torch.float64)  # and nothing of the residuals
_MAPS[0, :, :_FEATURES], _MAPS[1, :, :_FEATURES] = torch.tensor(_ALONG_X), torch.tensor(_ALONG_Y)


@dataclass(frozen=True)
class Reprojection:
    """Where points project under poses, relative to where they were seen; each [B x H x N]."""

    residual_x: torch.Tensor  # px
    residual_y: torch.Tensor
    scaled_x: torch.Tensor  # fx X of the camera point
    scaled_y: torch.Tensor  # fy Y
    inverse_depth: torch.Tensor  # 1/Z, of at least MIN_DEPTH
    in_front: torch.Tensor  # bool
    focal_B2: torch.Tensor

    @property
    def squared_BHN(self) -> torch.Tensor:
        """Squared reprojection errors, px^2; those of points behind the camera are huge."""
        squared = torch.addcmul(self.residual_x.square(), self.residual_y, self.residual_y)
        return torch.where(self.in_front, squared, _BEHIND**2).clamp_max(_BEHIND**2)

    def lengths(self) -> torch.Tensor:
        """Reprojection errors [B x H x N], px (Eq. 10), differentiable."""
        residual = (self.residual_x, self.residual_y)
        return vector_lengths(residual, ~self.in_front, _BEHIND)

    def pulled_back(self, factor_BHN: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The gradient in the camera points, where ``factor`` times the residual is that in it.

        Three rows, each [B x H x N]; nothing comes from behind the camera.
        """
        pull = (factor_BHN * self.inverse_depth).mul_(self.in_front)
        pull_x, pull_y = pull * self.residual_x, pull * self.residual_y
        along = (pull_x * self.scaled_x).addcmul_(pull_y, self.scaled_y)
        focal = self.focal_B2[:, :, None, None]
        return (
            pull_x.mul_(focal[:, 0]),
            pull_y.mul_(focal[:, 1]),
            along.mul_(self.inverse_depth).neg_(),
        )

    @property
    def ideal(self) -> tuple[torch.Tensor, torch.Tensor]:
        """X/Z and Y/Z."""
        per_focal = self.focal_B2.reciprocal()[:, :, None, None]
        return (
            self.scaled_x * self.inverse_depth * per_focal[:, 0],
            self.scaled_y * self.inverse_depth * per_focal[:, 1],
        )

    def jacobian(self) -> torch.Tensor:
        """Derivative of the residual in (rho, phi) [B x H x 2 x 6 x N] (Eq. 29)."""
        features = torch.stack(self._features(), dim=2)
        maps = _MAPS[..., :_FEATURES].to(features)
        jacobian = torch.einsum("cdf,bhfn->bhcdn", maps, features)
        return jacobian * self.focal_B2[:, None, :, None, None]

    def normal_equations(self, weights_BHN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """J^T W J [B x H x 6 x 6] and J^T W r [B x H x 6], in float64.

        Both are combinations of the features' and residuals' Gram matrix, which is one matrix
        product per pose: no Jacobian of 12 numbers per correspondence is ever written down.
        """
        rows = torch.stack([*self._features(), self.residual_x, self.residual_y], dim=2)
        # The cost of a point behind the camera is a constant, which pulls nowhere.
        rows *= (weights_BHN * self.in_front).sqrt()[:, :, None]
        gram = torch.matmul(rows, rows.transpose(2, 3)).double()
        maps = _MAPS.to(gram.device) * self.focal_B2.double()[:, None, :, None, None]
        left = maps @ gram[:, :, None]
        hessian = (left @ maps.transpose(-2, -1)).sum(dim=2)
        return hessian, left[:, :, 0, :, _FEATURES] + left[:, :, 1, :, _FEATURES + 1]

    def _features(self) -> list[torch.Tensor]:
        (x, y), q = self.ideal, self.inverse_depth
        return [q, x * q, y * q, torch.ones_like(q), x, y, x * x, x * y, y * y]


def reproject(
    poses_BH34: torch.Tensor,
    points_BN3: torch.Tensor,
    pixels_BN2: torch.Tensor,
    focal_B2: torch.Tensor,
) -> Reprojection:
    """Residual vectors of scene points under each pose (Eq. 9), differentiable.

    Args:
        poses_BH34: cam_T_world.
        points_BN3: Scene points, metres.
        pixels_BN2: Where they were seen, px from the principal point.
        focal_B2: fx, fy in px.
    """
    # The focal lengths go into the poses, which are fewer than the points.
    scale = torch.cat([focal_B2, torch.ones_like(focal_B2[:, :1])], dim=1)[:, None, :, None]
    scaled_x, scaled_y, depth = transform_rows(poses_BH34 * scale, points_BN3)
    inverse_depth = depth.clamp_min(MIN_DEPTH).reciprocal()
    seen = -pixels_BN2.transpose(1, 2)[:, :, None]
    return Reprojection(
        residual_x=torch.addcmul(seen[:, 0], scaled_x, inverse_depth),
        residual_y=torch.addcmul(seen[:, 1], scaled_y, inverse_depth),
        scaled_x=scaled_x,
        scaled_y=scaled_y,
        inverse_depth=inverse_depth,
        in_front=depth > MIN_DEPTH,
        focal_B2=focal_B2,
    )


def refine_pnp(
    poses_BH34: torch.Tensor,
    points_BN3: torch.Tensor,
    pixels_BN2: torch.Tensor,
    weights_BHN: torch.Tensor,
    focal_B2: torch.Tensor,
    *,
    steps: int = 10,
    tolerance: float | None = None,
) -> torch.Tensor:
    """Poses that minimise the weighted squared reprojection error (Eq. 26, 28).

    Args:
        poses_BH34: Where to start, cam_T_world.
        points_BN3: Scene points, metres.
        pixels_BN2: Where they were seen, px from the principal point.
        weights_BHN: One weight per pose and correspondence, 0 leaves it out.
        focal_B2: fx, fy in px.
        steps: At most so many.
        tolerance: Of the last step, see `minimise`.
    """
    return minimise(
        poses_BH34,
        lambda poses: reproject(poses, points_BN3, pixels_BN2, focal_B2),
        weights_BHN,
        steps=steps,
        tolerance=tolerance,
    )
