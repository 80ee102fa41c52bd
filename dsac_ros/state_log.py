# SPDX-License-Identifier: Apache-2.0
"""Changes of the state in the log, once each, whoever notices first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dsac_ros.state import State

if TYPE_CHECKING:
    from collections.abc import Callable


class StateLog:
    """Knows the last state that was logged. May be called from several threads.

    Args:
        log: Takes a line.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        """Searching, as a node begins."""
        self._log = log
        self._state = State.SEARCHING
        self._lock = threading.Lock()

    def __call__(self, state: State, reason: str, *, always: bool = False) -> None:
        """Log a change and why it came about; what is ``always`` to be said, also without one."""
        with self._lock:
            before, self._state = self._state, state
        if state is not before:
            self._log(f"{before.name} -> {state.name}: {reason}")
        elif always:
            self._log(reason)
