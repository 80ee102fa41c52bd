# SPDX-License-Identifier: Apache-2.0
"""Camera poses from three points each, for thousands of triples at once.

The squared distances of the points are quadratic forms of their depths x along the rays,

    Q_i(x) = (x_i - x_i+1)^2 + h_i x_i x_i+1 = a_i,    h_i = |ray_i - ray_i+1|^2 = 2 - 2 cos,

for the pairs i = 01, 12, 20; in this form nothing cancels if the rays are close together. With
weights w, w . a = 0, the conics sum_i w_i Q_i(x) = 0 all meet in the solutions. They are a pencil.
Where the determinant vanishes, at a root of a cubic, the conic is a pair of lines, and each meets
another conic of the pencil in up to two points (Persson & Nordberg, "Lambda Twist", ECCV 2018;
Ding et al., "Revisiting the P3P Problem", CVPR 2023; for pairs of lines and adjugates
Richter-Gebert, "Perspectives on Projective Geometry", 2011, section 11.1). With s_i = sin^2,

    det = sum_i s_i w_i^2 (w_i+1 + w_i+2) + 2 (1 - cos_0 cos_1 cos_2) w_0 w_1 w_2.

Gauss-Newton on the distances then polishes the depths, so that single precision suffices.

The batch comes last ([..., N]); R are the four roots, of which K are left in all. A suffix 5 marks
rows 0, 1, 2, 0, 1, of which slices are the rows in cyclic order. Time goes into starting operations
and into passing over memory, hence the views, the operations in place, and that only real solutions
with positive depths get past the conics.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

_POLISHING_STEPS = 2
# Of squared distances, as a part of their sum. What does not fit well is left to the fourth point.
_LARGEST_RESIDUAL = 3e-3
# By how much the discriminant of a double root may come out negative, in units of the precision.
_ROOT_SLACK = 100.0


class P3PSolutions(NamedTuple):
    """The K solutions of all triples, ordered by triple; all numbers are finite."""

    rotation_33K: torch.Tensor  # camera from world
    translation_3K: torch.Tensor
    triple_K: torch.Tensor  # int64: which triple each solves; ascending


@torch.no_grad()
def solve_p3p(rays_33N: torch.Tensor, points_33N: torch.Tensor) -> P3PSolutions:
    """Poses (world to camera) that put three world points on three camera rays.

    Not differentiable: the gradient of a pose is taken where it was refined, by the implicit
    function theorem (`dsac_core.solvers.implicit`).

    Args:
        rays_33N: Unit vectors in the camera frame, [ray, component, batch].
        points_33N: World points in metres, [point, component, batch].

    Returns:
        Up to four poses per triple. Degenerate triples (collinear or repeated points, NaN,
        infinity) have none.
    """
    both_233N = torch.stack([rays_33N, points_33N])
    squares_23N = _squared_sides(both_233N)  # h, a
    size_N = _sum(squares_23N[1])
    squares_23N[1] /= size_N
    ratios_2RN, shift_2N = _depth_ratios(squares_23N)

    count = ratios_2RN.shape[2]
    triple_K, root_K = (torch.minimum(*ratios_2RN) > 0).T.nonzero().unbind(dim=1)
    ratios_2K = ratios_2RN.flatten(1).index_select(1, root_K * count + triple_K)
    depths_3K = _shift_back(ratios_2K, shift_2N.index_select(1, triple_K))
    squares_6K = squares_23N.flatten(0, 1).index_select(1, triple_K)
    depths_3K, residual_3K = _polish(depths_3K, squares_6K[:3], squares_6K[3:])
    fits_3K = (depths_3K > 0) & (residual_3K.abs_() < _LARGEST_RESIDUAL)

    size_K = size_N.index_select(0, triple_K)
    both_233K = both_233N.flatten(0, 2).index_select(1, triple_K).unflatten(0, (2, 3, 3))
    both_233K[0] *= (depths_3K * size_K.sqrt())[:, None]
    poses_43K, rigid_K = _align(both_233K, size_K)
    (kept,) = (fits_3K[0] & fits_3K[1] & fits_3K[2] & rigid_K).nonzero(as_tuple=True)
    poses_43K = poses_43K.index_select(2, kept)
    return P3PSolutions(poses_43K[:3], poses_43K[3], triple_K.index_select(0, kept))


def _sum(x_3N: torch.Tensor) -> torch.Tensor:
    """Over the first dimension, several times faster than `torch.sum`."""
    x, y, z = x_3N.unbind()
    return (x + y).add_(z)


def _cyclic(x_3N: torch.Tensor) -> torch.Tensor:
    """Rows 0, 1, 2, 0, 1."""
    return torch.cat([x_3N, x_3N[:2]])


def _squared_sides(corners_B33N: torch.Tensor) -> torch.Tensor:
    """Of triangles [B x corner x component x N], the sides 01, 12, 20 [B x 3 x N]."""
    sides = torch.empty_like(corners_B33N)
    torch.sub(corners_B33N[:, 1:], corners_B33N[:, :2], out=sides[:, :2])
    torch.sub(corners_B33N[:, 0], corners_B33N[:, 2], out=sides[:, 2])
    return _sum(sides.square_().movedim(2, 0))


def _depth_ratios(squares_23N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Four times two depths [2 x 4 x N] in units of the third one, NaN where they are not real.

    The second result [2 x N] says which one is the third: it is for `_shift_back`.
    """
    a_3N = squares_23N[1]
    h_5N = _cyclic(squares_23N[0])
    versine_5N = 0.5 * h_5N
    cosine_5N = 1.0 - versine_5N
    sine2_5N = torch.addcmul(h_5N, versine_5N, versine_5N, value=-1)
    # Two weights that span the pencil: e0 - a0 (1, 1, 1) and e2 - a2 (1, 1, 1), with sum(a) = 1.
    basis_52N = a_3N[::2].neg().expand(5, 2, -1).contiguous()
    basis_52N[::3, 0] += 1.0
    basis_52N[2, 1] += 1.0
    cubic_22N = _pencil_determinant(basis_52N, versine_5N, cosine_5N, sine2_5N)
    # The unknown is the ratio of the coordinates in that basis; swap them where it would be large.
    swap_N = cubic_22N[0, 0].abs() > cubic_22N[0, 1].abs()
    cubic_22N = torch.where(swap_N, cubic_22N.flip(1), cubic_22N)
    (d, _), (c, b) = cubic_22N / cubic_22N[0, 1]
    x = _separated_cubic_root(b, c, d)
    unit = x.abs().clamp_min_(1.0).reciprocal_()
    x *= unit
    u, v = torch.where(swap_N, x, unit), torch.where(swap_N, unit, x)
    first, second = basis_52N.unbind(dim=1)
    lines, other = (u * first).addcmul_(v, second), (u * second).addcmul_(v, first, value=-1)
    return _meet(torch.stack([lines, other, cosine_5N]), sine2_5N)


