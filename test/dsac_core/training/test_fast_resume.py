# SPDX-License-Identifier: Apache-2.0
"""Fast mapping that was ended goes on as if there had been no end."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from recordings import Recording
from toy_scene import sideways_recording
from training_runs import Stop, same

from dsac_core.data.frame import ALL, Frame
from dsac_core.errors import ConfigError, DatasetError
from dsac_core.networks.coordinate_head import HeadConfig
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training import encoded_recording, fast_map, fast_mapping
from dsac_core.training.encoded_recording import Validation
from dsac_core.training.fast_map import MappingInterrupted, map_scene
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.landmark_config import LandmarkConfig
from dsac_core.training.live_recall import LiveRecall

SMALL = HeadConfig(width=32)
CONFIG = FastMapConfig(iterations=60, batch_size=128, warmup_iterations=5, head=SMALL)
ALONE = replace(CONFIG, landmarks=None)  # landmarks would localize from the first step on


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return sideways_recording(12)


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out frames say nothing against the map."""

    def calibrate(scene: SceneMap, held_out: list[Frame], *_: object) -> SceneMap:
        return replace(scene, training={**scene.training, "held_out_frames": len(held_out)})

    monkeypatch.setattr(fast_map, "calibrate_map", calibrate)


def mapped(recording: Recording, config: FastMapConfig = CONFIG, **options: Any) -> SceneMap:
    torch.rand(3)  # somebody else's random numbers
    return map_scene(recording, ALL, config, name="corner", **options)


def interrupted(
    recording: Recording, file: Path | None, reports: int, config: FastMapConfig = CONFIG
) -> MappingInterrupted:
    """Ctrl-C after so many reports of training."""
    press = Stop(reports)

    def progress(stage: str, fraction: float, detail: str = "") -> None:
        if stage == "training":
            press(stage, fraction, detail)

    with pytest.raises(MappingInterrupted) as caught:
        mapped(recording, config, checkpoint_file=file, progress=progress)
    return caught.value


def weights(scene: SceneMap) -> dict[str, torch.Tensor]:
    """And the landmarks, of which there are some."""
    assert scene.landmarks is not None
    assert len(scene.landmarks) > 200
    return {**scene.regressor.state_dict(), **scene.landmarks.tensors()}


