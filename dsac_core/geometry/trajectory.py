# SPDX-License-Identifier: Apache-2.0
"""Poses over time, asked for at any time between them."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.geometry.pose import interpolate, pose_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MAX_GAP = 500_000_000  # ns, as odometry may pause
_STILL = (0.02, np.radians(1.0))  # metres and radians that are no motion


class Trajectory:
    """a_T_b over time.

    Args:
        samples: Stamps in nanoseconds and poses [4 x 4], in any order; of equal stamps the last
            counts.
        max_gap: Nanoseconds between two poses that may still be joined.
        max_still_gap: The same where the two are within 2 cm and 1 degree.
    """

    def __init__(
        self,
        samples: Iterable[tuple[int, FloatArray]],
        max_gap: int = MAX_GAP,
        max_still_gap: int = 0,
    ) -> None:
        """Sort the samples."""
        self._max_gap, self._max_still_gap = max_gap, max_still_gap
        by_stamp = dict(samples)
        self._stamps = sorted(by_stamp)
        self._poses = [by_stamp[stamp] for stamp in self._stamps]

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def stamps(self) -> list[int]:
        """Nanoseconds, ascending."""
        return self._stamps

    @property
    def positions_N3(self) -> FloatArray:
        """Where b was in a, in the order of ``stamps``."""
        return np.array([pose[:3, 3] for pose in self._poses]).reshape(-1, 3)

    def with_max_gap(self, max_gap: int) -> Trajectory:
        """The same poses, joined over so many nanoseconds."""
        samples = zip(self._stamps, self._poses, strict=True)
        return Trajectory(samples, max_gap, self._max_still_gap)

    def at(self, stamp: int) -> FloatArray | None:
        """The pose [4 x 4] at a time, interpolated; None outside, or in a gap."""
        after = bisect_left(self._stamps, stamp)
        if after < len(self._stamps) and self._stamps[after] == stamp:
            return self._poses[after]
        if after in (0, len(self._stamps)):
            return None
        start, end = self._stamps[after - 1], self._stamps[after]
        before, behind = self._poses[after - 1], self._poses[after]
        gap = end - start
        if gap > self._max_gap and (gap > self._max_still_gap or _moved(before, behind)):
            return None
        return interpolate(before, behind, (stamp - start) / gap)


def _moved(a_T_b0: FloatArray, a_T_b1: FloatArray) -> bool:
    distance, angle = pose_error(a_T_b0, a_T_b1)
    return distance > _STILL[0] or angle > _STILL[1]
