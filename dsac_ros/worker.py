# SPDX-License-Identifier: Apache-2.0
"""The thread that works on images, so that no callback of the node ever does."""

from __future__ import annotations

import threading
import traceback
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsac_ros.mailbox import Mailbox

T = TypeVar("T")


class Worker(Generic[T]):
    """Takes the newest item, again and again, until the mailbox is closed.

    Args:
        mailbox: Where items come from.
        work: What to do with each.
        on_error: Told of every exception that ``work`` lets through; the thread goes on.
    """

    def __init__(
        self,
        mailbox: Mailbox[T],
        work: Callable[[T], None],
        on_error: Callable[[T, Exception], None],
    ) -> None:
        """Not started yet."""
        self._mailbox = mailbox
        self._work = work
        self._on_error = on_error
        # A daemon: a stuck network must not keep the process from ending.
        self._thread = threading.Thread(target=self._loop, name="relocalizer", daemon=True)

    def start(self) -> None:
        """Begin to take items."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Close the mailbox and wait; False where the thread still works after ``timeout`` s."""
        self._mailbox.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _loop(self) -> None:
        while not self._mailbox.closed:
            item = self._mailbox.take()
            if item is None:
                continue
            try:
                self._work(item)
            except Exception as error:  # one bad image must not end the node
                self._report(item, error)

    def _report(self, item: T, error: Exception) -> None:
        try:
            self._on_error(item, error)
        except Exception:  # nor must a report that fails
            traceback.print_exc()
