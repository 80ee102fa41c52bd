# SPDX-License-Identifier: Apache-2.0
"""Which images may be used, judged by their stamps alone.

Bags loop, clocks are set, drivers send the same image twice. A stamp that goes back a little is an
error of one message; a stamp that goes back a lot is a clock that was set, and everything that was
concluded from older images must be forgotten.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

NANOSECONDS = 1_000_000_000


class Verdict(Enum):
    """What to do with an image, by its stamp."""

    FRESH = "fresh"
    RESET = "clock jumped back"  # use the image, forget the past
    UNSTAMPED = "no stamp"
    DUPLICATE = "duplicate stamp"
    OUT_OF_ORDER = "older than the image before"
    STALE = "stale"

    @property
    def usable(self) -> bool:
        """Whether the image may be worked on."""
        return self in (Verdict.FRESH, Verdict.RESET)


class StampFilter:
    """Passes each stamp once, in order, and counts what it stops.

    Args:
        jump_back: Seconds; a step back of at least this much is a clock that was set.
        max_age: Seconds; an image older than this on arrival is stale. 0 accepts any age, which
            bags that are played without their clock need.
    """

    def __init__(self, jump_back: float = 1.0, max_age: float = 0.0) -> None:
        """Nothing seen yet."""
        self.jump_back = jump_back
        self.max_age = max_age
        self.counts: Counter[Verdict] = Counter()
        self._newest: int | None = None

    def check(self, stamp: int, now: int) -> Verdict:
        """Judge a stamp; both times are nanoseconds of the node's clock."""
        verdict = self._judge(stamp, now)
        if verdict.usable:
            self._newest = stamp
        self.counts[verdict] += 1
        return verdict

    def reset(self) -> None:
        """Forget the newest stamp; the next may be anything."""
        self._newest = None

    @property
    def dropped(self) -> int:
        """How many stamps were stopped."""
        return sum(count for verdict, count in self.counts.items() if not verdict.usable)

    def _judge(self, stamp: int, now: int) -> Verdict:
        if stamp <= 0:
            return Verdict.UNSTAMPED
        if self.max_age > 0 and now - stamp > self.max_age * NANOSECONDS:
            return Verdict.STALE
        if self._newest is None or stamp > self._newest:
            return Verdict.FRESH
        if self._newest - stamp >= self.jump_back * NANOSECONDS:
            return Verdict.RESET
        return Verdict.DUPLICATE if stamp == self._newest else Verdict.OUT_OF_ORDER
