# SPDX-License-Identifier: Apache-2.0
"""Camera poses from three points each, for thousands of triples at once.

The three distance equations between the points are quadratic forms in the depths along the rays,
which makes two conics; one real root of a cubic gives the degenerate conic of their pencil, a pair
of lines, and each line meets a conic in up to two points (Persson & Nordberg, "Lambda Twist", ECCV
2018; Ding et al., "Revisiting the P3P Problem", CVPR 2023). The lines come from the adjugate
(Richter-Gebert, "Perspectives on Projective Geometry", 2011, section 11.1). Depths are polished by
Gauss-Newton on the distance equations, so that single precision suffices.

All tensors have the batch last ([..., N]), so that each operation runs over the whole batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

Conic = tuple[torch.Tensor, ...]  # q00, q01, q02, q11, q12, q22 of a symmetric matrix, each [N]
_POLISHING_STEPS = 3


class P3PSolutions(NamedTuple):
    """Up to four poses per triple; those not ``valid`` hold arbitrary numbers."""

    rotation_433N: torch.Tensor  # camera from world
    translation_43N: torch.Tensor
    valid_4N: torch.Tensor


def solve_p3p(rays_33N: torch.Tensor, points_33N: torch.Tensor) -> P3PSolutions:
    """Poses (world to camera) that put three world points on three camera rays.

    Args:
        rays_33N: Unit vectors in the camera frame, [ray, component, batch].
        points_33N: World points in metres, [point, component, batch].

    Returns:
        Four candidates per triple. Degenerate triples (collinear or repeated points, NaN) have no
        valid one.
    """
    edges = points_33N[[1, 2, 2]] - points_33N[[0, 0, 1]]
    squared_distances = edges.square().sum(dim=1)  # 12, 13, 23
    scale = squared_distances.mean(dim=0)
    a = squared_distances / scale
    cosines = (rays_33N[[0, 0, 1]] * rays_33N[[1, 2, 2]]).sum(dim=1)

    depths_43N = _depths_up_to_scale(a, cosines)
    depths_43N = depths_43N * torch.sign(depths_43N.sum(dim=1, keepdim=True))
    forms = _distance_forms(depths_43N, cosines)
    depths_43N = depths_43N * (a.sum(dim=0) / forms.sum(dim=1).clamp_min(1e-12)).sqrt()[:, None]
    for _ in range(_POLISHING_STEPS):
        depths_43N = _polish(depths_43N, a, cosines)
    residual = (_distance_forms(depths_43N, cosines) - a).abs().amax(dim=1)
    valid = (depths_43N > 1e-3).all(dim=1) & (residual < 1e-2)

    in_camera = (depths_43N * scale.sqrt())[:, :, None] * rays_33N
    rotation = _frame(in_camera), _frame(points_33N[None])
    rotation_433N = (rotation[0][:, :, None] * rotation[1][:, None]).sum(dim=3)
    moved = (rotation_433N * points_33N[0]).sum(dim=2)
    translation_43N = in_camera[:, 0] - moved
    valid &= rotation_433N.isfinite().all(dim=2).all(dim=1) & translation_43N.isfinite().all(dim=1)
    return P3PSolutions(rotation_433N, translation_43N, valid)


def _distance_forms(depths_43N: torch.Tensor, cosines_3N: torch.Tensor) -> torch.Tensor:
    """Squared distances [4 x 3 x N] between the points at these depths: pairs 12, 13, 23."""
    first, second = depths_43N[:, [0, 0, 1]], depths_43N[:, [1, 2, 2]]
    return first * first + second * second - 2.0 * cosines_3N * first * second


def _depths_up_to_scale(a_3N: torch.Tensor, cosines_3N: torch.Tensor) -> torch.Tensor:
    """Four candidates of depths [4 x 3 x N], each up to a factor."""
    a12, a13, a23 = a_3N
    c12, c13, c23 = cosines_3N
    zero = torch.zeros_like(a12)
    first: Conic = (a23, -a23 * c12, zero, a23 - a12, a12 * c23, -a12)
    second: Conic = (a23, zero, -a23 * c13, -a13, a13 * c23, a23 - a13)
    k0, k1, k2, k3 = _pencil_determinant(first, second)
    # The pencil is first + g second. Where its root would be large, swap the two conics.
    swap = k0.abs() > k3.abs()
    first, second = (
        tuple(torch.where(swap, q, p) for p, q in zip(first, second, strict=True)),
        tuple(torch.where(swap, p, q) for p, q in zip(first, second, strict=True)),
    )
    k0, k1, k2, k3 = (
        torch.where(swap, k3, k0),
        torch.where(swap, k2, k1),
        torch.where(swap, k1, k2),
        torch.where(swap, k0, k3),
    )
    root = _real_cubic_root(k2 / k3, k1 / k3, k0 / k3)
    degenerate: Conic = tuple(p + root * q for p, q in zip(first, second, strict=True))
    lines = _line_pair(degenerate)
    return torch.cat([_meet(line, second) for line in lines])


def _pencil_determinant(first: Conic, second: Conic) -> tuple[torch.Tensor, ...]:
    """Coefficients (ascending) of det(first + g second), a cubic in g."""
    adjugate_first, adjugate_second = _adjugate(first), _adjugate(second)
    return (
        _inner(adjugate_first, first) / 3.0,
        _inner(adjugate_first, second),
        _inner(adjugate_second, first),
        _inner(adjugate_second, second) / 3.0,
    )


def _adjugate(q: Conic) -> Conic:
    q00, q01, q02, q11, q12, q22 = q
    return (
        q11 * q22 - q12 * q12,
        q02 * q12 - q01 * q22,
        q01 * q12 - q02 * q11,
        q00 * q22 - q02 * q02,
        q01 * q02 - q00 * q12,
        q00 * q11 - q01 * q01,
    )


def _inner(p: Conic, q: Conic) -> torch.Tensor:
    """Trace of the product of two symmetric matrices."""
    off_diagonal = p[1] * q[1] + p[2] * q[2] + p[4] * q[4]
    return p[0] * q[0] + p[3] * q[3] + p[5] * q[5] + 2.0 * off_diagonal


def _real_cubic_root(b: torch.Tensor, c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """The best separated real root of x^3 + b x^2 + c x + d."""
    p = c - b * b / 3.0
    q = (2.0 * b * b - 9.0 * c) * b / 27.0 + d
    sign = torch.where(q >= 0, -1.0, 1.0).to(q.dtype)
    half = q.abs() / 2.0
    discriminant = half * half + p * p * p / 27.0
    # One real root: Cardano, with the sum that does not cancel.
    u = (half + discriminant.clamp_min(0.0).sqrt()).clamp_min(1e-30).pow(1.0 / 3.0)
    single = u - p / (3.0 * u)
    # Three: the one farthest from the other two.
    radius = (-p / 3.0).clamp_min(1e-30).sqrt()
    angle = torch.acos((half / (radius * radius * radius)).clamp(-1.0, 1.0))
    triple = 2.0 * radius * torch.cos(angle / 3.0)
    x = sign * torch.where(discriminant > 0, single, triple) - b / 3.0
    for _ in range(2):
        value = ((x + b) * x + c) * x + d
        slope = (3.0 * x + 2.0 * b) * x + c
        x = x - torch.where(slope.abs() > 1e-12, value / slope, torch.zeros_like(x))
    return x


def _line_pair(degenerate: Conic) -> tuple[torch.Tensor, torch.Tensor]:
    """The two lines [3 x N] of a degenerate conic whose lines are real."""
    adjugate = _adjugate(degenerate)
    diagonal = torch.stack([adjugate[0], adjugate[3], adjugate[5]])
    column = diagonal.abs().argmax(dim=0)
    a00, a01, a02, a11, a12, a22 = adjugate
    columns = torch.stack([a00, a01, a02, a01, a11, a12, a02, a12, a22]).unflatten(0, (3, 3))
    chosen = columns.gather(0, column.expand(1, 3, -1))[0]
    size = (-diagonal.gather(0, column[None])[0]).clamp_min(0.0).sqrt().clamp_min(1e-15)
    px, py, pz = chosen / size
    q00, q01, q02, q11, q12, q22 = degenerate
    rank_one = torch.stack(
        [q00, q01 - pz, q02 + py, q01 + pz, q11, q12 - px, q02 - py, q12 + px, q22]
    )
    largest = rank_one.abs().argmax(dim=0)
    rank_one = rank_one.unflatten(0, (3, 3))
    row = rank_one.gather(0, (largest // 3).expand(1, 3, -1))[0]
    column_line = rank_one.gather(1, (largest % 3).expand(3, 1, -1))[:, 0]
    return row, column_line


def _meet(line_3N: torch.Tensor, conic: Conic) -> torch.Tensor:
    """The two points [2 x 3 x N] where a line meets a conic, NaN where they are not real."""
    # Two points u, v of the line: its cross products with the two axes that are least along it.
    x, y, z = line_3N / line_3N.norm(dim=0)
    zero = torch.zeros_like(x)
    by_x, by_y, by_z = (
        torch.stack([zero, z, -y]),
        torch.stack([-z, zero, x]),
        torch.stack([y, -x, zero]),
    )
    largest = torch.stack([x, y, z]).abs().argmax(dim=0)
    u = torch.where(largest == 0, by_y, by_x)
    v = torch.where(largest == 2, by_y, by_z)
    uu, uv, vv = _apply(conic, u, u), _apply(conic, u, v), _apply(conic, v, v)
    root = (uv * uv - uu * vv).sqrt()
    stable = -uv - torch.where(uv >= 0, root, -root)
    return torch.stack([stable * u + uu * v, vv * u + stable * v])


def _apply(q: Conic, left_3N: torch.Tensor, right_3N: torch.Tensor) -> torch.Tensor:
    l0, l1, l2 = left_3N
    r0, r1, r2 = right_3N
    value: torch.Tensor = (
        l0 * (q[0] * r0 + q[1] * r1 + q[2] * r2)
        + l1 * (q[1] * r0 + q[3] * r1 + q[4] * r2)
        + l2 * (q[2] * r0 + q[4] * r1 + q[5] * r2)
    )
    return value


def _polish(depths_43N: torch.Tensor, a_3N: torch.Tensor, cosines_3N: torch.Tensor) -> torch.Tensor:
    """One Gauss-Newton step on the three distance equations; the Jacobian has three zeros."""
    residual = _distance_forms(depths_43N, cosines_3N) - a_3N
    first, second = depths_43N[:, [0, 0, 1]], depths_43N[:, [1, 2, 2]]
    by_first = 2.0 * (first - cosines_3N * second)
    by_second = 2.0 * (second - cosines_3N * first)
    j11, j21, j32 = by_first.unbind(dim=1)
    j12, j23, j33 = by_second.unbind(dim=1)
    r1, r2, r3 = residual.unbind(dim=1)
    # Rows (j11, j12, 0), (j21, 0, j23), (0, j32, j33), solved by Cramer's rule.
    determinant = -j11 * j23 * j32 - j12 * j21 * j33
    inverse = torch.where(determinant.abs() > 1e-10, 1.0 / determinant, torch.zeros_like(r1))
    step = torch.stack(
        [
            -j23 * j32 * r1 - j12 * j33 * r2 + j12 * j23 * r3,
            -j21 * j33 * r1 + j11 * j33 * r2 - j11 * j23 * r3,
            j21 * j32 * r1 - j11 * j32 * r2 - j12 * j21 * r3,
        ],
        dim=1,
    )
    return depths_43N - step * inverse[:, None]


def _frame(points_K33N: torch.Tensor) -> torch.Tensor:
    """Right-handed axes of each triangle, [K x component x axis x N]."""
    along = points_K33N[:, 1] - points_K33N[:, 0]
    along = along / along.norm(dim=1, keepdim=True)
    normal = torch.linalg.cross(along, points_K33N[:, 2] - points_K33N[:, 0], dim=1)
    normal = normal / normal.norm(dim=1, keepdim=True)
    return torch.stack([along, torch.linalg.cross(normal, along, dim=1), normal], dim=2)
