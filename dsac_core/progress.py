# SPDX-License-Identifier: Apache-2.0
"""Progress that a person can follow: a moving line on a terminal, one now and then in a log."""

from __future__ import annotations

import sys
import time
from typing import Protocol

_LOG_INTERVAL = 5.0  # seconds between lines where the output is no terminal
_TERMINAL_INTERVAL = 0.2


class Progress(Protocol):
    """Called often with how far a stage is."""

    def __call__(self, stage: str, fraction: float, detail: str = "") -> None:
        """Report that ``stage`` is at ``fraction`` in [0, 1]; 1 ends it."""


def silent(stage: str, fraction: float, detail: str = "") -> None:
    """Report nothing."""


class ConsoleProgress:
    """Writes to standard error, so that results on standard output stay clean."""

    def __init__(self) -> None:
        """Start the clock."""
        self._stage = ""
        self._stage_started = 0.0
        self._stage_began_at = 0.0  # fraction: more than 0 where training is resumed
        self._written = -float("inf")

    def __call__(self, stage: str, fraction: float, detail: str = "") -> None:
        """See ``Progress``."""
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        if stage != self._stage:
            self._stage, self._stage_started = stage, now
            self._stage_began_at = fraction
            self._written = -float("inf")
        interval = _TERMINAL_INTERVAL if terminal else _LOG_INTERVAL
        if fraction < 1.0 and now - self._written < interval:
            return
        self._written = now
        elapsed = now - self._stage_started
        timing = in_words(elapsed)
        progressed = fraction - self._stage_began_at
        if progressed > 0.0 and fraction < 1.0:
            timing += f", {in_words(elapsed * (1.0 - fraction) / progressed)} left"
        line = f"{stage}: {fraction:4.0%} ({timing}) {detail}".rstrip()
        if terminal:
            sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if fraction >= 1.0 else ""))
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
        if fraction >= 1.0:
            self._stage = ""


def in_words(seconds: float) -> str:
    """A duration for people: ``7 s``, ``12 min 05 s``, ``3 h 40 min``, ``2 d 04 h``."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(whole / 60)
    if minutes < 2880:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24:02} h"
