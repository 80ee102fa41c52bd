# SPDX-License-Identifier: Apache-2.0
"""``dsac train`` with the methods of DSAC*: what is refused, what is kept, and one whole way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_scene import toy_recording

from dsac_core.cli.main import main
from dsac_core.data.frame import ALL, Frame
from dsac_core.scene.scene_map import Calibration, SceneMap
from dsac_core.training import dense_map
from dsac_core.training.dense_trainer import DenseTrainer

TINY = ["--method", "dsacstar-tiny", "--image-height", "48", "--float32"]
DEPTH = Calibration(0.0, min_support=0.4, covariance_scale=2.0)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return list(toy_recording(12, size=(64, 48)).frames(ALL, with_depth=True))


@pytest.fixture
def bag(frames: list[Frame], ros: Any, write_bag: Any) -> Path:
    """Twelve images of 64 x 48 with depth, poses and calibration."""
    messages: list[tuple[str, float, Any]] = []
    for frame in frames:
        assert frame.depth is not None
        millimetres = np.rint(1000.0 * frame.depth).astype(np.uint16)
        messages += [
            ("/pose", frame.stamp, ros.pose_stamped(frame.stamp, frame.world_T_cam)),
            ("/image", frame.stamp, ros.image(frame.stamp, frame.image)),
            ("/info", frame.stamp, ros.info(frame.stamp, frame.camera)),
            ("/depth", frame.stamp, ros.image(frame.stamp, millimetres, "16UC1")),
        ]
    folder: Path = write_bag(messages)
    return folder


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the map goes; nothing else of this machine is known."""
    monkeypatch.setenv("DSAC_SCENES", str(tmp_path / "scenes"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "scenes" / "lab"


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out frames say nothing against the map."""

    def calibrate(scene: SceneMap, held_out: list[Frame], *_: object) -> SceneMap:
        assert held_out
        depth = DEPTH if held_out[0].depth is not None else None
        training = {**scene.training, "held_out_frames": len(held_out)}
        return replace(scene, depth_calibration=depth, training=training)

    monkeypatch.setattr(dense_map, "calibrate_map", calibrate)


def kept(out: Path) -> Path:
    return out.with_name("lab.training.pt")


def train(dataset: Path, out: Path, *more: str) -> int:
    arguments = ["train", str(dataset), "--scene", "lab", "--out", str(out), "--iterations", "2"]
    return main([*arguments, "--e2e-iterations", "2", *more])


def error_of(code: int, capfd: pytest.CaptureFixture[str]) -> str:
    assert code == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert lines[-1].startswith("error: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--setting", "rgb"], "--setting needs a --method of DSAC*"),
        (["--method", "fast", "--float32"], "--float32 needs a --method of DSAC*"),
        ([*TINY, "--val", "x"], "--val is for fast maps, not for --method dsacstar-tiny"),
        ([*TINY, "--resume", "--replace"], "choose one of them"),
        ([*TINY, "--depth"], "with --method dsacstar-tiny use --setting rgbd"),
        ([*TINY, "--stage", "score"], "add --scoring scorenet"),
        ([*TINY, "--model", "room.ply"], "--model is for --setting rgb-model"),
        ([*TINY, "--setting", "rgb", "--model", "room.ply"], "--model is for --setting rgb-model"),
        ([*TINY, "--setting", "rgb-model", "--model", "room.ply"], "room.ply"),
        ([*TINY, "--resume"], "there is nothing to resume"),
        ([*TINY, "--stage", "e2e"], "unknown scene"),
        ([*TINY, "--preset", "dsac2017", "--scoring", "soft"], "--preset dsac2017 has --scoring"),
        ([*TINY, "--preset", "dsac2017", "--selection", "softam"], "leave --selection away"),
        (["--method", "dsacstar-tiny", "--image-height", "8"], "at least 32, got 8"),
        ([*TINY, "--proxy-depth", "0.01"], "min_depth < proxy_depth"),
    ],
)
def test_options_that_cannot_work(
    options: list[str], words: str, bag: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(bag), "--scene", "lab", "--out", str(out), *options]
    assert words in error_of(main(arguments), capfd)
    assert not out.parent.exists()


def test_unfinished_training_is_not_overwritten(
    bag: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out.parent.mkdir()
    kept(out).write_bytes(b"hours of work")
    assert "go on with --resume" in error_of(train(bag, out, *TINY), capfd)
    assert "is damaged" in error_of(train(bag, out, *TINY, "--resume"), capfd)
    assert kept(out).read_bytes() == b"hours of work"


def test_end_to_end_goes_on_from_a_map_of_the_same_method_only(
    bag: Path, out: Path, scene_map: SceneMap, capfd: pytest.CaptureFixture[str]
) -> None:
    scene_map.save(out)
    message = error_of(train(bag, out, *TINY, "--stage", "e2e"), capfd)
    assert "mapped with method fast, not dsacstar-tiny" in message
    assert SceneMap.load(out).training == scene_map.training


@pytest.mark.parametrize("setting", ["rgb", "rgbd"])
def test_a_map_that_localizes_nothing_is_refused(
    setting: str, bag: Path, out: Path, scene_map: SceneMap, capfd: pytest.CaptureFixture[str]
) -> None:
    """The map of before stays, and so does what was learned, which can be trained for longer."""
    scene_map.save(out)
    options = [*TINY, "--setting", setting]
    message = error_of(train(bag, out, *options), capfd)
    assert "no held-out frame was localized" in message
    assert SceneMap.load(out).training == scene_map.training
    assert kept(out).is_file()
    assert sorted(entry.name for entry in out.parent.iterdir()) == ["lab", "lab.training.pt"]
    longer = [*options, "--resume", "--e2e-iterations", "3"]
    assert "no held-out frame" in error_of(train(bag, out, *longer), capfd)
    other = [*options, "--resume", "--learning-rate", "0.1"]
    assert "init.learning_rate was 0.0001, is 0.1" in error_of(train(bag, out, *other), capfd)


def test_a_fast_map_leaves_unfinished_training_alone(
    bag: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out.parent.mkdir()
    kept(out).write_bytes(b"hours of work")
    command = ["train", str(bag), "--scene", "lab", "--out", str(out)]
    assert "has unfinished training" in error_of(main(command), capfd)
    assert "is damaged" in error_of(main([*command, "--resume"]), capfd)
    assert kept(out).read_bytes() == b"hours of work"


@pytest.mark.usefixtures("believed")
def test_the_working_folder_can_be_the_map(
    bag: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.mkdir(parents=True)
    monkeypatch.chdir(out)
    assert train(bag, Path(), *TINY) == 0
    assert SceneMap.load(out).name == "lab"
    assert [entry.name for entry in out.parent.iterdir()] == ["lab"]


def interrupted_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ctrl-C once so many steps were taken; the function returned takes it back."""
    import os
    import signal

    begin = DenseTrainer.__init__

    def with_finger(trainer: DenseTrainer, *args: Any, **options: Any) -> None:
        begin(trainer, *args, **options)
        left = [steps]

        def press(stage: str, fraction: float, detail: str = "") -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGINT)

        trainer.progress = press

    monkeypatch.setattr(DenseTrainer, "__init__", with_finger)
    return lambda: monkeypatch.setattr(DenseTrainer, "__init__", begin)


@pytest.mark.usefixtures("believed")
def test_after_ctrl_c_training_goes_on(
    bag: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the precision that it began with, whatever this moment of the machine is faster in."""

    def faster_in(precision: torch.dtype) -> None:
        monkeypatch.setattr(dense_map, "training_dtype", lambda _: precision)

    mixed = [option for option in TINY if option != "--float32"]
    faster_in(torch.bfloat16)
    undo = interrupted_after(1, monkeypatch)
    assert train(bag, out, *mixed) == 130
    words = capfd.readouterr().err
    assert f"training is kept in {kept(out)}, go on with --resume" in words
    assert not out.exists()
    undo()
    faster_in(torch.float32)
    assert train(bag, out, *mixed, "--resume") == 0
    faster_in(torch.bfloat16)
    resumed = SceneMap.load(out).regressor.state_dict()
    assert not kept(out).exists()
    assert train(bag, out.with_name("whole"), *mixed) == 0
    for name, value in SceneMap.load(out.with_name("whole")).regressor.state_dict().items():
        assert bool((resumed[name] == value).all()), name


def test_ctrl_c_before_training_promises_nothing(
    bag: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def press(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dense_map, "load_images", press)
    assert train(bag, out, *TINY) == 130
    assert "interrupted: nothing was changed" in capfd.readouterr().err


@pytest.mark.usefixtures("believed")
def test_stage_by_stage_and_then_evaluated(
    bag: Path, out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = [*TINY, "--setting", "rgbd", "--seed", "3"]
    assert train(bag, out, *options, "--stage", "init", "--frame-id", "floor") == 0
    first = SceneMap.load(out)
    assert (first.name, first.frame_id, first.depth_calibration) == ("lab", "floor", DEPTH)
    assert first.training["stages"] == "init"
    assert first.training["setting"] == "rgbd"
    assert (first.camera.width, first.camera.height) == (64, 48)
    assert train(bag, out, *options, "--stage", "e2e", "--e2e-learning-rate", "1e-9") == 0
    second = SceneMap.load(out)
    assert second.training["stages"] == "e2e"
    assert second.training["init_loss"] == first.training["init_loss"]
    assert second.training["e2e_iterations"] >= 1
    before, after = (scene.regressor.state_dict() for scene in (first, second))
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=1e-7)
    assert not kept(out).exists()
    capfd.readouterr()
    figures = tmp_path / "figures.json"
    evaluate = ["evaluate", "lab", str(bag), "--json", str(figures)]
    assert main([*evaluate, "--rgbd"]) == 0
    assert json.loads(figures.read_text())["summary"]["frames"] == 12
    replace(second, depth_calibration=None).save(out)
    assert "mapped without depth" in error_of(main([*evaluate, "--rgbd"]), capfd)
    assert main(evaluate) == 0


@pytest.mark.usefixtures("believed")
def test_the_preset_of_2017_keeps_its_score_cnn(bag: Path, out: Path) -> None:
    more = ["--preset", "dsac2017", "--score-iterations", "1", "--max-frames", "10"]
    assert train(bag, out, *TINY, *more) == 0
    scene = SceneMap.load(out)
    assert scene.scorer is not None
    assert scene.training["stages"] == "init score e2e"
    assert scene.training["score_iterations"] == 1
    assert scene.training["images"] + scene.training["held_out_frames"] == 10
