# SPDX-License-Identifier: Apache-2.0
"""When the loop of fast mapping ends, saves and reports; by a clock that each step moves on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dsac_core.training import fast_loop
from dsac_core.training.fast_loop import FastLoop
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.workers import ALONE, Workers


class Run:
    """A loop around a trainer that takes one second a step."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        workers: Workers = ALONE,
        *,
        seconds: float = 0.0,
        **changes: Any,
    ) -> None:
        self.now = 0.0
        self.progress: list[float] = []
        self.saved: list[int] = []
        monkeypatch.setattr(fast_loop, "time", SimpleNamespace(perf_counter=lambda: self.now))
        self.trainer = SimpleNamespace(
            iteration=0, seconds=seconds, loss=3.0, valid=0.5, step=self.step
        )
        self.loop = FastLoop(
            self.trainer,  # type: ignore[arg-type]
            FastMapConfig(**changes),
            50.0,
            workers,
            lambda _, fraction, detail="": self.progress.append(fraction),
            save=lambda: self.saved.append(self.trainer.iteration),
            watch=lambda _: "",
        )

    def step(self, done: float) -> None:
        assert 0 <= done < 1
        self.now += 1.0
        self.trainer.iteration += 1


def test_a_budget_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    assert run.loop.run(lambda: False)
    assert run.trainer.iteration == 50
    assert run.loop.where == "iteration 50, at 100% of the training"
    assert run.progress[-1] == 1.0


def test_seconds_spent_before_count(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, seconds=43.0)
    assert run.loop.run(lambda: False)
    assert run.trainer.iteration == 7
    assert run.trainer.seconds == 50.0


def test_iterations_end_it_whatever_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, iterations=70, seconds=49.0)
    assert run.loop.run(lambda: False)
    assert run.trainer.iteration == 70


def test_checkpoints_are_written_now_and_then_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run(monkeypatch, checkpoint_seconds=19.5)
    assert run.loop.run(lambda: False)
    assert run.saved == [20, 40, 50]


def test_ctrl_c_ends_it_after_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    assert not run.loop.run(lambda: run.trainer.iteration == 20)
    assert run.saved == [20]
    assert run.loop.done == 0.4
    assert run.loop.where == "iteration 20, at 40% of the training"


def test_the_first_worker_decides_and_it_alone_saves_and_reports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second one's own clock says nothing."""

    class Second(Workers):
        rank = 1

        def largest(self, *values: float) -> list[float]:
            assert values[0] == 0.0
            return [run.trainer.iteration / 5, 0.0]

    run = Run(monkeypatch, Second(), checkpoint_seconds=1.0)
    assert run.loop.run(lambda: False)
    assert run.trainer.iteration == 5
    assert run.saved == []
