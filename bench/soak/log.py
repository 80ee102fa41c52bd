# SPDX-License-Identifier: Apache-2.0
"""What a node must never write into its log."""

from __future__ import annotations

import re

# Bad input is a warning at most; an exception of a scene that cannot be loaded is an answer.
_BAD = re.compile(r"Traceback|internal error|\[ERROR\]|\[FATAL\]|Exception")


def bad_lines(log: str) -> list[str]:
    """Lines that only a node with a fault of its own writes."""
    return [line for line in log.splitlines() if _BAD.search(line)]
