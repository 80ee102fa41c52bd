# SPDX-License-Identifier: Apache-2.0
"""A mailbox of one: the newest message waits, an older one that nobody took is dropped.

A relocalizer that is slower than its camera must work on the newest image, not on a queue that
grows older and older. Several cameras have a slot each, and take turns. What somebody waits for an
answer to is no such message: it comes first.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One slot between the thread that receives and the thread that works."""

    def __init__(self) -> None:
        """An empty, open mailbox."""
        self._changed = threading.Condition()
        self._slots: dict[str, T] = {}
        self._turns: dict[str, int] = {}  # of the slots, when each was last taken
        self._taken = 0
        self._first: deque[T] = deque()
        self._closed = False
        self._received = 0
        self._dropped = 0

    def put(self, item: T, slot: str = "") -> None:
        """Leave an item; one that still waits in its slot is dropped. Ignored once closed."""
        with self._changed:
            if self._closed:
                return
            self._received += 1
            self._dropped += slot in self._slots
            self._slots[slot] = item
            self._changed.notify()

    def put_first(self, item: T) -> bool:
        """Leave an item that is taken before the newest, in order, and never dropped.

        It counts neither as received nor as dropped. False where the mailbox is closed.
        """
        with self._changed:
            if not self._closed:
                self._first.append(item)
                self._changed.notify()
            return not self._closed

    def take(self, timeout: float | None = None) -> T | None:
        """The waiting item of the slot whose turn it is.

        None after ``timeout`` seconds without one, or when closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._first or self._slots or self._closed, timeout)
            if self._first:
                return self._first.popleft()
            if not self._slots:
                return None
            slot = min(self._slots, key=lambda name: self._turns.get(name, 0))
            self._taken += 1
            self._turns[slot] = self._taken
            return self._slots.pop(slot)

    def clear(self) -> None:
        """Drop the item that waits, as after a jump of the clock."""
        with self._changed:
            self._dropped += len(self._slots)
            self._slots = {}

    def close(self) -> None:
        """Wake the taker and take nothing more."""
        with self._changed:
            self._closed = True
            self._first.clear()
            self._dropped += len(self._slots)
            self._slots = {}
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
