# SPDX-License-Identifier: Apache-2.0
"""A mailbox of one: the newest message waits, an older one that nobody took is dropped.

A relocalizer that is slower than its camera must work on the newest image, not on a queue that
grows older and older.
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One slot between the thread that receives and the thread that works."""

    def __init__(self) -> None:
        """An empty, open mailbox."""
        self._changed = threading.Condition()
        self._slot: list[T] = []
        self._closed = False
        self._received = 0
        self._dropped = 0

    def put(self, item: T) -> None:
        """Leave an item; one that still waits is dropped. Never blocks. Ignored once closed."""
        with self._changed:
            if self._closed:
                return
            self._received += 1
            self._dropped += len(self._slot)
            self._slot = [item]
            self._changed.notify()

    def take(self, timeout: float | None = None) -> T | None:
        """The waiting item; None after ``timeout`` seconds without one, or when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._slot or self._closed, timeout)
            return self._slot.pop() if self._slot else None

    def clear(self) -> None:
        """Drop the item that waits, as after a jump of the clock."""
        with self._changed:
            self._dropped += len(self._slot)
            self._slot = []

    def close(self) -> None:
        """Wake the taker and take nothing more."""
        with self._changed:
            self._closed = True
            self._dropped += len(self._slot)
            self._slot = []
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def received(self) -> int:
        """How many items were left here."""
        return self._received

    @property
    def dropped(self) -> int:
        """How many of them nobody took."""
        return self._dropped
