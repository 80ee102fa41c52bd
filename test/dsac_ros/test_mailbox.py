# SPDX-License-Identifier: Apache-2.0
"""The mailbox of one."""

from __future__ import annotations

import threading

from dsac_ros.mailbox import Mailbox


def test_newest_wins_and_drops_are_counted() -> None:
    mailbox: Mailbox[int] = Mailbox()
    for item in (1, 2, 3):
        mailbox.put(item)
    assert mailbox.take(0.0) == 3
    assert (mailbox.received, mailbox.dropped) == (3, 2)
    assert mailbox.take(0.0) is None


def test_take_waits_for_a_put_from_another_thread() -> None:
    mailbox: Mailbox[str] = Mailbox()
    timer = threading.Timer(0.05, mailbox.put, ["late"])
    timer.start()
    assert mailbox.take(5.0) == "late"
    timer.join()


def test_close_wakes_the_taker_and_ends_it_all() -> None:
    mailbox: Mailbox[int] = Mailbox()
    taken: list[int | None] = [0]
    taker = threading.Thread(target=lambda: taken.append(mailbox.take()))
    taker.start()
    mailbox.close()
    taker.join(5.0)
    assert not taker.is_alive()
    assert taken == [0, None]
    mailbox.put(7)
    assert mailbox.closed
    assert mailbox.take(0.0) is None
    assert mailbox.received == 0


def test_clear_drops_what_waits() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.clear()
    assert mailbox.take(0.0) is None
    assert mailbox.dropped == 1


def test_nothing_is_lost_between_a_fast_and_a_slow_thread() -> None:
    mailbox: Mailbox[int] = Mailbox()
    taken: list[int] = []

    def work() -> None:
        while not mailbox.closed:
            item = mailbox.take()
            if item is not None:
                taken.append(item)

    taker = threading.Thread(target=work)
    taker.start()
    for item in range(2000):
        mailbox.put(item)
    while not taken or taken[-1] != 1999:
        pass
    mailbox.close()
    taker.join(5.0)
    assert taken == sorted(set(taken))
    assert len(taken) + mailbox.dropped == mailbox.received == 2000


def test_cameras_have_a_slot_each_and_take_turns() -> None:
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put("left 1", "left")
    mailbox.put("left 2", "left")
    mailbox.put("right 1", "right")
    assert mailbox.take() == "left 2"
    mailbox.put("left 3", "left")
    assert mailbox.take() == "right 1"
    assert mailbox.take() == "left 3"
    assert (mailbox.received, mailbox.dropped) == (4, 1)


def test_the_slot_that_waited_longest_comes_first() -> None:
    mailbox: Mailbox[int] = Mailbox()
    for turn in range(6):
        for slot in "abc":
            mailbox.put(turn, slot)
        mailbox.take()
    assert sorted(mailbox._turns.values()) == [4, 5, 6]


def test_what_is_put_first_comes_first_and_is_never_dropped() -> None:
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put("image")
    assert mailbox.put_first("one")
    assert mailbox.put_first("two")
    mailbox.put("newer image")
    mailbox.clear()
    mailbox.put("newest image")
    assert [mailbox.take(0.0) for _ in range(4)] == ["one", "two", "newest image", None]
    assert (mailbox.received, mailbox.dropped) == (3, 2)
    mailbox.put_first("three")
    mailbox.close()
    assert mailbox.take(0.0) is None
    assert not mailbox.put_first("four")


def test_what_is_put_first_wakes_the_taker() -> None:
    mailbox: Mailbox[str] = Mailbox()
    timer = threading.Timer(0.05, mailbox.put_first, ["question"])
    timer.start()
    assert mailbox.take(5.0) == "question"
    timer.join()
