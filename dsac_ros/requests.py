# SPDX-License-Identifier: Apache-2.0
"""Questions that somebody waits for: asked in a callback, answered by the worker's thread.

Each is answered exactly once: by an image, by the end of its time, or by the end of the node.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core import PoseEstimate
    from dsac_ros.image_records import Outcome

    FloatArray = NDArray[np.float64]

DEFAULT_TIMEOUT = 5.0  # s
MOST_WAITING = 32  # requests; who asks faster than the network runs is told so


@dataclass(frozen=True)
class Answer:
    """What one image came to, for the one who asked."""

    reason: str
    stamp: int = 0  # ns, of the image
    child_frame_id: str = ""  # whose pose it is
    scene: str = ""
    map_T_child: FloatArray | None = None  # [4 x 4]; None: not localized
    covariance: FloatArray | None = None  # [6 x 6], fixed axes of the map (REP-103)
    estimate: PoseEstimate | None = None

    @classmethod
    def of_outcome(cls, outcome: Outcome, base_frame: str, scene: str) -> Answer:
        """What an image of the node's own camera came to, behind gate and state."""
        return cls(
            reason=outcome.reason,
            stamp=outcome.stamp,
            child_frame_id=base_frame or outcome.frame_id,
            scene=scene,
            map_T_child=outcome.map_T_body,
            covariance=outcome.covariance,
            estimate=outcome.estimate,
        )


class Request:
    """Waits for one answer, from whichever thread has it first.

    Args:
        on_answer: Called once, in the thread that answers.
        timeout: Seconds until it is answered for want of time; 0 for five.
        waits_for: What it needs, in words.
    """

    def __init__(self, on_answer: Callable[[Answer], None], timeout: float, waits_for: str) -> None:
        """Its time begins."""
        self.asked = time.monotonic()
        self._timeout = timeout if timeout > 0 else DEFAULT_TIMEOUT
        self._waits_for = waits_for
        self._on_answer = on_answer
        self._lock = threading.Lock()
        self._waiting = True

    @property
    def waiting(self) -> bool:
        """Whether it has no answer yet."""
        return self._waiting

    @property
    def late(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() > self.asked + self._timeout

    def answer(self, answer: Answer) -> None:
        """Give the answer; a second one is not heard."""
        with self._lock:
            waiting, self._waiting = self._waiting, False
        if waiting:
            self._on_answer(answer)

    def in_vain(self) -> Answer:
        """The answer when its time is over."""
        return Answer(f"no answer within {self._timeout:g} s: waited for {self._waits_for}")


class ImageRequest(Request):
    """To localize one image that came with the request."""

    def __init__(
        self, work: Callable[[], Answer], on_answer: Callable[[Answer], None], timeout: float
    ) -> None:
        """Its time begins; ``work`` decodes and localizes, and runs in the worker's thread."""
        super().__init__(on_answer, timeout, "the network, which is busy with other images")
        self._work = work

    def run(self) -> None:
        """Do the work, unless nobody waits for it any more."""
        if self.waiting and not self.late:
            self.answer(self._work())


class TriggerRequest(Request):
    """To localize the next images, until one is accepted."""

    def __init__(
        self, images: int, on_answer: Callable[[Answer], None], timeout: float, topic: str
    ) -> None:
        """Its time begins; after ``images`` it is answered, whatever they came to."""
        super().__init__(on_answer, timeout, f"an image on {topic}")
        self._images_left = images
        self._last: Answer | None = None

    def offer(self, answer: Answer, arrival: float) -> None:
        """What an image came to that arrived at ``arrival``, by time.monotonic."""
        if arrival < self.asked:
            return  # it was there before
        self._images_left -= 1
        self._last = answer
        if answer.map_T_child is not None or self._images_left <= 0:
            self.answer(answer)

    def in_vain(self) -> Answer:
        """The answer when its time is over: that of the last image, where there was any."""
        return self._last or super().in_vain()


class Requests:
    """Those that wait. May be used from several threads."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._lock = threading.Lock()
        self._waiting: list[Request] = []

    def add(self, request: Request) -> bool:
        """Remember a request; where too many wait, answer it so, and False."""
        with self._lock:
            self._waiting = [each for each in self._waiting if each.waiting]
            room = len(self._waiting) < MOST_WAITING
            if room:
                self._waiting.append(request)
        if not room:
            request.answer(Answer(f"busy: {MOST_WAITING} requests wait already, ask again later"))
        return room

    def offer(self, answer: Answer, arrival: float) -> None:
        """Tell those who wait for the node's own images what one came to."""
        for request in self._those_waiting():
            if isinstance(request, TriggerRequest):
                request.offer(answer, arrival)

    def expire(self) -> None:
        """Answer those whose time is over."""
        for request in self._those_waiting():
            if request.late:
                request.answer(request.in_vain())

    def end(self, why: str, kind: type[Request] = Request) -> None:
        """Answer all, or all of one kind: there will be no other answer."""
        for request in self._those_waiting():
            if isinstance(request, kind):
                request.answer(Answer(why))

    @property
    def triggered(self) -> bool:
        """Whether somebody waits for the node's own images."""
        return any(isinstance(each, TriggerRequest) for each in self._those_waiting())

    def _those_waiting(self) -> list[Request]:
        with self._lock:
            return [each for each in self._waiting if each.waiting]