@pytest.mark.usefixtures("believed")
@pytest.mark.parametrize("reports", [1, 4])
def test_after_ctrl_c_all_is_as_if_there_had_been_none(
    reports: int, recording: Recording, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole.pt", tmp_path / "parts.pt"
    expected = mapped(recording, checkpoint_file=whole)
    end = interrupted(recording, parts, reports)
    assert end.where == f"iteration {10 * reports} of 60"
    begun: list[float] = []

    def progress(stage: str, fraction: float, detail: str = "") -> None:
        if stage == "training":
            begun.append(fraction)

    scene = mapped(recording, checkpoint_file=parts, resume=True, progress=progress)
    assert begun[0] > reports / 6
    assert same(weights(scene), weights(expected)) > 16
    assert scene.training["iterations"] == 60
    assert "interrupted" not in scene.training
    left, right = (torch.load(file)["trainer"] for file in (parts, whole))
    for state in (left, right):
        del state["seconds"]
    assert same(left, right) > 20


@pytest.mark.usefixtures("believed")
def test_the_interrupted_map_is_cooled_down(recording: Recording, tmp_path: Path) -> None:
    """It is not the weights of the checkpoint, which stay in the middle of training."""
    file = tmp_path / "a.pt"
    end = interrupted(recording, file, 3)
    assert end.scene is not None
    assert end.scene.training["interrupted"] == "iteration 30 of 60"
    assert end.held_out
    kept = torch.load(file)["trainer"]
    assert kept["iteration"] == 30
    assert not torch.equal(kept["head"]["leave.weight"], weights(end.scene)["leave.weight"])
    assert str(end) == "training ended at iteration 30 of 60"


def test_too_early_for_a_map(recording: Recording, tmp_path: Path) -> None:
    """The held-out frames say so; what was learned is kept."""
    end = interrupted(recording, tmp_path / "a.pt", 1, ALONE)
    assert end.scene is None
    assert (tmp_path / "a.pt").is_file()


def test_a_useless_map_leaves_no_checkpoint(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no held-out frame was localized"):
        mapped(recording, replace(ALONE, iterations=3), checkpoint_file=tmp_path / "a.pt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("believed")
def test_pressed_twice_it_ends_at_once(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_again(*_: object) -> None:
        time.sleep(0.35)  # two presses in less count as one
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10.0)

    monkeypatch.setattr(fast_mapping.FastTrainer, "cool_down", press_again)
    press = Stop(1)

    def progress(stage: str, fraction: float, detail: str = "") -> None:
        if stage == "training":
            press(stage, fraction, detail)

    with pytest.raises(KeyboardInterrupt) as caught:
        mapped(recording, checkpoint_file=tmp_path / "a.pt", progress=progress)
    assert not isinstance(caught.value, MappingInterrupted)
    assert torch.load(tmp_path / "a.pt")["trainer"]["iteration"] == 10


@pytest.mark.usefixtures("believed")
def test_ctrl_c_in_the_checks_leaves_all_that_was_learned(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = mapped(recording)
    with monkeypatch.context() as patched:

        def press(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10.0)

        patched.setattr(fast_map, "calibrate_map", press)
        # A process that was started in the background may ignore it.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(KeyboardInterrupt):
            mapped(recording, checkpoint_file=tmp_path / "a.pt")
        signal.signal(signal.SIGINT, before)
    scene = mapped(recording, checkpoint_file=tmp_path / "a.pt", resume=True)
    assert same(weights(scene), weights(expected)) > 16


@pytest.mark.usefixtures("believed")
def test_the_images_that_were_left_out_are_left_out_again(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a machine keeps up is a matter of luck, so the checkpoint says which were encoded."""
    config = replace(CONFIG, iterations=None, budget_seconds=3.0)
    with monkeypatch.context() as patched:
        patched.setattr(encoded_recording, "_GRACE", 0.0)
        patched.setattr(encoded_recording, "_ENCODING_SHARE", 1e-6)
        patched.setattr(
            encoded_recording._Clock, "is_behind", lambda _, done: int(12 * done) % 3 == 1
        )
        interrupted(recording, tmp_path / "a.pt", 1, config)
    kept = torch.load(tmp_path / "a.pt")
    assert 0 < len(kept["encoded"][0]) < 10
    seconds = kept["trainer"]["seconds"]
    scene = mapped(recording, config, checkpoint_file=tmp_path / "a.pt", resume=True)
    assert scene.training["images"] == len(kept["encoded"][0])
    assert torch.equal(weights(scene)["feature_mean"], kept["trainer"]["head"]["feature_mean"])
    assert torch.load(tmp_path / "a.pt")["trainer"]["seconds"] > seconds


@pytest.mark.usefixtures("believed")
def test_the_pairs_that_were_not_matched_are_not_matched_again(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint says for how many there was time, so the landmarks are the same."""
    config = replace(CONFIG, iterations=None, budget_seconds=6.0)
    asked: list[int] = []
    search = fast_mapping.find_landmarks

    def hurried(*arguments: Any, enough: Any, **options: Any) -> Any:
        def soon(done: int) -> bool:
            asked.append(done)
            return done >= 7

        return search(*arguments, enough=soon, **options)

    file = tmp_path / "a.pt"
    with monkeypatch.context() as patched:
        patched.setattr(fast_mapping, "find_landmarks", hurried)
        end = interrupted(recording, file, 1, config)
    assert asked == list(range(8))
    assert torch.load(file)["matched_pairs"] == 7
    assert end.scene is not None
    assert end.scene.landmarks is not None
    scene = mapped(recording, config, checkpoint_file=file, resume=True)
    assert scene.landmarks is not None
    assert same(scene.landmarks.tensors(), end.scene.landmarks.tensors()) == 6
    whole = mapped(recording).landmarks
    assert whole is not None
    assert len(whole) != len(scene.landmarks)  # with all pairs, others


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 3}, "seed was 0, is 3"),
        ({"iterations": 61}, "iterations was 60, is 61"),
        ({"head": HeadConfig(width=64)}, "head.width was 32, is 64"),
        ({"use_depth": True}, "use_depth was False, is True"),
        ({"landmarks": None}, "landmarks was "),
        ({"landmarks": LandmarkConfig(keypoints=99)}, "landmarks.keypoints was 1000, is 99"),
    ],
)
@pytest.mark.usefixtures("believed")
def test_other_settings_are_refused(
    change: dict[str, Any], words: str, recording: Recording, tmp_path: Path
) -> None:
    file = tmp_path / "a.pt"
    interrupted(recording, file, 1)
    with pytest.raises(ConfigError, match="was made with other settings") as caught:
        mapped(recording, replace(CONFIG, **change), checkpoint_file=file, resume=True)
    assert words in str(caught.value)
    mapped(recording, replace(CONFIG, checkpoint_seconds=1.0), checkpoint_file=file, resume=True)


@pytest.mark.usefixtures("believed")
def test_another_recording_is_refused(recording: Recording, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    interrupted(recording, file, 1)
    shorter = Recording(list(recording.frames(ALL))[:-1])
    other = Recording(list(recording.frames(ALL)))
    other.name = "kitchen"
    for wrong, words in (
        (shorter, "recordings.1.images was 12, is 11"),
        (other, "recordings.1.name was corner, is kitchen"),
    ):
        with pytest.raises(ConfigError) as caught:
            mapped(wrong, checkpoint_file=file, resume=True)
        assert words in str(caught.value)
    check = Validation(recording, ALL)
    with pytest.raises(ConfigError, match="validation was None, is"):
        mapped(recording, checkpoint_file=file, resume=True, validation=check)


_CHILD = """
import pickle, sys
from pathlib import Path
import torch
from dsac_core.training.fast_map import map_scene
torch.set_num_threads(1)
recording, config = pickle.loads(Path(sys.argv[1]).read_bytes())
map_scene(recording, "all", config, name="corner", checkpoint_file=Path(sys.argv[2]))
"""


@pytest.mark.usefixtures("believed")
def test_after_kill_9_all_is_as_if_there_had_been_none(
    recording: Recording, tmp_path: Path
) -> None:
    config = replace(CONFIG, iterations=400, checkpoint_seconds=0.01)
    (tmp_path / "job").write_bytes(pickle.dumps((recording, config)))
    file = tmp_path / "a.pt"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", _CHILD, str(tmp_path / "job"), str(file)]
    killed = subprocess.Popen(arguments, env=environment)
    while not file.is_file():
        assert killed.poll() is None
        time.sleep(0.005)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert torch.load(file)["trainer"]["iteration"] < 400
    resumed = mapped(recording, config, checkpoint_file=file, resume=True)
    assert same(weights(resumed), weights(mapped(recording, config))) > 16


@pytest.mark.usefixtures("believed")
def test_watching_does_not_change_the_weights(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def progress(stage: str, fraction: float, detail: str = "") -> None:
        if stage == "training":
            seen.append(detail)

    watch = LiveRecall.watch
    monkeypatch.setattr(LiveRecall, "watch", lambda *_: None)
    expected = mapped(recording)
    monkeypatch.setattr(
        LiveRecall, "watch", lambda live, head, done, _: watch(live, head, done, 1e6)
    )
    scene = mapped(recording, progress=progress)
    assert any("of 1 held-out without landmarks" in detail for detail in seen)
    assert same(weights(scene), weights(expected)) > 16
