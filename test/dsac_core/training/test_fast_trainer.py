# SPDX-License-Identifier: Apache-2.0
"""Steps of the trainer, its cool-down, and the watch over it."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from stand_in import CAMERA

from dsac_core.data.frame import Frame
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.training import fast_trainer, live_recall
from dsac_core.training.cell_buffer import CellBuffer
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.fast_trainer import FastTrainer
from dsac_core.training.live_recall import LiveRecall
from dsac_core.training.workers import Workers

CPU = torch.device("cpu")
CONFIG = FastMapConfig(batch_size=64, warmup_iterations=5, head=HeadConfig(width=32))


def buffer() -> CellBuffer:
    """Cells of the wall at z = 2 seen by one camera; the feature tells the pixel."""
    cells = CellBuffer(500, 128, torch.float32, CPU)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(500, 2, generator=generator) * torch.tensor([64.0, 48.0])
    mix = torch.randn(2, 128, generator=generator)
    cells.add_image(pixels / 30 @ mix, pixels, torch.full((500,), 2.0), CAMERA, np.eye(4))
    return cells


def trainer(cells: CellBuffer, **changes: Any) -> FastTrainer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = CoordinateHead(CONFIG.head)
    return FastTrainer(head, cells, CONFIG, torch.float32, **changes)


def run(trainer: FastTrainer, start: int, stop: int, whole: int = 60) -> None:
    for iteration in range(start, stop):
        trainer.step(iteration / whole)


@pytest.mark.parametrize("stop", [1, 20, 33])
def test_from_its_state_it_goes_on_as_if_there_had_been_no_end(stop: int) -> None:
    cells = buffer()
    whole, first, second = trainer(cells), trainer(cells), trainer(cells)
    run(whole, 0, 60)
    run(first, 0, stop)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(second, stop, 60)
    for name, value in whole.head.state_dict().items():
        assert torch.equal(second.head.state_dict()[name], value), name
    assert (second.iteration, second.loss) == (60, whole.loss)
    assert whole.loss < 20.0


def test_each_worker_draws_cells_of_its_own() -> None:
    cells = buffer()
    weights = []
    for rank in (0, 0, 1):
        workers = Workers()
        workers.rank = rank
        one = trainer(cells, workers=workers)
        run(one, 0, 3)
        weights.append(one.head.leave.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_cool_down_takes_the_rate_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a twentieth of the time that training would have taken, at most five seconds."""
    now = [0.0]
    rates: list[float] = []
    step = FastTrainer.step

    def slow(one: FastTrainer, done: float) -> None:
        step(one, done)
        now[0] += 0.25
        rates.append(one._optimizers[0].param_groups[0]["lr"])

    monkeypatch.setattr(FastTrainer, "step", slow)
    monkeypatch.setattr(fast_trainer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    for seconds, length in ((30.0, 3.0), (400.0, 5.0)):
        one = trainer(buffer())
        run(one, 0, 30)
        one.seconds = seconds  # of which half is done
        rates.clear()
        one.cool_down(0.5)
        assert len(rates) == length / 0.25
        assert rates == sorted(rates, reverse=True)
        assert rates[0] == pytest.approx(0.5 * CONFIG.hidden_learning_rate, rel=0.1)
        assert rates[-1] < 0.05 * rates[0]


def live(count: int = 10) -> LiveRecall:
    """Watching with images of noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 48, 64, 3), dtype=np.uint8)
    frames = [Frame("", 0.0, image, CAMERA, np.eye(4)) for image in images]
    return LiveRecall(frames, CAMERA, ImageEncoder(CPU), 0.0)


def test_a_head_that_knows_nothing_localizes_nothing() -> None:
    head = CoordinateHead(CONFIG.head)
    watching = live()
    assert watching.check(head) == 0
    assert head.training
    watching.watch(head, 0.2, 1e6)
    assert watching.words == "0 of 8 held-out without landmarks within 10 cm/5 deg"


def test_it_watches_as_often_as_it_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight times at most, and never for more than three hundredths of the time."""
    now = [0.0]
    monkeypatch.setattr(live_recall, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    for cost, least, most in ((0.01, 7, 8), (0.5, 3, 7), (5.0, 0, 1)):
        checks = []

        def check(_: LiveRecall, __: object, cost: float = cost, checks: Any = checks) -> int:
            now[0] += cost
            checks.append(now[0])
            return 3

        monkeypatch.setattr(LiveRecall, "check", check)
        watching = live()
        head = CoordinateHead(CONFIG.head)
        for moment in range(100):
            watching.watch(head, moment / 100, 40.0 + moment)
        assert least <= len(checks) <= most
        assert cost * len(checks) <= 0.03 * 140 or len(checks) == 1


def test_without_frames_there_is_nothing_to_watch() -> None:
    watching = live(0)
    watching.watch(CoordinateHead(CONFIG.head), 0.9, 1e6)
    assert watching.words == ""
