# SPDX-License-Identifier: Apache-2.0
"""The gate between what one image says and what the robot is told.

A fix that fits the last accepted one, carried forward by odometry, passes a chi-square test. One
that does not is a jump: a wrong fix, or a robot that was carried away. Wrong fixes seldom agree
with each other, so a jump is believed once several fixes in a row agree. The same holds for the
first fix of all, unless somebody said where the body is: what agrees with that is believed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import gammaincinv

from dsac_core.errors import ConfigError
from dsac_core.geometry.pose import invert, transport_covariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GateLimits:
    """What the gate believes of odometry, of motion, and of agreement."""

    probability: float = 0.999  # of a true fix to pass the chi-square test
    initial_fixes: int = 2  # agreeing fixes that make the first pose; 1 trusts every fix
    jump_fixes: int = 3  # agreeing fixes that confirm a jump; 1 trusts every jump
    agree_within: float = 5.0  # s, fixes further apart do not confirm each other
    floor_translation: float = 0.03  # m, standard deviation that no fix is better than
    floor_rotation: float = 0.015  # rad, the same for rotation
    odometry_translation: float = 0.1  # m of standard deviation per metre travelled
    odometry_rotation: float = 0.1  # rad of standard deviation per radian turned
    speed: float = 1.0  # m/s of standard deviation where there is no odometry
    turn_rate: float = 1.0  # rad/s of standard deviation where there is no odometry

    def __post_init__(self) -> None:
        """Refuse limits under which the test means nothing."""
        if not 0.0 < self.probability < 1.0:
            msg = f"gate: the probability must lie between 0 and 1, got {self.probability}"
            raise ConfigError(msg)
        if self.initial_fixes < 1 or self.jump_fixes < 1:
            msg = (
                "gate: initial_fixes and jump_fixes must be at least 1,"
                f" got {self.initial_fixes} and {self.jump_fixes}"
            )
            raise ConfigError(msg)
        if self.floor_translation <= 0 or self.floor_rotation <= 0:
            msg = (
                "gate: the floors must be positive,"
                f" got {self.floor_translation} m and {self.floor_rotation} rad"
            )
            raise ConfigError(msg)

    @cached_property
    def threshold(self) -> float:
        """The squared Mahalanobis distance that a true fix stays below."""
        # Chi-square with 6 degrees of freedom. scipy.stats says it in words, in half a second.
        return float(2.0 * gammaincinv(6 / 2, self.probability))


@dataclass(frozen=True)
class Fix:
    """One pose of the body, as an image gave it."""

    stamp: float  # s
    map_T_body: FloatArray  # [4 x 4]
    covariance: FloatArray  # [6 x 6], fixed axes of the map (REP-103)
    odom_T_body: FloatArray | None = None  # [4 x 4] at the same stamp, where odometry is known


@dataclass(frozen=True)
class GateVerdict:
    """Whether a fix may be published, and why."""

    accepted: bool
    reason: str


class Gate:
    """Remembers the last accepted fix and the run of agreeing ones that may replace it."""

    def __init__(self, limits: GateLimits) -> None:
        """No fix yet."""
        self._run: list[Fix] = []
        self._last: Fix | None = None
        self._said: Fix | None = None
        self.limits = limits  # may be replaced at any time

    def reset(self) -> None:
        """Forget every fix, as when lost: the next pose needs agreeing fixes again."""
        self._last = self._said = None
        self._run = []

    def suggest(self, said: Fix) -> None:
        """Start over from what somebody says: the next fix that agrees with it is believed."""
        self.reset()
        self._said = said

    def expected(self, stamp: float, odom_T_body: FloatArray | None) -> Fix | None:
        """Where the body must be at ``stamp`` seconds, by the last fix, or else by what was said.

        Its covariance grows with the way that odometry tells, or without one with time.
        """
        known = self._last or self._said
        if known is None:
            return None
        map_T_body, covariance = self._carry(known, stamp, odom_T_body)
        return Fix(stamp, map_T_body, covariance, odom_T_body)

    def moved(self, odom_T_body: FloatArray) -> tuple[float, float] | None:
        """Metres and radians since the last fix; None where that or its odometry is not known."""
        if self._last is None or self._last.odom_T_body is None:
            return None
        motion = invert(self._last.odom_T_body) @ odom_T_body
        turn = Rotation.from_matrix(motion[:3, :3]).magnitude()
        return float(np.linalg.norm(motion[:3, 3])), float(turn)

    def check(self, fix: Fix) -> GateVerdict:
        """Judge a fix and remember it."""
        if self._last is not None:
            distance = self.squared_distance(self._last, fix)
            if distance <= self.limits.threshold:
                return self._accept(fix, "agrees with the last fix")
        elif self._said is not None:
            distance = self.squared_distance(self._said, fix)
            if distance <= self.limits.threshold:
                return self._accept(fix, "agrees with the pose to start from")
        agrees = bool(self._run) and self._agree(self._run[-1], fix)
        self._run = [*self._run, fix] if agrees else [fix]
        needed = self.limits.initial_fixes if self._last is None else self.limits.jump_fixes
        count = len(self._run)
        if count >= needed:
            what = "first fix" if self._last is None else "jump"
            return self._accept(fix, f"{what}, confirmed by {count} agreeing fixes")
        waiting = f"{count} of {needed} agreeing fixes"
        if self._last is None:
            against = ", disagrees with the pose to start from" if self._said is not None else ""
            return GateVerdict(accepted=False, reason=f"waits for {waiting}{against}")
        metres = float(np.linalg.norm(fix.map_T_body[:3, 3] - self._last.map_T_body[:3, 3]))
        against = "odometry" if fix.odom_T_body is not None else "the last fix"
        reason = (
            f"jump to {metres:.2f} m away against {against}"
            f" (chi-square {distance:.0f} > {self.limits.threshold:.0f}), {waiting}"
        )
        return GateVerdict(accepted=False, reason=reason)

    def squared_distance(self, before: Fix, fix: Fix) -> float:
        """Mahalanobis distance squared of ``fix`` from ``before`` carried forward; 6 on average."""
        predicted, spread = self._carry(before, fix.stamp, fix.odom_T_body)
        innovation = np.empty(6)
        innovation[:3] = fix.map_T_body[:3, 3] - predicted[:3, 3]
        turn = Rotation.from_matrix(fix.map_T_body[:3, :3] @ predicted[:3, :3].T)
        innovation[3:] = turn.as_rotvec()
        spread = spread + fix.covariance + self._floor()
        return float(innovation @ np.linalg.solve(spread, innovation))

    def _agree(self, before: Fix, fix: Fix) -> bool:
        apart = abs(fix.stamp - before.stamp)
        return (
            apart <= self.limits.agree_within
            and self.squared_distance(before, fix) <= self.limits.threshold
        )

    def _accept(self, fix: Fix, reason: str) -> GateVerdict:
        self._last, self._said = fix, None
        self._run = []
        return GateVerdict(accepted=True, reason=reason)

    def _carry(
        self, before: Fix, stamp: float, odom_T_body: FloatArray | None
    ) -> tuple[FloatArray, FloatArray]:
        """Where ``before`` would be at another time, and how uncertain that is."""
        limits = self.limits
        if before.odom_T_body is None or odom_T_body is None:
            seconds = abs(stamp - before.stamp)
            metres, radians = limits.speed * seconds, limits.turn_rate * seconds
            return before.map_T_body, before.covariance + _diagonal(metres, radians)
        motion = invert(before.odom_T_body) @ odom_T_body
        metres = limits.odometry_translation * float(np.linalg.norm(motion[:3, 3]))
        turned = float(Rotation.from_matrix(motion[:3, :3]).magnitude())
        radians = limits.odometry_rotation * turned
        moved = transport_covariance(before.covariance, before.map_T_body, motion)
        return before.map_T_body @ motion, moved + _diagonal(metres, radians)

    def _floor(self) -> FloatArray:
        return _diagonal(self.limits.floor_translation, self.limits.floor_rotation)


def _diagonal(metres: float, radians: float) -> FloatArray:
    return np.diag([metres**2] * 3 + [radians**2] * 3)
