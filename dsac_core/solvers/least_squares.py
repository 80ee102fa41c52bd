# SPDX-License-Identifier: Apache-2.0
"""Levenberg-Marquardt over poses, the same for reprojection errors and for distances in space.

What is minimised is sum_i w_i rho(|r_i|^2), with the residual vectors r_i: a robust kernel rho cuts
or bends the squares. Each step solves the normal equations with the weights that the kernel gives
the residuals of the moment (iteratively reweighted least squares).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from dsac_core.geometry.se3 import retract

_RANK_TOLERANCE = 1e-10  # of the least eigenvalue of the normal matrix with ones on its diagonal
_LARGEST_RATIO = 0.8  # of one step to the last that is believed
_STUCK = 1e2  # a damping at which a pose moves no more

# From squared residuals to costs and weights, each [B x H x N].
Kernel = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Residuals(Protocol):
    """The residual vectors of all correspondences under each pose."""

    @property
    def squared_BHN(self) -> torch.Tensor:
        """Their squared lengths."""

    def lengths(self) -> torch.Tensor:
        """Their lengths [B x H x N], differentiable."""

    def pulled_back(self, factor_BHN: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The gradient in the camera points, where ``factor`` times the residual is that in it."""

    def normal_equations(self, weights_BHN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """J^T W J [B x H x 6 x 6] and J^T W r [B x H x 6], in float64."""


def squares(squared_BHN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Plain least squares."""
    return squared_BHN, torch.ones_like(squared_BHN)


def truncated(threshold: float) -> Kernel:
    """Least squares on the inliers, where the inliers are those of the moment (Eq. 32).

    A residual beyond the threshold costs the same however large it is, so that taking another set
    of inliers never raises the cost: refinement ends.
    """
    limit = threshold**2

    def kernel(squared_BHN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return squared_BHN.clamp_max(limit), (squared_BHN < limit).to(squared_BHN.dtype)

    return kernel


def geman_mcclure(scale: float) -> Kernel:
    """Weights 1 / (1 + |r|^2 / scale^2)^2: a cut without an edge, so with few local minima."""
    squared_scale = scale**2

    def kernel(squared_BHN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        root = (1.0 + squared_BHN / squared_scale).reciprocal()
        return squared_scale * (1.0 - root), root.square()

    return kernel


def cauchy(scale: float, reach: float = 10.0) -> Kernel:
    """Weights 1 / (1 + |r|^2 / scale^2), and none beyond ``reach`` scales."""
    squared_scale = scale**2
    limit = (reach * scale) ** 2

    def kernel(squared_BHN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ratio = squared_BHN.clamp_max(limit) / squared_scale
        weights = (1.0 + ratio).reciprocal() * (squared_BHN < limit)
        return squared_scale * torch.log1p(ratio), weights

    return kernel


@torch.no_grad()
def minimise(
    poses_BH34: torch.Tensor,
    residuals_at: Callable[[torch.Tensor], Residuals],
    weights_BHN: torch.Tensor,
    kernel: Kernel = squares,
    *,
    steps: int = 10,
    tolerance: float | None = None,
) -> torch.Tensor:
    """Poses of least cost, each from where it starts (Eq. 26, 28).

    A step that raises the cost of its pose is not taken, and tried shorter.

    Args:
        poses_BH34: Where to start.
        residuals_at: The residuals at given poses.
        weights_BHN: Of each correspondence, or [B x 1 x N]; 0 leaves it out.
        kernel: Plain squares, or a robust kernel.
        steps: At most so many.
        tolerance: A pose rests whose step is shorter than so many of its standard deviations, as
            the residuals' spread has them; by default 0.1 in single precision, and in double
            what can be told.
    """
    if tolerance is None:
        tolerance = 0.1 if poses_BH34.dtype == torch.float32 else 1e-8
    poses = poses_BH34
    damping = poses.new_full((*poses.shape[:2], 1), 1e-6, dtype=torch.float64)
    floor = 1e-9 * torch.eye(6, dtype=torch.float64, device=poses.device)
    rounding = 1.0 + 8.0 * torch.finfo(poses.dtype).eps  # of a sum: near the minimum all are equal
    residuals = residuals_at(poses)
    cost, inner, variance = _evaluate(residuals, weights_BHN, kernel)
    hessian, gradient = residuals.normal_equations(inner)
    resting = torch.zeros_like(cost, dtype=torch.bool)
    before: torch.Tensor | None = None  # the last step, if it was taken and not lengthened
    for _ in range(steps):
        # The floor keeps a pose without weights in place instead of failing the whole batch.
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        damped = hessian + torch.diag_embed(damping * diagonal) + floor
        step = -torch.linalg.solve_ex(damped, gradient[..., None])[0][..., 0]
        step = torch.where(step.isfinite().all(dim=-1, keepdim=True), step, 0.0)
        lengthened = before is not None
        if before is not None:
            step = step * _lengthening(step, before, hessian)
        tried = retract(poses, step.to(poses.dtype))
        residuals = residuals_at(tried)
        tried_cost, inner, tried_variance = _evaluate(residuals, weights_BHN, kernel)
        better = (tried_cost <= cost * rounding) & ~resting
        poses = torch.where(better[..., None, None], tried, poses)
        cost = torch.where(better, tried_cost, cost)
        damping = torch.where(better[..., None], damping * 0.1, damping * 100.0).clamp_min(1e-9)
        alone = kernel is squares or lengthened
        before = None if alone else torch.where(better[..., None], step, torch.inf)
        length = -(step * gradient).sum(dim=-1)  # squared, in the metric of J^T W J
        resting = resting | (length <= tolerance**2 * variance)
        resting = resting | (damping[..., 0] > _STUCK)
        if resting.all():
            break
        new_hessian, new_gradient = residuals.normal_equations(inner)
        hessian = torch.where(better[..., None, None], new_hessian, hessian)
        gradient = torch.where(better[..., None], new_gradient, gradient)
        variance = torch.where(better, tried_variance, variance)
    return poses


def _lengthening(
    step_BH6: torch.Tensor, before_BH6: torch.Tensor, hessian_BH66: torch.Tensor
) -> torch.Tensor:
    """How much longer [B x H x 1] to make a step after one that it continues (Aitken).

    A robust kernel's cost bends less than its normal equations say, and steps are too short by the
    same factor each time: with a cut at 1.25 standard deviations each is two thirds of the last.
    """
    metric = (hessian_BH66 @ before_BH6[..., None])[..., 0]
    ratio = (step_BH6 * metric).sum(dim=-1) / (before_BH6 * metric).sum(dim=-1)
    ratio = torch.where(ratio.isfinite(), ratio, 0.0).clamp(0.0, _LARGEST_RATIO)
    return (1.0 / (1.0 - ratio))[..., None]


def is_definite(hessian_66: torch.Tensor, precision: torch.dtype = torch.float64) -> torch.Tensor:
    """Whether each matrix [...] is positive definite beyond rounding, whatever its units.

    The inverse of one that is not exists numerically, with entries of any size and sign.

    Args:
        hessian_66: Symmetric matrices.
        precision: Of the numbers that they were summed up from.
    """
    tolerance = max(_RANK_TOLERANCE, 8.0 * torch.finfo(precision).eps)
    size = hessian_66.diagonal(dim1=-2, dim2=-1).clamp_min(1e-12).sqrt()
    scaled = hessian_66 / (size[..., :, None] * size[..., None, :])
    identity = torch.eye(6, dtype=hessian_66.dtype, device=hessian_66.device)
    _, failed = torch.linalg.cholesky_ex(scaled - tolerance * identity)
    return torch.eq(failed, 0)


def _evaluate(
    residuals: Residuals, weights_BHN: torch.Tensor, kernel: Kernel
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The cost, the weights of the normal equations, and the mean squared residual of the inliers.

    [B x H], [B x H x N] and [B x H]; the last in units of the weights, as the cost is.
    """
    squared_BHN = residuals.squared_BHN
    cost_BHN, inner_BHN = kernel(squared_BHN)
    inner_BHN = inner_BHN * weights_BHN
    count_BH = (inner_BHN > 0).sum(dim=-1).clamp_min(1)
    variance_BH = (squared_BHN * inner_BHN).sum(dim=-1) / count_BH
    return (cost_BHN * weights_BHN).sum(dim=-1), inner_BHN, variance_BH
