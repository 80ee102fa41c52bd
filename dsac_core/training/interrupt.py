# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C that waits until a step of training is whole."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Starters of processes (torchrun, ros2 run) hand Ctrl-C on to those that had it already.
_SAME_PRESS = 0.3  # seconds


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed; pressed again, it interrupts at once.

    Where signals cannot be caught (another thread than the main one), they are left as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed: float | None = None

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        now = time.monotonic()
        if pressed is None:
            pressed = now
        elif now - pressed > _SAME_PRESS:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed is not None
    finally:
        signal.signal(signal.SIGINT, before)
