# SPDX-License-Identifier: Apache-2.0
"""Each request is answered once, by whatever comes first."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from dsac_ros.requests import (
    MOST_WAITING,
    Answer,
    ImageRequest,
    Request,
    Requests,
    TriggerRequest,
)

LATER = float("inf")  # of an image that comes after every request
FOUND = Answer("found", map_T_child=np.eye(4))
LOST = Answer("lost")


def whys(answers: list[Answer]) -> list[str]:
    return [answer.reason for answer in answers]


def test_the_first_answer_counts() -> None:
    got: list[Answer] = []
    request = Request(got.append, 0.0, "nothing")
    assert request.waiting
    threads = [threading.Thread(target=request.answer, args=(Answer(str(k)),)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert not request.waiting


def test_a_trigger_waits_for_an_accepted_image() -> None:
    got: list[Answer] = []
    trigger = TriggerRequest(3, got.append, 5.0, "/image")
    trigger.offer(FOUND, trigger.asked - 0.01)  # it was there before
    trigger.offer(LOST, LATER)
    assert not got
    trigger.offer(FOUND, LATER)
    trigger.offer(LOST, LATER)
    assert got == [FOUND]


def test_a_trigger_gives_up_after_so_many_images() -> None:
    got: list[Answer] = []
    trigger = TriggerRequest(2, got.append, 5.0, "/image")
    trigger.offer(Answer("one"), LATER)
    trigger.offer(Answer("two"), LATER)
    assert whys(got) == ["two"]


def test_time_ends_what_nothing_else_does() -> None:
    requests = Requests()
    got: list[Answer] = []
    short: dict[str, Any] = {"on_answer": got.append, "timeout": 1e-9}
    seen = TriggerRequest(9, topic="/image", **short)
    for request in (
        TriggerRequest(9, topic="/image", **short),
        seen,
        ImageRequest(lambda: FOUND, **short),
        TriggerRequest(9, got.append, 100.0, "/image"),
    ):
        requests.add(request)
    seen.offer(LOST, LATER)
    time.sleep(0.001)
    requests.expire()
    requests.expire()
    assert whys(got) == [
        "no answer within 1e-09 s: waited for an image on /image",
        "lost",  # the last image says more than the time
        "no answer within 1e-09 s: waited for the network, which is busy with other images",
    ]
    assert requests.triggered


def test_an_image_is_worked_on_only_while_somebody_waits() -> None:
    worked: list[int] = []

    def work() -> Answer:
        worked.append(1)
        return FOUND

    got: list[Answer] = []
    request = ImageRequest(work, got.append, 5.0)
    request.run()
    request.run()
    late = ImageRequest(work, got.append, 1e-9)
    time.sleep(0.001)
    late.run()
    assert (got, worked) == ([FOUND], [1])


def test_the_end_answers_all_or_one_kind() -> None:
    requests = Requests()
    got: list[Answer] = []
    requests.add(ImageRequest(lambda: FOUND, got.append, 5.0))
    requests.add(TriggerRequest(1, got.append, 5.0, "/image"))
    requests.end("paused", TriggerRequest)
    assert whys(got) == ["paused"]
    assert not requests.triggered
    requests.end("stopped")
    requests.end("stopped again")
    assert whys(got) == ["paused", "stopped"]


def test_too_many_are_told_so_until_others_are_answered() -> None:
    requests = Requests()
    got: list[Answer] = []
    waiting = [TriggerRequest(1, got.append, 5.0, "/image") for _ in range(MOST_WAITING + 1)]
    assert [requests.add(each) for each in waiting] == [True] * MOST_WAITING + [False]
    assert whys(got) == [f"busy: {MOST_WAITING} requests wait already, ask again later"]
    requests.offer(FOUND, LATER)
    assert len(got) == MOST_WAITING + 1
    assert requests.add(TriggerRequest(1, got.append, 5.0, "/image"))
