# SPDX-License-Identifier: Apache-2.0
"""Whether the robot knows where it is: SEARCHING, LOCALIZED, LOST or PAUSED.

- SEARCHING, LOST -> LOCALIZED: a fix was accepted.
- LOCALIZED -> LOST: no fix was accepted for too long.
- any -> PAUSED -> SEARCHING: paused, resumed.
- any but PAUSED -> SEARCHING: reset, as after a jump of the clock.
"""

from __future__ import annotations

import threading
from enum import IntEnum


class State(IntEnum):
    """The numbers of dsac_ros/msg/RelocalizationStatus."""

    SEARCHING = 0
    LOCALIZED = 1
    LOST = 2
    PAUSED = 3


class LocalizationState:
    """Counts time and images since the last accepted fix. Safe to use from several threads.

    Args:
        lost_after: Seconds without an accepted fix until LOST.
        lost_after_frames: Images without an accepted fix until LOST; 0 looks at time alone.
    """

    def __init__(self, lost_after: float, lost_after_frames: int = 0) -> None:
        """Searching."""
        self.lost_after = lost_after
        self.lost_after_frames = lost_after_frames
        self._lock = threading.Lock()
        self._state = State.SEARCHING
        self._epoch = 0
        self._accepted_at = 0.0
        self._refused = 0

    @property
    def current(self) -> State:
        """The state now."""
        return self._state

    @property
    def epoch(self) -> int:
        """Grows whenever everything concluded from older images must be forgotten."""
        return self._epoch

    def accept(self, now: float, epoch: int) -> bool:
        """A fix was accepted at ``now`` seconds; False where its epoch is over: too late."""
        with self._lock:
            if self._state is State.PAUSED or epoch != self._epoch:
                return False
            self._state = State.LOCALIZED
            self._accepted_at = now
            self._refused = 0
            return True

    def hold(self, now: float) -> None:
        """The last fix holds still, as where the robot has not moved since."""
        with self._lock:
            if self._state is State.LOCALIZED:
                self._accepted_at = now
                self._refused = 0

    def refuse(self, now: float) -> None:
        """An image gave no accepted fix."""
        with self._lock:
            self._refused += 1
            self._tick(now)

    def tick(self, now: float) -> State:
        """Time passes, with or without images; the state after that."""
        with self._lock:
            self._tick(now)
            return self._state

    def pause(self) -> None:
        """Look at nothing until resumed."""
        with self._lock:
            self._enter(State.PAUSED)

    def resume(self) -> None:
        """Look again, and believe nothing from before."""
        with self._lock:
            if self._state is State.PAUSED:
                self._enter(State.SEARCHING)

    def reset(self) -> None:
        """Start over, as after a jump of the clock."""
        with self._lock:
            if self._state is not State.PAUSED:
                self._enter(State.SEARCHING)

    def _tick(self, now: float) -> None:
        if self._state is not State.LOCALIZED:
            return
        too_long = now - self._accepted_at > self.lost_after
        too_many = 0 < self.lost_after_frames <= self._refused
        if too_long or too_many:
            self._enter(State.LOST)

    def _enter(self, state: State) -> None:
        self._state = state
        self._epoch += 1
        self._refused = 0
