# SPDX-License-Identifier: Apache-2.0
"""Two processes over gloo train one head."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from recordings import Recording
from toy_scene import sideways_recording

from dsac_core.data.frame import ALL
from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.training import fast_map
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.workers import ALONE, joined_workers, local_device

SMALL = HeadConfig(width=32)
CONFIG = FastMapConfig(iterations=30, batch_size=128, warmup_iterations=5, head=SMALL)

# Each rank: the mean gradient of both; one value decided by the largest; mapping, interrupted or
# not; what is found goes to a file of its own.
_RANK = """
import os, pickle, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.training import fast_map
from dsac_core.training.fast_trainer import FastTrainer
from dsac_core.training.workers import joined_workers, local_device

folder = Path(sys.argv[1])
recording, config, resume, press_at = pickle.loads((folder / "job").read_bytes())
fast_map.calibrate_map = lambda scene, held_out, *_: scene
found = {}
with joined_workers(local_device("cpu")) as workers:
    torch.manual_seed(workers.rank)
    head = CoordinateHead(HeadConfig(width=32))
    workers.copy_first(head)
    generator = torch.Generator().manual_seed(10 + workers.rank)
    head(torch.randn(64, 128, generator=generator)).square().mean().backward()
    workers.average_gradients(head)
    found["head"] = head.state_dict()
    found["gradients"] = [parameter.grad for parameter in head.parameters()]
    found["largest"] = workers.largest(float(workers.rank), -float(workers.rank))

    step = FastTrainer.step

    def pressing(trainer, done):
        step(trainer, done)
        if workers.rank == 1 and trainer.iteration == press_at:
            os.kill(os.getpid(), signal.SIGINT)

    FastTrainer.step = pressing

    def progress(stage, fraction, detail=""):
        if stage == "training":
            (folder / "training").touch()

    file = folder / "a.pt"
    try:
        scene = fast_map.map_scene(recording, "all", config, name="corner", workers=workers,
                                   checkpoint_file=file, resume=resume, progress=progress)
        found["weights"], found["record"] = scene.regressor.state_dict(), scene.training
        found["weights"] |= scene.landmarks.tensors()
    except fast_map.MappingInterrupted as end:
        found["where"] = end.where
(folder / f"rank{workers.rank}").write_bytes(pickle.dumps(found))
"""


@pytest.fixture(scope="module")
def recording() -> Recording:
    return sideways_recording(12)


def start(
    folder: Path,
    recording: Recording,
    config: FastMapConfig,
    *,
    resume: bool = False,
    press_at: int = -1,
) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    (folder / "job").write_bytes(pickle.dumps((recording, config, resume, press_at)))
    (folder / "rank.py").write_text(_RANK)
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*torchrun, "--nproc-per-node", "2", str(folder / "rank.py"), str(folder)],
        env=environment,
        start_new_session=True,
    )


def found(folder: Path) -> list[dict[str, Any]]:
    return [pickle.loads((folder / f"rank{rank}").read_bytes()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def both(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("both")
    assert start(folder, recording, CONFIG).wait() == 0
    return found(folder)


def test_the_mean_gradient_is_that_of_both_batches(both: list[dict[str, Any]]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = CoordinateHead(SMALL)
    batches = [
        torch.randn(64, 128, generator=torch.Generator().manual_seed(10 + rank)) for rank in (0, 1)
    ]
    head(torch.cat(batches)).square().mean().backward()
    for rank in both:
        for name, value in head.state_dict().items():
            assert torch.equal(rank["head"][name], value), name
        for gradient, parameter in zip(rank["gradients"], head.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, atol=1e-6, rtol=1e-4)
        assert rank["largest"] == [1.0, 0.0]


def test_they_make_one_map_of_all_images(both: list[dict[str, Any]]) -> None:
    first, second = both
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
    for rank in both:
        assert rank["record"]["images"] == 11
        assert rank["record"]["iterations"] == 30
        assert rank["record"]["processes"] == 2


def test_their_landmarks_are_those_of_all_images(
    recording: Recording, both: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as one process finds, which has them in another order."""
    monkeypatch.setattr(fast_map, "calibrate_map", lambda scene, *_: scene)
    alone = fast_map.map_scene(recording, ALL, replace(CONFIG, iterations=1), name="corner")
    assert alone.landmarks is not None
    count = len(alone.landmarks)
    assert count > 200
    for rank in both:
        assert abs(len(rank["weights"]["points_L3"]) - count) < 0.1 * count
        assert len(rank["weights"]["places_VP"]) == 11
        assert rank["record"]["landmarks"] == len(rank["weights"]["points_L3"])


def test_ctrl_c_in_one_ends_all_and_they_resume_as_if_it_had_not(
    recording: Recording, both: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert start(tmp_path, recording, CONFIG, press_at=12).wait() == 0
    assert [rank["where"] for rank in found(tmp_path)] == ["iteration 12 of 30"] * 2
    assert start(tmp_path, recording, CONFIG, resume=True).wait() == 0
    for rank in found(tmp_path):
        for name, value in both[0]["weights"].items():
            assert torch.equal(rank["weights"][name], value), name


def test_ctrl_c_ends_all(recording: Recording, tmp_path: Path) -> None:
    """To the process that torchrun is, which hands it on to its workers."""
    config = replace(CONFIG, iterations=20_000)
    process = start(tmp_path, recording, config)
    while not (tmp_path / "training").is_file():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    process.wait()
    places = {rank["where"] for rank in found(tmp_path)}
    assert len(places) == 1
    kept = torch.load(tmp_path / "a.pt")
    iteration = kept["trainer"]["iteration"]
    assert places == {f"iteration {iteration} of 20000"}
    assert 0 < iteration < 20_000
    assert sorted(map(len, kept["encoded"])) == [5, 6]


def test_alone_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "MASTER_ADDR", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with joined_workers(local_device("cpu")) as workers:
        assert workers is ALONE
    values = torch.arange(3.0)
    assert ALONE.mean(values) is values
    assert ALONE.largest(1.0, 2.0) == [1.0, 2.0]
    assert ALONE.gather("a") == ["a"]
    with pytest.raises(ConfigError, match="unknown device"):
        local_device("abacus")
