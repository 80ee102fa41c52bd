# SPDX-License-Identifier: Apache-2.0
"""The depth that goes with an image: it may come a little before it, or a little after."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Generic, TypeVar

from dsac_ros.stamps import NANOSECONDS

T = TypeVar("T")

_KEPT = 10  # messages: a third of a second of depth, a few megabytes
_PATIENCE = 3  # images in a row that wait in vain; those after them wait no more


class DepthBuffer(Generic[T]):
    """The last few depth messages by their stamps."""

    def __init__(self) -> None:
        """Empty."""
        self._changed = threading.Condition()
        self._by_stamp: OrderedDict[int, T] = OrderedDict()
        self._in_vain = 0  # images that waited since the last message came

    def put(self, stamp: int, message: T) -> None:
        """Keep a message of ``stamp`` nanoseconds; the oldest goes."""
        with self._changed:
            self._by_stamp[stamp] = message
            self._in_vain = 0
            while len(self._by_stamp) > _KEPT:
                self._by_stamp.popitem(last=False)
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all, as after a jump of the clock."""
        with self._changed:
            self._by_stamp.clear()

    def take(self, stamp: int, slop: float, timeout: float) -> T | None:
        """The message nearest to a stamp, at most ``slop`` seconds from it.

        Waits for it for up to ``timeout`` seconds, but no longer than until a later one is there,
        and not at all where none comes any more.
        """
        allowed = round(slop * NANOSECONDS)
        with self._changed:
            until = time.monotonic() + (timeout if self._in_vain < _PATIENCE else 0.0)
            while True:
                nearest = min(self._by_stamp, key=lambda known: abs(known - stamp), default=None)
                if nearest is not None and abs(nearest - stamp) <= allowed:
                    return self._by_stamp[nearest]
                later = any(known > stamp + allowed for known in self._by_stamp)
                left = until - time.monotonic()
                if later:
                    return None
                if left <= 0:
                    self._in_vain += 1
                    return None
                self._changed.wait(left)
