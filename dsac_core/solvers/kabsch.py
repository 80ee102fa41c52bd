# SPDX-License-Identifier: Apache-2.0
"""The rigid motion between two sets of points, and distances under given ones.

Poses here are ``cam_T_world``; residuals are 3-vectors in the camera frame, in metres (Eq. 12).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsac_core.geometry.se3 import axial_vector, exponential, transform
from dsac_core.solvers.lengths import vector_lengths

# The derivatives of the camera point (X, Y, Z) in (rho, phi), as combinations of the features
# 1, X, Y, Z; one row for each of the six.
_ALONG = [
    [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, -1, 0]],
    [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, -1], [0, 0, 0, 0], [0, 1, 0, 0]],
    [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 0]],
]
_FEATURES = 4
_MAPS = torch.zeros(3, 6, _FEATURES + 3, dtype=torch.float64)  # and nothing of the residuals
_MAPS[..., :_FEATURES] = torch.tensor(_ALONG)
_LEAST_SPREAD = 1e-6  # of the points across their longest direction, squared, to tell a rotation
_ROUNDING = 32.0  # digits of a coordinate that mean nothing


def solve_kabsch(
    camera_points_BN3: torch.Tensor, points_BN3: torch.Tensor, weights_BHN: torch.Tensor
) -> torch.Tensor:
    """The poses cam_T_world [B x H x 3 x 4] of least weighted squared distance (Eq. 21-24).

    The rotation is the one nearest to the cross-covariance of the two sets of points. Where they
    leave it open (fewer than three points, or all on a line) one of the best comes out, without
    derivative. Differentiable in the points, also where singular values meet.

    Args:
        camera_points_BN3: In the camera frame, metres.
        points_BN3: The same points in the scene.
        weights_BHN: Of each pair, >= 0; one set of weights for each pose.
    """
    # Near the origin, products of coordinates keep their digits: near that of all that has weight,
    # as what has none may be anywhere.
    origin_share = _share(weights_BHN.detach().sum(dim=1, keepdim=True))
    camera_origin = origin_share @ camera_points_BN3.detach()
    scene_origin = origin_share @ points_BN3.detach()
    measured, scene = camera_points_BN3 - camera_origin, points_BN3 - scene_origin
    share = _share(weights_BHN)
    camera_mean, scene_mean = share @ measured, share @ scene
    products = (share[:, :, None] * measured.transpose(1, 2)[:, None]) @ scene[:, None]
    covariance = products - camera_mean[..., None] * scene_mean[:, :, None]
    camera_mean, scene_mean = camera_mean + camera_origin, scene_mean + scene_origin
    # What rounding of the coordinates makes of points that coincide.
    size = camera_mean.detach().norm(dim=2) * scene_mean.detach().norm(dim=2)
    noise = (_ROUNDING * torch.finfo(size.dtype).eps) ** 2 * size
    rotation, determined = _nearest_rotation(covariance, noise)
    translation = camera_mean[..., None] - rotation @ scene_mean[..., None]
    poses = torch.cat([rotation, translation], dim=-1)
    return torch.where(determined[..., None, None], poses, poses.detach())


def _share(weights_BHN: torch.Tensor) -> torch.Tensor:
    total = weights_BHN.sum(dim=2, keepdim=True)
    return weights_BHN / total.clamp_min(torch.finfo(total.dtype).tiny)


def nearest_rotation(matrices_33: torch.Tensor) -> torch.Tensor:
    """The rotation R [... x 3 x 3] that maximises tr(R^T M), by SVD, differentiable.

    With A = M R^T, symmetric at the maximum, a turn phi of R changes the trace by a . phi - phi^T
    (tr(A) I - A) phi / 2, where a is the axial vector of A; so phi = (tr(A) I - A)^-1 da. The
    eigenvalues of that matrix are sums of two singular values: unlike the derivative of the SVD
    itself, which has their differences in the denominator, it does not mind if they are equal.
    """
    return _nearest_rotation(matrices_33, matrices_33.new_zeros(()))[0]


def _nearest_rotation(
    matrices_33: torch.Tensor, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rotation, and whether the matrix, beyond its noise, determines it; else no derivative."""
    with torch.no_grad():
        u, singular, vh = torch.linalg.svd(matrices_33)
        flip = torch.ones_like(singular)
        flip[..., 2] = torch.sign(torch.linalg.det(u @ vh))
        rotation = (u * flip[..., None, :]) @ vh
        signed = singular * flip
        least = torch.maximum(_LEAST_SPREAD * singular[..., 0], noise)
        determined = signed[..., 1] + signed[..., 2] > least
    if not matrices_33.requires_grad:
        return rotation, determined
    product = matrices_33 @ rotation.transpose(-2, -1)
    axial = axial_vector(product)
    with torch.no_grad():
        spread = torch.diag_embed(signed.sum(dim=-1, keepdim=True).expand_as(signed))
        inverse, _ = torch.linalg.inv_ex(spread - product)
        inverse = torch.where(determined[..., None, None], inverse, 0.0)
    turn = (inverse @ (axial - axial.detach())[..., None])[..., 0]
    return exponential(turn) @ rotation, determined


@dataclass(frozen=True)
class RigidResiduals:
    """Camera points of the scene points under poses, and their distance vectors from the measured.

    Each [B x H x 3 x N], metres.
    """

    camera_points: torch.Tensor
    residual: torch.Tensor

    @property
    def squared_BHN(self) -> torch.Tensor:
        """Squared distances, m^2."""
        x, y, z = self.residual.unbind(dim=2)
        return x * x + y * y + z * z

    def lengths(self) -> torch.Tensor:
        """Distances [B x H x N], metres (Eq. 12), differentiable."""
        return vector_lengths(self.residual.unbind(dim=2))

    def pulled_back(self, factor_BHN: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The gradient in the camera points, where ``factor`` times the residual is that in it."""
        x, y, z = self.residual.unbind(dim=2)
        return factor_BHN * x, factor_BHN * y, factor_BHN * z

    def normal_equations(self, weights_BHN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """J^T W J [B x H x 6 x 6] and J^T W r [B x H x 6], in float64."""
        root = weights_BHN.sqrt()[:, :, None]
        rows = torch.cat([root, root * self.camera_points, root * self.residual], dim=2)
        gram = torch.matmul(rows, rows.transpose(2, 3)).double()
        maps = _MAPS.to(gram.device)
        left = maps @ gram[:, :, None]
        hessian = (left @ maps.transpose(-2, -1)).sum(dim=2)
        return hessian, left[..., _FEATURES:].diagonal(dim1=2, dim2=4).sum(dim=-1)


def rigid_residuals(
    poses_BH34: torch.Tensor, points_BN3: torch.Tensor, camera_points_BN3: torch.Tensor
) -> RigidResiduals:
    """Distances of scene points from the measured camera points (Eq. 12), differentiable."""
    camera_points = transform(poses_BH34, points_BN3)
    return RigidResiduals(camera_points, camera_points - camera_points_BN3.transpose(1, 2)[:, None])
