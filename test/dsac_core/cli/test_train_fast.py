# SPDX-License-Identifier: Apache-2.0
"""``dsac train`` of fast maps: what a scene that exists, and Ctrl-C, lead to."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from recordings import Recording
from scipy.spatial.transform import Rotation
from toy_scene import sideways_recording, toy_recording

from dsac_core.cli import train_fast
from dsac_core.cli.fast_options import fast_config
from dsac_core.cli.main import main
from dsac_core.data import seven_scenes as reader
from dsac_core.data.frame import ALL, Frame
from dsac_core.networks.coordinate_head import HeadConfig
from dsac_core.scene.scene_map import SceneMap
from dsac_core.synthetic import CAMERA, office, render_view, walk_poses
from dsac_core.training import fast_map
from dsac_core.training.fast_loop import FastLoop
from dsac_core.training.fast_map_config import FastMapConfig


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def frames() -> Recording:
    return toy_recording(20, size=(64, 48))


@pytest.fixture
def walks(
    frames: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path, Path]:
    """Three recordings as 7-Scenes folders, of 10, 10 and 6 images; two have a test split too."""
    views = list(frames.frames(ALL))
    monkeypatch.setattr(reader, "COLOUR_CAMERA", views[0].camera)
    parts = {"first": views[:10], "second": views[10:], "third": views[4:10]}
    folders = []
    for name, part in parts.items():
        folder = tmp_path / "walks" / name
        write_walk(folder, part)
        if name == "third":
            (folder / "TestSplit.txt").unlink()
        folders.append(folder)
    return tuple(folders)  # type: ignore[return-value]


def write_walk(folder: Path, frames: list[Frame]) -> None:
    """A 7-Scenes folder, whose train and test splits are the same images."""
    sequence = folder / "seq-01"
    sequence.mkdir(parents=True)
    for split in ("Train", "Test"):
        (folder / f"{split}Split.txt").write_text("sequence1\n")
    for number, frame in enumerate(frames):
        stem = sequence / f"frame-{number:06}"
        cv2.imwrite(f"{stem}.color.png", frame.image[..., ::-1])
        np.savetxt(f"{stem}.pose.txt", frame.world_T_cam @ reader.COLOUR_T_DEPTH)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the map goes; nothing else of this machine is known."""
    monkeypatch.setenv("DSAC_SCENES", str(tmp_path / "scenes"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "scenes" / "lab"


@pytest.fixture(autouse=True)
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out frames say nothing against the map."""

    def calibrate(scene: SceneMap, held_out: Any, *_: object) -> SceneMap:
        record = {"held_out_frames": len(held_out), "held_out_names": [f.name for f in held_out]}
        return replace(scene, training={**scene.training, **record})

    monkeypatch.setattr(fast_map, "calibrate_map", calibrate)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that takes milliseconds a step."""

    def config(args: Any) -> FastMapConfig:
        return replace(fast_config(args), batch_size=128, head=HeadConfig(width=32))

    monkeypatch.setattr(train_fast, "fast_config", config)


def train(out: Path, *arguments: object, iterations: int = 20) -> int:
    command = ["train", *arguments, "--scene", "lab", "--out", out, "--iterations", iterations]
    return main([str(argument) for argument in command])


def error_of(code: int, capfd: pytest.CaptureFixture[str]) -> str:
    assert code == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def record(out: Path) -> dict[str, Any]:
    return SceneMap.load(out).training


def paths(out: Path) -> list[str]:
    return [Path(recording["path"]).name for recording in record(out)["recordings"]]


def weights(out: Path) -> torch.Tensor:
    return SceneMap.load(out).regressor.state_dict()["enter.weight"]


def test_a_map_says_what_it_was_made_from(
    walks: tuple[Path, ...], out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(out, walks[0], walks[1], walks[0]) == 0
    said = capfd.readouterr().out
    assert "mapping lab, from first + second (20 images), in " in said
    assert " on 1 thread" in said
    (first, second) = record(out)["recordings"]
    topics = {"keyframes": 1000}
    assert first == {"path": str(walks[0]), "split": "train", "topics": topics, "images": 10}
    assert second["path"] == str(walks[1])
    assert record(out)["images"] == 18
    assert record(out)["held_out_frames"] == 2
    assert [entry.name for entry in out.parent.iterdir()] == ["lab"]


def test_a_map_is_continued(
    walks: tuple[Path, ...], out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """From its weights, statistics and centre, with its recordings and the new one."""
    assert train(out, walks[0], "--frame-id", "floor") == 0
    before = SceneMap.load(out)
    statistics = before.regressor.state_dict()
    camera = replace(before.camera, fx=1.03 * before.camera.fx)
    replace(before, map_T_scene=np.diag([-1.0, -1.0, 1.0, 1.0]), camera=camera).save(out)
    capfd.readouterr()
    assert train(out, walks[1], iterations=1) == 0
    assert "continuing lab, from first + second (20 images)" in capfd.readouterr().out
    after = SceneMap.load(out)
    assert paths(out) == ["first", "second"]
    assert after.frame_id == "floor"
    assert after.map_T_scene[0, 0] == -1.0
    assert after.camera == camera
    stored = after.regressor.state_dict()
    for name in ("centre", "feature_mean", "feature_std"):
        assert torch.equal(stored[name], statistics[name]), name
    # One step of warm-up is small: these are the weights of before, hardly changed.
    torch.testing.assert_close(
        stored["enter.weight"], statistics["enter.weight"], atol=1e-2, rtol=0
    )


def test_the_same_recording_is_not_taken_twice(walks: tuple[Path, ...], out: Path) -> None:
    assert train(out, walks[0]) == 0
    images = record(out)["images"]
    assert train(out, walks[0].parent / "." / "first") == 0
    assert paths(out) == ["first"]
    assert record(out)["images"] == images


def test_what_checked_the_map_checks_it_again(walks: tuple[Path, ...], out: Path) -> None:
    """Frames that were held out of the first training are not trained on in the second."""
    assert train(out, walks[0]) == 0
    checked = record(out)["held_out_names"]
    assert train(out, walks[1]) == 0
    assert record(out)["held_out_names"][: len(checked)] == checked
    assert len(record(out)["held_out_names"]) == 2 * len(checked)


def test_a_recording_that_is_gone(
    walks: tuple[Path, ...], out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line of warning; when it is back, it is taken again."""
    assert train(out, walks[0]) == 0
    hidden = walks[0].with_name("elsewhere")
    walks[0].rename(hidden)
    capfd.readouterr()
    assert train(out, walks[1]) == 0
    said = capfd.readouterr().out.splitlines()
    warnings = [line for line in said if "may be forgotten" in line]
    assert len(warnings) == 1
    assert str(walks[0]) in warnings[0]
    assert paths(out) == ["second"]
    assert record(out)["recordings_gone"][0]["path"] == str(walks[0])
    hidden.rename(walks[0])
    assert train(out, walks[2]) == 0
    assert paths(out) == ["second", "first", "third"]
    assert "recordings_gone" not in record(out)


def test_replace_starts_afresh(
    walks: tuple[Path, ...], out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(out, walks[1]) == 0
    expected = weights(out)
    shutil.rmtree(out)
    assert train(out, walks[0]) == 0
    out.with_name("lab.training.pt").write_bytes(b"minutes of work")
    assert "--replace does" in error_of(train(out, walks[1]), capfd)
    assert train(out, walks[1], "--replace") == 0
    assert "replacing lab, from second (10 images)" in capfd.readouterr().out
    assert paths(out) == ["second"]
    assert torch.equal(weights(out), expected)
    assert [entry.name for entry in out.parent.iterdir()] == ["lab"]


def test_a_map_that_cannot_be_continued(
    walks: tuple[Path, ...], out: Path, scene_map: SceneMap, capfd: pytest.CaptureFixture[str]
) -> None:
    scene_map.save(out)  # of before there was a record
    message = error_of(train(out, walks[0]), capfd)
    assert "start afresh with --replace" in message
    (out / "map.safetensors").write_bytes(b"")
    assert error_of(train(out, walks[0]), capfd).endswith("with --replace")
    assert train(out, walks[0], "--replace") == 0


def test_other_frames_to_check_with(
    walks: tuple[Path, ...], out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for val, count in ((walks[2], 6), ("test", 10)):
        assert train(out, walks[0], "--val", val, "--replace") == 0
        assert record(out)["images"] == 10
        assert record(out)["held_out_frames"] == count
    capfd.readouterr()
    assert "no recording at" in error_of(train(out, walks[0], "--val", "tset", "--replace"), capfd)
    message = error_of(train(out, walks[0], "--val", "train", "--replace"), capfd)
    assert "is what is learned from" in message


def test_memory(walks: tuple[Path, ...], out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "at least 0.9, got 0.5" in error_of(train(out, walks[0], "--memory-gb", "0.5"), capfd)
    assert train(out, walks[0], "--memory-gb", "1.4") == 0


def test_end_to_end_training_is_recorded(
    walks: tuple[Path, ...], out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(out, walks[0]) == 0
    before = weights(out)
    assert "finetune_iterations" not in record(out)
    assert train(out, walks[0], "--replace", "--finetune-seconds", "0.5") == 0
    finetuned = record(out)
    assert finetuned["finetune_iterations"] >= 1
    assert set(finetuned["finetune_recall_before"]) == {"5cm_5deg", "2cm_2deg", "1cm_1deg"}
    # This map localizes nothing, so the error cannot fall, and the weights come back.
    assert finetuned["finetune_kept"] is False
    assert torch.equal(weights(out), before)
    assert "held-out views, mean error" in capfd.readouterr().err


def press_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C once training has come so far."""
    report = FastLoop._report

    def pressing(loop: FastLoop, remark: str) -> None:
        report(loop, remark)
        if loop._trainer.iteration == steps:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FastLoop, "_report", pressing)


@pytest.mark.parametrize(("old", "new", "saved"), [(2, 2, True), (1, 2, True), (2, 1, False)])
def test_ctrl_c_keeps_the_better_map(
    old: int, new: int, saved: bool, walks: tuple[Path, ...], out: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert train(out, walks[0]) == 0
    before = weights(out)
    kept = out.with_name("lab.training.pt")

    def localizes(scene: SceneMap, held_out: Any, _: object) -> int:
        assert len(held_out) == 2
        return new if "interrupted" in scene.training else old

    monkeypatch.setattr(train_fast, "localized_well", localizes)
    with monkeypatch.context() as patched:
        press_after(20, patched)
        assert train(out, walks[1], iterations=40) == 130
    words = capfd.readouterr().err.strip().splitlines()[-1]
    assert "iteration 20 of 40" in words
    assert words.endswith("go on with --resume")
    assert torch.equal(weights(out), before) is not saved
    assert ("the map so far is in" in words) is saved
    assert ("stays as it was" in words) is not saved
    assert record(out).get("interrupted") == ("iteration 20 of 40" if saved else None)
    assert kept.is_file()
    assert train(out, walks[1], "--resume", iterations=40) == 0
    assert paths(out) == ["first", "second"]
    assert record(out)["iterations"] == 40
    assert "interrupted" not in record(out)
    assert not kept.exists()


def test_resume_ends_where_training_without_an_end_does(
    walks: tuple[Path, ...], out: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(train_fast, "localized_well", lambda *_: 1)
    assert train(out, walks[0], walks[1], iterations=30) == 0
    expected = json.loads((out / "scene.json").read_text())["head"]
    whole = weights(out)
    with monkeypatch.context() as patched:
        press_after(10, patched)
        assert train(out, walks[0], walks[1], "--replace", iterations=30) == 130
    capfd.readouterr()
    message = error_of(train(out, walks[2], "--resume", iterations=30), capfd)
    assert "recordings.3 was None" in message
    assert "--resume, or" in error_of(train(out, walks[0], iterations=30), capfd)
    assert train(out, walks[1], "--resume", iterations=30) == 0
    assert torch.equal(weights(out), whole)
    assert json.loads((out / "scene.json").read_text())["head"] == expected


def test_ctrl_c_before_training_promises_nothing(
    walks: tuple[Path, ...], out: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_fast, "map_scene", press)
    assert train(out, walks[0]) == 130
    assert "interrupted: nothing was changed" in capfd.readouterr().err
    assert not out.exists()
    kept = out.with_name("lab.training.pt")
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(b"minutes of work")
    assert train(out, walks[0], "--replace") == 130
    assert "interrupted: nothing was changed" in capfd.readouterr().err
    assert kept.read_bytes() == b"minutes of work"


def test_ctrl_c_twice_leaves_what_was_learned(
    walks: tuple[Path, ...], out: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The second one while the map so far is compared with the old one."""

    def press(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_fast, "localized_well", press)
    with monkeypatch.context() as patched:
        press_after(10, patched)
        assert train(out, walks[0]) == 130
    kept = out.with_name("lab.training.pt")
    words = capfd.readouterr().err
    assert f"interrupted: training is kept in {kept}; go on with --resume" in words
    assert not out.exists()
    assert train(out, walks[0], "--resume") == 0
    assert record(out)["iterations"] == 20


@pytest.fixture
def sideways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording that has landmarks."""
    views = list(sideways_recording().frames(ALL))
    monkeypatch.setattr(reader, "COLOUR_CAMERA", views[0].camera)
    write_walk(tmp_path / "walks" / "sideways", views)
    return tmp_path / "walks" / "sideways"


def evaluated(out: Path, walk: Path, *more: str) -> float:
    """Share of the frames within 5 cm and 5 degrees."""
    figures = out.parent / "figures.json"
    assert main(["evaluate", str(out), str(walk), "--json", str(figures), *more]) == 0
    return float(json.loads(figures.read_text())["summary"]["recall"]["5cm_5deg"])


@pytest.mark.parametrize("option", [["--landmarks", "only"], ["--regression", "off"]])
def test_a_map_of_landmarks_alone(
    option: list[str], sideways: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its head is not trained, and it localizes; cells alone it does not have."""
    assert train(out, sideways, *option) == 0
    scene = SceneMap.load(out)
    assert not scene.regression
    assert scene.training["iterations"] == 0
    assert scene.landmarks is not None
    assert len(scene.landmarks) == scene.training["landmarks"] > 200
    assert [entry.name for entry in out.parent.iterdir()] == ["lab"]
    for more in ([], ["--landmarks", "only"], ["--regression", "off"]):
        assert evaluated(out, sideways, *more) > 0.9
    capfd.readouterr()
    code = main(["evaluate", str(out), str(sideways), "--landmarks", "off"])
    message = error_of(code, capfd)
    assert message.endswith("has no regression, only landmarks: map it with --regression on")


def test_a_map_without_landmarks(
    sideways: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(out, sideways, "--landmarks", "off") == 0
    scene = SceneMap.load(out)
    assert "warning: how far" not in capfd.readouterr().out
    assert scene.landmarks is None
    assert scene.regression
    assert (scene.training["iterations"], scene.training["landmarks"]) == (20, 0)
    for more in ([], ["--landmarks", "off"], ["--landmarks", "on"], ["--regression", "on"]):
        evaluated(out, sideways, *more)
    capfd.readouterr()
    code = main(["evaluate", str(out), str(sideways), "--landmarks", "only"])
    assert error_of(code, capfd).endswith("has no landmarks: map it with --landmarks on")


@pytest.mark.parametrize("more", [[], ["--landmarks", "on"], ["--regression", "on"]])
def test_a_map_with_both_is_what_is_made_unless_asked_otherwise(
    more: list[str], sideways: Path, out: Path
) -> None:
    assert train(out, sideways, *more) == 0
    scene = SceneMap.load(out)
    assert scene.regression
    assert scene.training["iterations"] == 20
    assert scene.landmarks is not None
    assert len(scene.landmarks) > 200
    assert evaluated(out, sideways, "--landmarks", "only") > 0.9
    assert evaluated(out, sideways, "--landmarks", "off") < 0.1


def test_continuing_a_map_of_landmarks_trains_its_head(sideways: Path, out: Path) -> None:
    assert train(out, sideways, "--landmarks", "only") == 0
    untrained = weights(out)
    assert train(out, sideways) == 0
    scene = SceneMap.load(out)
    assert scene.regression
    assert scene.landmarks is not None
    assert not torch.equal(weights(out), untrained)
    assert train(out, sideways, "--landmarks", "off") == 0
    assert SceneMap.load(out).landmarks is None


def test_a_camera_that_only_turns_is_warned_of(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    room = office()
    begin = walk_poses("mapping", room.options).world_T_cam[0]
    camera = CAMERA.scaled(128, 96)
    monkeypatch.setattr(reader, "COLOUR_CAMERA", camera)
    views = []
    for number in range(12):
        world_T_cam = begin.copy()
        world_T_cam[:3, :3] @= Rotation.from_euler("y", 3.0 * number, degrees=True).as_matrix()
        image, _ = render_view(room, camera, world_T_cam)
        views.append(Frame(f"{number}", number / 4, image, camera, world_T_cam, None))
    write_walk(tmp_path / "turn", views)
    assert train(out, tmp_path / "turn") == 0
    assert "the camera hardly moved" in capfd.readouterr().out
