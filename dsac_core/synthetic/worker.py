# SPDX-License-Identifier: Apache-2.0
"""A process that renders: reads its job from standard input, writes images to standard output."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

import cv2

if TYPE_CHECKING:
    from dsac_core.synthetic.frames import Pair

AHEAD = 4  # pairs of images kept ready


def work() -> None:
    """Render what the job asks for, then end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    cv2.setNumThreads(1)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=1 << 20)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # no stray print among the images
    job: Any = pickle.load(sys.stdin.buffer)
    indices: Any = pickle.load(sys.stdin.buffer)
    ready: Queue[Pair | None] = Queue(AHEAD)

    def send() -> None:
        while (pair := ready.get()) is not None:
            try:
                pickle.dump(pair, output, protocol=pickle.HIGHEST_PROTOCOL)
                output.flush()
            except OSError:  # nobody reads any more
                os._exit(1)

    sender = Thread(target=send)
    sender.start()
    try:
        for index in indices:
            ready.put(job.pair(index))
    finally:
        ready.put(None)
        sender.join()


if __name__ == "__main__":
    work()
