# SPDX-License-Identifier: Apache-2.0
"""The loop of training: it goes on after any end as if there had been none."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from stand_in import KnowingNetwork
from training_runs import (
    CPU,
    IMAGES,
    Stop,
    changed,
    content,
    new_learner,
    resume,
    same,
    settings,
    tiny,
    train,
)

from dsac_core.training import dense_trainer
from dsac_core.training.augmentation import NO_AUGMENTATION, augmented
from dsac_core.training.dense_config import StageName
from dsac_core.training.dense_state import DenseState
from dsac_core.training.stages import Learner


@pytest.mark.parametrize(
    ("stages", "stop"),
    [(("init",), 1), (("init",), 3), (("e2e",), 2), (("init", "e2e"), 2), (("init", "e2e"), 4),
     (("init", "e2e"), 5), (("init", "score", "e2e"), 3)],
)  # fmt: skip
def test_after_an_interruption_all_is_as_if_there_had_been_none(
    stages: tuple[StageName, ...], stop: int, tmp_path: Path
) -> None:
    """Ctrl-C ends the step, the checkpoint is written, and the rest is the same to the last bit."""
    each = 2 if "score" in stages else 4  # the score CNN is large
    config = settings(*stages, iterations=each)
    whole, parts = tmp_path / "whole.pt", tmp_path / "parts.pt"
    expected = new_learner(config)
    train(expected, whole)
    assert changed(expected)
    pressing = Stop(stop)
    with pytest.raises(KeyboardInterrupt):
        train(new_learner(config), parts, progress=pressing)
    assert pressing.after <= 1  # the title of a stage that ended with that step
    kept = DenseState.load(parts, config)
    assert (kept.stage, kept.iteration) in (divmod(stop, each), (stop // each - 1, each))
    continued = new_learner(config)
    resume(parts, continued)
    assert same(continued.network.state_dict(), expected.network.state_dict()) > 0
    if expected.scorer is not None and continued.scorer is not None:
        same(continued.scorer.state_dict(), expected.scorer.state_dict())
    assert same(content(parts), content(whole)) > 6


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_real_network_goes_on_as_if_nothing_had_happened(
    precision: torch.dtype, tmp_path: Path
) -> None:
    config = settings("init", iterations=3)
    expected = new_learner(config, tiny, precision)
    train(expected, tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        train(new_learner(config, tiny, precision), tmp_path / "parts.pt", progress=Stop(2))
    continued = new_learner(config, tiny, precision)
    resume(tmp_path / "parts.pt", continued)
    same(continued.network.state_dict(), expected.network.state_dict())
    same(content(tmp_path / "parts.pt"), content(tmp_path / "whole.pt"))
    for tensor in continued.network.state_dict().values():
        assert tensor.dtype == torch.float32
        assert tensor.isfinite().all()


def test_both_precisions_learn_much_the_same() -> None:
    config = settings("init", iterations=2)
    image = augmented(IMAGES, NO_AUGMENTATION, torch.Generator(), CPU)
    points = []
    for precision in (torch.float32, torch.bfloat16):
        learner = new_learner(config, tiny, precision)
        train(learner)
        points.append(learner.predict(image).detach())
    assert points[0].dtype == points[1].dtype == torch.float32
    assert not torch.equal(points[0], points[1])
    torch.testing.assert_close(points[0], points[1], atol=0.05, rtol=0.05)


def test_the_handler_of_ctrl_c_is_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(new_learner(settings("init")), tmp_path / "a.pt", progress=Stop(1))
    train(new_learner(settings("init")))
    assert signal.getsignal(signal.SIGINT) is before


def test_training_can_be_made_longer(tmp_path: Path) -> None:
    """With a constant rate, 2 and then 3 more iterations are 5."""
    long = settings("init", iterations=5)
    long = replace(long, init=replace(long.init, schedule="constant"))
    short = replace(long, init=replace(long.init, iterations=2))
    expected, continued = new_learner(long), new_learner(long)
    train(expected)
    train(new_learner(short), tmp_path / "a.pt")
    trainer = resume(tmp_path / "a.pt", continued)
    same(continued.network.state_dict(), expected.network.state_dict())
    assert trainer.record["init_iterations"] == 5


def test_each_step_has_random_numbers_of_its_own() -> None:
    drawn: list[int] = []

    class Listening(Learner):
        def loss(self, stage: StageName, batch: Any, generator: torch.Generator) -> Any:
            drawn.append(int(torch.randint(2**40, (), generator=generator)))
            return super().loss(stage, batch, generator)

    for seed in (0, 1):
        config = settings("init", "e2e", seed=seed)
        train(Listening(KnowingNetwork().train(), None, config, torch.float32))
    assert len(drawn) == len(set(drawn)) == 16


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that each step moves on by ten seconds, and nothing else."""
    now = [0.0]
    loss = Learner.loss

    def slow(*args: Any) -> Any:
        now[0] += 10.0
        return loss(*args)

    monkeypatch.setattr(Learner, "loss", slow)
    monkeypatch.setattr(dense_trainer, "time", SimpleNamespace(perf_counter=lambda: now[0]))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("stages", "budget", "steps"),
    [(("init",), 100.0, (10,)), (("init", "e2e"), 100.0, (9, 2)), (("score", "e2e"), 40.0, (2, 2)),
     (("init", "score", "e2e"), 100.0, (9, 1, 1))],
)  # fmt: skip
def test_a_budget_ends_the_stages(
    stages: tuple[StageName, ...], budget: float, steps: tuple[int, ...]
) -> None:
    """Most of it is for the first stage, if that is init; else all have equal parts."""
    trainer = train(new_learner(settings(*stages, iterations=1000, budget_seconds=budget)))
    assert tuple(trainer.record[f"{stage}_iterations"] for stage in stages) == steps
    assert trainer.record[f"{stages[0]}_seconds"] == 10.0 * steps[0]


@pytest.mark.usefixtures("clock")
def test_time_spent_before_an_interruption_counts(tmp_path: Path) -> None:
    config = settings("init", iterations=1000, budget_seconds=100.0)
    with pytest.raises(KeyboardInterrupt):
        train(new_learner(config), tmp_path / "a.pt", progress=Stop(7))
    assert DenseState.load(tmp_path / "a.pt", config).seconds == 70.0
    trainer = resume(tmp_path / "a.pt", new_learner(config))
    assert trainer.record["init_iterations"] == 10


@pytest.mark.usefixtures("clock")
def test_checkpoints_are_written_now_and_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[tuple[int, int]] = []
    monkeypatch.setattr(
        DenseState,
        "save",
        lambda state, *_: written.append((state.stage, state.iteration)),
    )
    config = settings("init", "e2e", iterations=7, checkpoint_seconds=25.0)
    train(new_learner(config), tmp_path / "a.pt")
    assert written == [(0, 3), (0, 6), (1, 0), (1, 3), (1, 6), (1, 7)]
