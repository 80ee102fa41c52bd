# SPDX-License-Identifier: Apache-2.0
"""The checkpoint on disk: whole, and of the same settings, or refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dsac_core.errors import ConfigError
from dsac_core.training.dense_config import DenseMapConfig
from dsac_core.training.dense_state import DenseState

CONFIG = DenseMapConfig(budget_seconds=3600.0)


def checkpoint(iteration: int = 7) -> DenseState:
    weight = torch.randn(20, 30, generator=torch.Generator().manual_seed(iteration))
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": weight / 7}}}
    return DenseState(1, iteration, 12.5, {"weight": weight}, {"bias": weight[0]}, optimizer)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    checkpoint().save(tmp_path / "deep" / "lab.training.pt", CONFIG)
    return tmp_path / "deep" / "lab.training.pt"


def error_of(file: Path, config: DenseMapConfig = CONFIG) -> str:
    with pytest.raises(ConfigError) as caught:
        DenseState.load(file, config)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    return str(caught.value)


def test_everything_comes_back(file: Path) -> None:
    loaded, saved = DenseState.load(file, CONFIG), checkpoint()
    assert (loaded.stage, loaded.iteration, loaded.seconds) == (1, 7, 12.5)
    for part in ("network", "scorer"):
        before, after = getattr(saved, part), getattr(loaded, part)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert saved.optimizer is not None
    assert loaded.optimizer is not None
    state = loaded.optimizer["state"][0]
    assert torch.equal(state["exp_avg"], saved.optimizer["state"][0]["exp_avg"])
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_end_while_writing_leaves_the_old_one(
    error: BaseException, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object, target: Any) -> None:
        Path(target).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(type(error)):
        checkpoint(8).save(file, CONFIG)
    assert DenseState.load(file, CONFIG).iteration == 7
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_new_one_takes_the_place_of_the_old_one(file: Path) -> None:
    checkpoint(8).save(file, CONFIG)
    assert DenseState.load(file, CONFIG).iteration == 8
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_one(share: float, file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert "is damaged (" in error_of(file)


@pytest.mark.parametrize(
    "content", [b"years of work", b"\x80\x02", b"\x80\x02}q\x00.", b"PK\x03\x04", b"\xff" * 1000]
)
def test_what_is_none(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    assert "remove it and train from the start" in error_of(file)


@pytest.mark.parametrize(
    "content",
    [[1, 2], 7, {}, {"settings": "{"}, {"settings": None}, {"settings": "{}", "speed": 3},
     {"weight": torch.zeros(3)}],
)  # fmt: skip
def test_what_holds_something_else(content: Any, file: Path) -> None:
    torch.save(content, file)
    assert "is damaged" in error_of(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "is damaged" in error_of(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "dsacpp"}, "network was dsacstar, is dsacpp"),
        ({"setting": "rgbd"}, "setting was rgb, is rgbd"),
        ({"stages": ("init",)}, "stages was ['init', 'e2e'], is ['init']"),
        ({"seed": 3}, "seed was 0, is 3"),
        ({"init": replace(CONFIG.init, learning_rate=1e-3)}, "init.learning_rate was 0.0001"),
        ({"e2e": replace(CONFIG.e2e, batch_size=4)}, "e2e.batch_size was 1, is 4"),
        ({"loss": replace(CONFIG.loss, proxy_depth=3.0)}, "loss.proxy_depth was 10.0, is 3.0"),
        ({"gradient_clamp": 5.0}, "gradient_clamp was None, is 5.0"),
        ({"scoring": "scorenet"}, "scoring was soft"),
    ],
)
def test_other_settings(change: dict[str, Any], words: str, file: Path) -> None:
    message = error_of(file, replace(CONFIG, **change))
    assert f"was made with other settings ({words}" in message


def test_longer_training_and_another_budget_are_fine(file: Path) -> None:
    longer = replace(
        CONFIG,
        init=replace(CONFIG.init, iterations=5_000_000),
        score=replace(CONFIG.score, iterations=9_000),
        e2e=replace(CONFIG.e2e, iterations=200_000),
        budget_seconds=None,
        checkpoint_seconds=5.0,
    )
    assert DenseState.load(file, longer).iteration == 7
