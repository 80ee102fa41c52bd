# SPDX-License-Identifier: Apache-2.0
"""The thread that works."""

from __future__ import annotations

import threading

from dsac_ros.mailbox import Mailbox
from dsac_ros.worker import Worker


def test_an_exception_is_reported_and_the_thread_goes_on() -> None:
    mailbox: Mailbox[int] = Mailbox()
    done: list[int] = []
    errors: list[tuple[int, str]] = []
    finished = threading.Event()

    def work(item: int) -> None:
        if item == 1:
            msg = "broken image"
            raise ValueError(msg)
        done.append(item)
        finished.set()

    def on_error(item: int, error: Exception) -> None:
        errors.append((item, str(error)))
        finished.set()

    worker = Worker(mailbox, work, on_error)
    worker.start()
    for item in (1, 2):
        finished.clear()
        mailbox.put(item)
        assert finished.wait(5.0)
    assert worker.alive
    assert worker.stop(5.0)
    assert not worker.alive
    assert done == [2]
    assert errors == [(1, "broken image")]


def test_a_report_that_fails_does_not_end_it_either() -> None:
    mailbox: Mailbox[int] = Mailbox()
    seen = threading.Semaphore(0)

    def fail(*_: object) -> None:
        seen.release()
        msg = "again"
        raise RuntimeError(msg)

    worker = Worker(mailbox, fail, fail)
    worker.start()
    for item in range(2):
        mailbox.put(item)
        assert seen.acquire(timeout=5.0)
        assert seen.acquire(timeout=5.0)
    assert worker.stop(5.0)


def test_stop_tells_when_the_work_does_not_end() -> None:
    mailbox: Mailbox[int] = Mailbox()
    begun, release = threading.Event(), threading.Event()

    def work(_: int) -> None:
        begun.set()
        release.wait(10.0)

    worker = Worker(mailbox, work, lambda *_: None)
    worker.start()
    mailbox.put(1)
    assert begun.wait(5.0)
    assert not worker.stop(0.05)
    release.set()
    assert worker.stop(5.0)