def _pencil_determinant(
    basis_52N: torch.Tensor,
    versine_5N: torch.Tensor,
    cosine_5N: torch.Tensor,
    sine2_5N: torch.Tensor,
) -> torch.Tensor:
    """The coefficients [[3 uuu, 3 vvv], [uuv, uvv]] of det(u first + v second)."""
    g0, g1, g2 = versine_5N[:3].unbind()
    c0, c1 = cosine_5N[:2].unbind()
    product = torch.addcmul(g0, c0, torch.addcmul(g1, c1, g2)).mul_(2.0)  # 2 (1 - c0 c1 c2)
    once = basis_52N * sine2_5N[:, None]
    twice = once * basis_52N
    following, last = basis_52N[1:4], basis_52N[2:5]
    gradient = (following + last).mul_(once[:3]).mul_(2.0)
    gradient += twice[1:4]
    gradient += twice[2:5]
    gradient.addcmul_(following * last, product)
    return torch.stack([_sum(gradient * basis_52N[:3]), _sum(gradient * basis_52N[:3].flip(1))])


def _separated_cubic_root(b: torch.Tensor, c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """The best separated real root of x^3 + 3 b x^2 + 3 c x + d."""
    # With x = y - b it is y^3 + 3 p y + 2 q.
    p = torch.addcmul(c, b, b, value=-1)
    q = torch.addcmul(d, b, torch.add(c, p, alpha=2), value=-1).mul_(0.5)
    size = q.abs()
    discriminant = (p * p).mul_(p).addcmul_(q, q)
    # One real root: Cardano, with the sum that does not cancel.
    cube_root = discriminant.clamp_min(0.0).sqrt_().add_(size).clamp_min_(1e-30).pow_(1.0 / 3.0)
    single = cube_root - p / cube_root
    # Three: the one farthest from the other two.
    radius = p.neg().clamp_min_(1e-20).sqrt_()
    cosine = (size / (radius * radius).mul_(radius)).clamp_max_(1.0)
    triple = cosine.acos_().div_(3.0).cos_().mul_(radius).mul_(2.0)
    return torch.where(discriminant > 0, single, triple).copysign_(q).add_(b).neg_()


def _meet(pencil_35N: torch.Tensor, sine2_5N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where a pair of lines meets another conic: the results of `_depth_ratios`.

    Args:
        pencil_35N: Weights of the pair of lines, weights of the conic, cosines.
        sine2_5N: Squared sines.
    """
    # The adjugate of the lines' matrix is -p p^T, with p where they cross. Its diagonal entries (of
    # corner i-1: s_i w_i^2 + w0 w1 + w1 w2 + w2 w0) tell the largest coordinate of p, which has
    # number 0 from here on.
    w_3N = pencil_35N[0, :3]
    w0, w1, w2 = w_3N.unbind()
    entry0, entry1, entry2 = (sine2_5N[:3] * w_3N).mul_(w_3N).unbind()
    least01 = torch.minimum(entry0, entry1)
    by_1, by_2 = entry1 < entry0, entry2 < least01
    p0_squared = torch.minimum(least01, entry2).add_((w0 + w2).mul_(w1)).addcmul_(w0, w2)
    p0_squared.neg_().clamp_min_(1e-30)
    shifted = torch.where(by_1, pencil_35N[:, :3], pencil_35N[:, 2:])
    shifted_33N = torch.where(by_2, pencil_35N[:, 1:4], shifted)

    # Matrices of lines and conic: on the diagonal sums of two weights, off it -w cos, here negated.
    (l11, l22), (m11, m22) = shifted_33N[:2, :2] + shifted_33N[:2, 1:]
    (l01, l12, l20), (m01, m12, m20) = shifted_33N[:2] * shifted_33N[2]
    m00 = shifted_33N[1, 0] + shifted_33N[1, 2]
    # The lines join p = (1, p1, p2) to where they meet the line x0 = 0, the points (0, q1, q2).
    p1 = (l20 * l12).addcmul_(l01, l22).div_(p0_squared).neg_()
    p2 = (l01 * l12).addcmul_(l20, l11).div_(p0_squared).neg_()
    larger = p0_squared.sqrt_().copysign_(l12).add_(l12)
    q_22N = torch.stack([larger, l22, l11, larger]).unflatten(0, (2, 2))  # [coordinate, line, N]
    q1, q2 = q_22N.unbind()
    # The conic in (1, p1, p2) + t (0, q1, q2): pp + 2 pq t + qq t^2.
    row1 = (m11 * p1).sub_(m01).addcmul_(m12, p2, value=-1)
    row2 = (m22 * p2).sub_(m20).addcmul_(m12, p1, value=-1)
    pq = (q1 * row1).addcmul_(q2, row2)
    qq = (q1 * q1).mul_(m11).addcmul_(q2 * q2, m22).addcmul_(q1 * q2, m12, value=-2)
    pp = row1.sub_(m01).mul_(p1).addcmul_(row2.sub_(m20), p2).add_(m00)
    # Rounding must not make a double root a complex one.
    slack = 1.0 + _ROOT_SLACK * torch.finfo(pq.dtype).eps
    root = (pq * pq).mul_(slack).addcmul_(pp, qq, value=-1).sqrt_()
    stable = root.copysign_(pq).add_(pq).neg_()
    t_22N = torch.stack([stable / qq, pp / stable])
    x1, x2 = (t_22N * q1).add_(p1), (t_22N * q2).add_(p2)
    return torch.stack([x1, x2]).flatten(1, 2), torch.stack([by_1, by_2])


def _shift_back(ratios_2K: torch.Tensor, shift_2K: torch.Tensor) -> torch.Tensor:
    """Depths [3 x K], up to scale, in the order of the points."""
    one = torch.ones_like(ratios_2K[:1])
    x_5K = torch.cat([one, ratios_2K, one, ratios_2K[:1]])
    by_1, by_2 = shift_2K.unbind()
    return torch.where(by_2, x_5K[2:], torch.where(by_1, x_5K[:3], x_5K[1:4]))


def _polish(
    depths_3K: torch.Tensor, h_3K: torch.Tensor, a_3K: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Depths to scale, and what is left of the three distance equations [3 x K]."""
    forms_3K = _forms(depths_3K, depths_3K.roll(-1, 0), h_3K)
    x_6K = torch.cat([depths_3K, depths_3K]).mul_(_sum(forms_3K).rsqrt_())  # as sum(a) = 1
    h_5K, a_5K = _cyclic(h_3K), _cyclic(a_3K)
    for _ in range(_POLISHING_STEPS):
        x_6K[:3] -= _gauss_newton_step(x_6K, h_5K, a_5K)
        x_6K[3:] = x_6K[:3]
    return x_6K[:3], _forms(x_6K[:3], x_6K[1:4], h_3K).sub_(a_3K)


def _forms(first: torch.Tensor, second: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Squared distances between points at these depths."""
    difference = first - second
    return (difference * difference).addcmul_(h * first, second)


def _gauss_newton_step(x_6K: torch.Tensor, h_5K: torch.Tensor, a_5K: torch.Tensor) -> torch.Tensor:
    """What to subtract from the depths [3 x K]."""
    first, second = x_6K[:5], x_6K[1:]
    difference = first - second
    s = h_5K * first
    residual = (difference * difference).sub_(a_5K).addcmul_(s, second)
    f = torch.addcmul(difference.mul_(2.0), h_5K, second)
    s -= difference
    # The Jacobian's rows (f0, s0, 0), (0, f1, s1), (s2, 0, f2), solved by Cramer's rule.
    f0, f1, f2 = f[:3].unbind()
    s0, s1, s2 = s[:3].unbind()
    determinant = (f0 * f1).mul_(f2).addcmul_(s0 * s1, s2)
    step = (f[1:4] * residual[:3]).addcmul_(s[:3], residual[1:4], value=-1)
    return step.mul_(f[2:]).addcmul_(s[:3] * s[1:4], residual[2:]).div_(determinant)


def _align(corners_233K: torch.Tensor, size_K: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses [rotation rows, translation; 3; K] that move the second triangles onto the first.

    The second result says which ones are good: neither triangle is a line, that is, lower than the
    root of the precision, below which rounding says how the triangle is turned about the line.
    """
    along, other = (corners_233K[:, 1:] - corners_233K[:, :1]).unbind(dim=1)
    length2_2K = _sum((along * along).movedim(1, 0))
    along *= length2_2K.rsqrt()[:, None]
    normal = _cross(along, other)
    height2_2K = _sum((normal * normal).movedim(1, 0))
    least = size_K * torch.finfo(size_K.dtype).eps
    good_2K = torch.minimum(length2_2K, height2_2K) > least
    normal *= height2_2K.rsqrt_()[:, None]
    third = _cross(normal, along)

    rotation_33K = along[0][:, None] * along[1]
    rotation_33K.addcmul_(normal[0][:, None], normal[1]).addcmul_(third[0][:, None], third[1])
    moved_3K = _sum((rotation_33K * corners_233K[1, 0]).movedim(1, 0))
    translation_3K = corners_233K[0, 0] - moved_3K
    return torch.cat([rotation_33K, translation_3K[None]]), good_2K[0] & good_2K[1]


def _cross(left_23K: torch.Tensor, right_23K: torch.Tensor) -> torch.Tensor:
    """Many times faster than `torch.linalg.cross` along this dimension."""
    l0, l1, l2 = left_23K.unbind(dim=1)
    r0, r1, r2 = right_23K.unbind(dim=1)
    return torch.stack(
        [
            (l1 * r2).addcmul_(l2, r1, value=-1),
            (l2 * r0).addcmul_(l0, r2, value=-1),
            (l0 * r1).addcmul_(l1, r0, value=-1),
        ],
        dim=1,
    )
