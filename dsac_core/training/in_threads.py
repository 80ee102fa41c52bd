# SPDX-License-Identifier: Apache-2.0
"""Independent pieces of work on all cores of a CPU, with results in their order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 2  # pieces for each thread that are taken before the first result of them is asked for


def in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], device: torch.device
) -> Iterator[_Result]:
    """What ``function`` makes of each item, in their order.

    On a CPU, as many at a time as PyTorch has threads, each on one of them: where pieces are small,
    that is nearly twice as fast on two cores, which several threads for one operation are not. So
    a result does not depend on how many threads there are. Items are taken one after the other, by
    the thread that asks for results.

    Args:
        function: Of one item; PyTorch leaves the interpreter to others while it computes.
        items: Taken a few before their results are asked for.
        device: Where ``function`` computes.
    """
    threads = torch.get_num_threads()
    if threads == 1 or device.type != "cpu":
        yield from map(function, items)
        return
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads, initializer=_compute_on_one_thread) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            torch.set_num_threads(threads)  # for threads that will be made


def _compute_on_one_thread() -> None:
    torch.set_num_threads(1)
