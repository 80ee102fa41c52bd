# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share: what they mean together, and what they cannot."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from dsac_core.cli import evaluate, train
from dsac_core.cli.arguments import (
    add_source_arguments,
    sources_from_arguments,
    topics_from_arguments,
)
from dsac_core.cli.main import main
from dsac_core.data.bag_topics import BagTopics
from dsac_core.regression import Sources
from dsac_core.scene.scene_map import SceneMap

CONTRADICTIONS = [
    ("off", "off", "leave nothing to localize with"),
    ("only", "on", "--landmarks only means --regression off: leave one of them away"),
]


def options(landmarks: str | None, regression: str | None) -> list[str]:
    given = [] if landmarks is None else ["--landmarks", landmarks]
    return given if regression is None else [*given, "--regression", regression]


@pytest.mark.parametrize(
    ("landmarks", "regression", "expected"),
    [
        (None, None, "both"),
        (None, "on", "both"),
        (None, "off", "landmarks"),
        ("on", None, "both"),
        ("on", "on", "both"),
        ("on", "off", "landmarks"),
        ("off", None, "regression"),
        ("off", "on", "regression"),
        ("only", None, "landmarks"),
        ("only", "off", "landmarks"),
    ],
)
def test_what_they_mean_together(
    landmarks: str | None, regression: str | None, expected: Sources
) -> None:
    parser = argparse.ArgumentParser()
    add_source_arguments(parser, of="use")
    given = parser.parse_args(options(landmarks, regression))
    assert sources_from_arguments(given) == expected


@pytest.mark.parametrize(("landmarks", "regression", "words"), CONTRADICTIONS)
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_contradictions_are_refused(
    command: str, landmarks: str, regression: str, words: str, scene_map: SceneMap,
    seven_scenes: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "lab"
    arguments: list[Any] = [command, seven_scenes.path, "--scene", "lab", "--out", out]
    if command == "evaluate":
        scene_map.save(out)
        arguments = [command, out, seven_scenes.path]
    arguments += options(landmarks, regression)
    assert main([str(argument) for argument in arguments]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert out.exists() == (command == "evaluate")


@pytest.mark.parametrize("given", [["--landmarks", "maybe"], ["--regression", "only"]])
@pytest.mark.parametrize("command", [["train", "x", "--scene", "lab"], ["evaluate", "lab", "x"]])
def test_other_words_are_refused(
    command: list[str], given: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, *given])
    assert caught.value.code == 2
    assert f"argument {given[0]}: invalid choice: '{given[1]}'" in capfd.readouterr().err


@pytest.mark.parametrize("given", [["--landmarks", "on"], ["--regression", "on"]])
def test_they_are_for_fast_maps(
    given: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(tmp_path), "--scene", "lab", "--method", "dsacstar", *given]
    assert main(command) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line == f"error: {given[0]} is for fast maps, not for --method dsacstar"


def topics(command: Any, *given: str) -> BagTopics:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    names = ["walk", "--scene", "lab"] if command is train else ["lab", "walk"]
    return topics_from_arguments(parser.parse_args([*names, *given]))


def test_keyframes_are_for_fast_maps_unless_asked_for() -> None:
    assert topics(train).keyframes == 1000
    assert topics(train, "--method", "dsacstar").keyframes is None
    assert topics(evaluate).keyframes is None
    for command in (train, evaluate):
        assert topics(command, "--keyframes", "50").keyframes == 50
        assert topics(command, "--keyframes", "0").keyframes is None


def test_what_to_read_of_a_bag() -> None:
    given = ["--image-topic", "/image", "--pose-topic", "/tf", "--world-frame", "map"]
    assert topics(evaluate, *given) == BagTopics(image="/image", pose="/tf", world_frame="map")
    file = str(Path("slam.tum").resolve())  # a record of it outlives the folder we are in
    given = ["--poses", "slam.tum", "--pose-frame", "base_link"]
    assert topics(evaluate, *given) == BagTopics(poses=file, pose_frame="base_link")


def test_two_sources_of_poses_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["--poses", "slam.tum", "--pose-topic", "/odom"]
    assert main(["train", str(tmp_path), "--scene", "lab", *given]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "--poses and --pose-topic name two sources of poses: choose one" in line


def test_a_negative_number_of_keyframes(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        topics(train, "--keyframes", "-1")
    assert "must not be negative, got -1" in capfd.readouterr().err
