# SPDX-License-Identifier: Apache-2.0
"""What is known about one child frame: its parent and transform, over time or for ever.

Times are integer nanoseconds. Time 0 asks for the latest.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from tf2_ros.exceptions import ExtrapolationException
from tf2_ros.rigid import Rigid, interpolate


class Sample(NamedTuple):
    stamp: int
    parent: str
    parent_T_child: Rigid


class StaticTimeline:
    """One sample, valid at all times; clear() keeps it."""

    def __init__(self) -> None:
        self._sample: Sample | None = None

    def insert(self, sample: Sample) -> bool:
        self._sample = sample
        return True

    def at(self, time: int) -> Sample:
        assert self._sample is not None  # a timeline is made for its first sample
        return self._sample

    def latest(self) -> Sample | None:
        # Stamp 0: a static transform does not limit the latest common time.
        return self.at(0)._replace(stamp=0)

    def clear(self) -> None:
        pass


class MovingTimeline:
    """Samples of the last cache_time nanoseconds, interpolated between, never beyond."""

    def __init__(self, cache_time: int) -> None:
        self._cache_time = cache_time
        self._samples: list[Sample] = []
        self._stamps: list[int] = []

    def insert(self, sample: Sample) -> bool:
        """False when the sample is older than everything that is kept."""
        if self._stamps:
            horizon = self._stamps[-1] - self._cache_time
            keep = next(i for i, stamp in enumerate(self._stamps) if stamp >= horizon)
            del self._samples[:keep], self._stamps[:keep]
            if sample.stamp < horizon:
                return False
        place = bisect_right(self._stamps, sample.stamp)
        twin = place
        while twin > 0 and self._stamps[twin - 1] == sample.stamp:
            twin -= 1
            if self._samples[twin] == sample:
                return True
        self._samples.insert(place, sample)
        self._stamps.insert(place, sample.stamp)
        return True

    def at(self, time: int) -> Sample:
        """The sample at a time; ExtrapolationException outside of what is kept."""
        if not self._samples:
            raise ExtrapolationException("No transform is in the buffer")
        if time == 0:
            return self._samples[-1]
        oldest, newest = self._stamps[0], self._stamps[-1]
        if oldest == newest != time and len(self._stamps) == 1:
            raise ExtrapolationException(
                f"Lookup would require extrapolation at time {_seconds(time)}, "
                f"but only time {_seconds(newest)} is in the buffer"
            )
        if time > newest:
            raise ExtrapolationException(
                "Lookup would require extrapolation into the future.  Requested time "
                f"{_seconds(time)} but the latest data is at time {_seconds(newest)}"
            )
        if time < oldest:
            raise ExtrapolationException(
                "Lookup would require extrapolation into the past.  Requested time "
                f"{_seconds(time)} but the earliest data is at time {_seconds(oldest)}"
            )
        if time in (newest, oldest):
            return self._samples[-1 if time == newest else 0]
        place = bisect_right(self._stamps, time)
        before, after = self._samples[place - 1], self._samples[place]
        if before.parent != after.parent:
            return before
        fraction = (time - before.stamp) / (after.stamp - before.stamp)
        moved = interpolate(before.parent_T_child, after.parent_T_child, fraction)
        return Sample(time, before.parent, moved)

    def latest(self) -> Sample | None:
        return self._samples[-1] if self._samples else None

    def clear(self) -> None:
        self._samples.clear()
        self._stamps.clear()


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"
