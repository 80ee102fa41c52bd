# SPDX-License-Identifier: Apache-2.0
"""What glibc's malloc keeps for the next time, and what it gives back to the system.

By default both are guessed from what is freed first, and change as a process runs.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
MEBIBYTE = 1 << 20


def set_up_malloc(*, largest: int, kept_free: int, pools: int | None = None) -> None:
    """Where this is not glibc, nothing changes.

    Args:
        largest: Bytes of a piece up to which it comes from a pool, 32 MiB at most. Larger ones come
            from the system each time, in pages of zeros, and go back to it at once.
        kept_free: Bytes at the end of a pool that may be free.
        pools: For all threads. To be set before they start.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        if pools is not None:
            libc.mallopt(_M_ARENA_MAX, pools)
        libc.mallopt(_M_MMAP_THRESHOLD, largest)
        libc.mallopt(_M_TRIM_THRESHOLD, kept_free)
