# SPDX-License-Identifier: Apache-2.0
"""What a process that runs for weeks asks of Python and glibc, so that it holds what it uses.

Left alone, both keep what they had most of at once: hundreds of megabytes, reached after half an
hour of scenes loaded, lost and found (docs/soak.md).
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PERIOD = 10.0  # s
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
_LARGE = 32 << 20  # bytes, the most that a pool may hold in one piece
_KEPT_FREE = 128 << 20  # bytes, until the next time of giving back


def keep_one_pool() -> None:
    """Call before PyTorch is imported, which starts threads.

    By default every thread that loads a scene, with those that PyTorch starts for it, has a pool of
    its own, and each holds what it once had most of. In the one pool, what an image takes stays
    from one to the next: pages that come anew with each would double its time.
    """
    with suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)


def keep_giving_back() -> None:
    """Call when everything is imported: from then on a thread gives back what is free.

    Python looks for circles of references among old objects only once these have grown by a
    quarter, which is rare after the imports (200,000 objects), and then it stops all threads for
    0.15 s. A node that is cleaned up leaves such circles, with its scene in them. Therefore what
    is imported is left out, and circles are looked for every ten seconds, which takes 4 ms.
    """
    gc.collect()
    gc.freeze()
    threading.Thread(target=_give_back, args=(_malloc_trim(),), name="memory", daemon=True).start()


def _give_back(trim: Callable[[int], int]) -> None:
    while True:
        time.sleep(_PERIOD)
        gc.collect()
        trim(0)


def _malloc_trim() -> Callable[[int], int]:
    with suppress(OSError, AttributeError):
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return trim
    return lambda _pad: 0  # not glibc
