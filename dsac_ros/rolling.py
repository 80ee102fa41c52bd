# SPDX-License-Identifier: Apache-2.0
"""Rates and percentiles over the last seconds."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class RollingWindow:
    """Values with the times at which they came; those older than the window are forgotten.

    Times are seconds of any clock that does not go back; after a jump of it, ``clear``.

    Args:
        seconds: Length of the window.
        capacity: At most so many values are kept, the newest.
    """

    def __init__(self, seconds: float = 10.0, capacity: int = 1000) -> None:
        """No values."""
        self._seconds = seconds
        self._values: deque[tuple[float, float]] = deque(maxlen=capacity)

    def add(self, now: float, value: float = 0.0) -> None:
        """Keep a value; without one, only that something happened."""
        self._values.append((now, value))

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()

    def rate(self, now: float) -> float:
        """Values per second; 0 where fewer than two came within the window.

        It falls as soon as they stay away, not only when they have left the window.
        """
        self._forget(now)
        if len(self._values) < 2:
            return 0.0
        first, last = self._values[0][0], self._values[-1][0]
        if last <= first:
            return 0.0
        interval = (last - first) / (len(self._values) - 1)
        return 1.0 / max(interval, (now - first) / len(self._values))

    def percentiles(self, now: float, wanted: Sequence[float]) -> list[float]:
        """Percentiles (0 to 100) of the values; NaN where there are none."""
        self._forget(now)
        if not self._values:
            return [math.nan] * len(wanted)
        values = [value for _, value in self._values]
        return [float(each) for each in np.percentile(values, wanted)]

    def __len__(self) -> int:
        return len(self._values)

    def _forget(self, now: float) -> None:
        while self._values and now - self._values[0][0] > self._seconds:
            self._values.popleft()
