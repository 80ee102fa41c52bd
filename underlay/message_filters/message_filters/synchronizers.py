# SPDX-License-Identifier: Apache-2.0
"""Messages of several topics that belong together, by the stamp in their header."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from rclpy.clock import ROSClock
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time

from message_filters.filters import SimpleFilter


class TimeSynchronizer(SimpleFilter):
    """One output, with one message per input, for each stamp that all inputs have.

    Each input keeps the queue_size newest stamps.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.lock = threading.Lock()
        self.queues: list[dict[int, Any]] = [{} for _ in fs]
        self.input_connections = [
            f.registerCallback(self.add, queue, index)
            for index, (f, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        with self.lock:
            self._store(my_queue, Time.from_msg(msg.header.stamp).nanoseconds, msg)
            for stamp in sorted(set.intersection(*map(set, self.queues))):
                self._emit([stamp] * len(self.queues))

    def _store(self, queue: dict[int, Any], stamp: int, msg: Any) -> None:
        queue[stamp] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]

    def _emit(self, stamps: Sequence[int]) -> None:
        matched = list(zip(self.queues, stamps, strict=True))
        self.signalMessage(*(queue[stamp] for queue, stamp in matched))
        for queue, stamp in matched:
            del queue[stamp]


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """One output for each new message that finds partners less than slop seconds away.

    allow_headerless takes messages without a header, at the time they come.
    """

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        slop: float,
        allow_headerless: bool = False,
    ) -> None:
        super().__init__(fs, queue_size)
        self.slop = Duration(seconds=slop)
        self.allow_headerless = allow_headerless

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        if hasattr(msg, "header") and hasattr(msg.header, "stamp"):
            stamp = Time.from_msg(msg.header.stamp).nanoseconds
        elif self.allow_headerless:
            stamp = ROSClock().now().nanoseconds
        else:
            get_logger("message_filters_approx").warning(
                f"{type(msg).__name__} without a stamp is ignored (allow_headerless is off)"
            )
            return
        with self.lock:
            self._store(my_queue, stamp, msg)
            if stamp not in my_queue:  # older than a full queue
                return
            # Per input the stamps in reach, nearest first; its own input has just the new one.
            slop = self.slop.nanoseconds
            candidates = [
                [stamp] if queue is my_queue else _nearest_first(queue, stamp, slop)
                for queue in self.queues
            ]
            for stamps in itertools.product(*candidates):
                if max(stamps) - min(stamps) < slop:
                    self._emit(stamps)
                    return


def _nearest_first(stamps: Iterable[int], stamp: int, slop: int) -> list[int]:
    distance = {other: abs(other - stamp) for other in stamps}
    return sorted(
        (other for other in distance if distance[other] <= slop), key=distance.__getitem__
    )
