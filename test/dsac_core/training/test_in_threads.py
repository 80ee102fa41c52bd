# SPDX-License-Identifier: Apache-2.0
"""Pieces of work on several threads: as if there were one, in less time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from dsac_core.training.in_threads import in_threads

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(in_threads(work, range(20), CPU)) == [item * item for item in range(20)]
    assert torch.get_num_threads() == threads


def test_so_many_are_at_work_at_once_each_on_one_thread_of_pytorch(threads: int) -> None:
    together = threading.Barrier(threads, timeout=10.0)

    def work(_: int) -> int:
        together.wait()  # which nobody passes alone
        return torch.get_num_threads()

    assert list(in_threads(work, range(2 * threads), CPU)) == 2 * threads * [1]
    seen: list[int] = []
    fresh = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    fresh.start()
    fresh.join()
    assert seen == [threads]


def test_results_are_the_same_on_any_number_of_threads(threads: int) -> None:
    def work(seed: int) -> torch.Tensor:
        left = torch.randn(300, 200, generator=torch.Generator().manual_seed(seed))
        return left @ left.T

    found = list(in_threads(work, range(6), CPU))
    torch.set_num_threads(1)
    assert all(torch.equal(one, work(seed)) for seed, one in enumerate(found))


def test_items_are_taken_by_the_caller_a_few_ahead(threads: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        assert threading.current_thread() is caller
        for item in range(100):
            taken.append(item)
            yield item

    caller = threading.current_thread()
    results = in_threads(lambda item: item, items(), CPU)
    assert next(results) == 0
    assert len(taken) <= max(1, 2 * threads)
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= max(1, 2 * threads)
    assert torch.get_num_threads() == threads


def test_an_error_comes_out_where_its_result_would(threads: int) -> None:
    def work(item: int) -> int:
        if item == 3:
            msg = "the third"
            raise ValueError(msg)
        return item

    results = in_threads(work, range(50), CPU)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(results)
    assert torch.get_num_threads() == threads


def test_a_gpu_is_given_one_piece_after_the_other() -> None:
    caller = threading.current_thread()
    found = in_threads(lambda _: threading.current_thread(), range(3), torch.device("cuda"))
    assert list(found) == 3 * [caller]
