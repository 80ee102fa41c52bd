# SPDX-License-Identifier: Apache-2.0
"""The command line: bad input is one line and exit code 2, and nothing is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsac_core.cli.main import main
from dsac_core.scene.scene_map import SceneMap


@pytest.fixture
def lab(scene_map: SceneMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A known scene called lab, and no others."""
    scene_map.save(tmp_path / "scenes" / "lab")
    monkeypatch.setenv("DSAC_SCENES", str(tmp_path / "scenes"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "scenes" / "lab"


def error_of(arguments: list[Any], capfd: pytest.CaptureFixture[str]) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def test_an_unknown_scene_lists_the_known_ones(
    lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["info", "ofice"], ["evaluate", "ofice", lab]):
        message = error_of(arguments, capfd)
        assert "unknown scene 'ofice'" in message
        assert "scenes found: lab" in message


def test_a_truncated_map(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    weights = lab / "map.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "map.safetensors is missing or truncated" in error_of(["info", "lab"], capfd)


def train(dataset: Path, out: Path, *more: str) -> list[Any]:
    return ["train", dataset, "--scene", "new", "--out", out, "--iterations", "2", *more]


def test_a_dataset_without_poses(
    lab: Path, seven_scenes: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for file in seven_scenes.path.glob("seq-*/*.pose.txt"):
        file.unlink()
    assert "pose.txt" in error_of(train(seven_scenes.path, tmp_path / "out"), capfd)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("topic", "words"),
    [("/camera/image_raw", "no image topic"), ("/odom", "no pose topic"),
     ("/camera/camera_info", "no camera_info topic")],
)  # fmt: skip
def test_a_bag_without_the_topic_lists_its_topics(
    topic: str, words: str, robot_bag: Any, write_bag: Any, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    bag = write_bag([entry for entry in robot_bag.messages if entry[0] != topic])
    message = error_of(train(bag, tmp_path / "out"), capfd)
    assert words in message
    assert "/tf_static (tf2_msgs/msg/TFMessage)" in message
    assert not (tmp_path / "out").exists()


def test_a_topic_that_was_asked_for(
    robot_bag: Any, write_bag: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = train(write_bag(robot_bag.messages), tmp_path / "out", "--image-topic", "/nope")
    assert "no image topic '/nope'" in error_of(arguments, capfd)


def test_an_image_without_calibration(
    robot_bag: Any, write_bag: Any, ros: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    info = ros.info(0.0, robot_bag.camera)
    info.k, info.p = np.zeros(9), np.zeros(12)
    messages = [entry for entry in robot_bag.messages if entry[0] != "/camera/camera_info"]
    bag = write_bag([("/camera/camera_info", 0.0, info), *messages])
    assert "not calibrated" in error_of(train(bag, tmp_path / "out"), capfd)


def test_what_is_no_dataset(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "no recording at" in error_of(train(tmp_path / "x", tmp_path / "out"), capfd)
    assert "no known form" in error_of(train(tmp_path, tmp_path / "out"), capfd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a b", "", ".hidden", "a/b"])
def test_a_scene_name_that_is_none(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "--scene must be a plain name" in error_of(["train", "x", "--scene", name], capfd)


def test_an_output_folder_that_holds_something_else(
    seven_scenes: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.tex").write_text("years of work")
    assert "is not a scene map" in error_of(train(seven_scenes.path, out), capfd)
    assert (out / "chapter1.tex").read_text() == "years of work"


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "meta"])
def test_a_device_that_is_none(device: str, lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert f"'{device}'" in error_of(["evaluate", "lab", lab, "--device", device], capfd)


def test_too_few_frames(
    seven_scenes: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "at least 10" in error_of(train(seven_scenes.path, tmp_path / "out"), capfd)


def test_info_tells_what_is_in_a_map(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "lab"]) == 0
    out = capfd.readouterr().out
    for words in ("lab", str(lab), "640x480", "4.0 x 6.0 x 2.5 m", "21% of the cells"):
        assert words in out
    assert main(["info"]) == 0
    assert capfd.readouterr().out.split() == ["lab", str(lab)]


def test_evaluate_writes_json_and_tum(
    lab: Path, seven_scenes: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a map of nothing: no frame is localized, and the figures say so."""
    figures, track = tmp_path / "deep" / "out.json", tmp_path / "out.tum"
    command = ["evaluate", "lab", seven_scenes.path, "--json", figures, "--tum", track]
    assert main([str(part) for part in command]) == 0
    content = json.loads(figures.read_text())
    summary = content["summary"]
    assert (summary["frames"], summary["localized"]) == (1, 0)
    assert summary["recall"]["5cm_5deg"] == 0.0
    assert summary["median_translation_cm"] is None
    assert track.read_text() == ""
    assert "recall 5 cm / 5 deg" in capfd.readouterr().out


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\nfrom dsac_core.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as done:\n    assert done.code == 0\n"
        "assert not {'torch', 'cv2', 'scipy'} & set(sys.modules)"
    )
    for arguments in (["--help"], ["train", "--help"], ["evaluate", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "usage: dsac" in done.stdout
