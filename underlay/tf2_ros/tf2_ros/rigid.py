# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as (translation xyz, quaternion xyzw) tuples of floats."""

from __future__ import annotations

import math

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Rigid = tuple[Vector, Quaternion]

IDENTITY: Rigid = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def rotate(q: Quaternion, v: Vector) -> Vector:
    x, y, z, _ = multiply(multiply(q, (*v, 0.0)), (-q[0], -q[1], -q[2], q[3]))
    return (x, y, z)


def compose(a_T_b: Rigid, b_T_c: Rigid) -> Rigid:
    x, y, z = rotate(a_T_b[1], b_T_c[0])
    tx, ty, tz = a_T_b[0]
    return (x + tx, y + ty, z + tz), multiply(a_T_b[1], b_T_c[1])


def invert(a_T_b: Rigid) -> Rigid:
    (tx, ty, tz), (x, y, z, w) = a_T_b
    back = (-x, -y, -z, w)
    return rotate(back, (-tx, -ty, -tz)), back


def interpolate(first: Rigid, second: Rigid, fraction: float) -> Rigid:
    """Linear in the translation, along the shorter arc in the rotation."""
    (ax, ay, az), qa = first
    (bx, by, bz), qb = second
    translation = (
        ax + fraction * (bx - ax),
        ay + fraction * (by - ay),
        az + fraction * (bz - az),
    )
    return translation, _slerp(qa, qb, fraction)


def _slerp(a: Quaternion, b: Quaternion, fraction: float) -> Quaternion:
    cosine = sum(i * j for i, j in zip(a, b, strict=True))
    sign = 1.0 if cosine >= 0.0 else -1.0
    angle = math.acos(min(1.0, abs(cosine)))
    if angle < 1e-6:  # the two are the same to the last digits: sin(angle) would divide by zero
        wa, wb = 1.0 - fraction, fraction * sign
    else:
        wa = math.sin((1.0 - fraction) * angle) / math.sin(angle)
        wb = math.sin(fraction * angle) / math.sin(angle) * sign
    x, y, z, w = (wa * i + wb * j for i, j in zip(a, b, strict=True))
    return _unit((x, y, z, w))


def normalized(a_T_b: Rigid) -> Rigid:
    """With a unit quaternion; nan where it is zero."""
    return a_T_b[0], _unit(a_T_b[1])


def _unit(q: Quaternion) -> Quaternion:
    norm = math.sqrt(sum(value * value for value in q)) or math.nan
    return (q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm)
