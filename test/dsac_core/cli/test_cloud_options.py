# SPDX-License-Identifier: Apache-2.0
"""Where the images come from that a map is asked about."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsac_core.cli.cloud_options import recording_of
from dsac_core.data.frame import ALL
from dsac_core.errors import DatasetError
from dsac_core.scene.scene_map import SceneMap


def made_from(scene_map: SceneMap, *places: Path, split: str = "train") -> SceneMap:
    records = [{"path": str(place), "split": split, "topics": {}, "images": 3} for place in places]
    return replace(scene_map, training={"recordings": [{"name": "in memory"}, *records]})


def test_it_is_what_the_map_was_made_from(scene_map: SceneMap, seven_scenes: Any) -> None:
    dataset, split = recording_of(made_from(scene_map, seven_scenes.path), None)
    assert (dataset.name, split, dataset.count(split)) == ("room", "train", 3)


def test_several_are_joined_without_those_that_are_gone(
    scene_map: SceneMap, seven_scenes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    shutil.copytree(seven_scenes.path, again)
    scene = made_from(scene_map, seven_scenes.path, tmp_path / "gone", again)
    dataset, split = recording_of(scene, None)
    assert (split, dataset.count(split)) == (ALL, 6)
    warning = f"warning: no recording at {tmp_path / 'gone'}: what only it shows is left away\n"
    assert capsys.readouterr().err == warning


def test_another_place_can_be_named(scene_map: SceneMap, seven_scenes: Any, tmp_path: Path) -> None:
    moved = made_from(scene_map, tmp_path / "gone", split="test")
    dataset, split = recording_of(moved, seven_scenes.path)
    assert (dataset.name, split) == ("room", "test")
    assert recording_of(scene_map, seven_scenes.path)[1] == "train"


def test_when_there_is_nothing_it_says_what_to_do(scene_map: SceneMap, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(DatasetError, match=f"no recording at {gone}: name the recording with --r"):
        recording_of(made_from(scene_map, gone), None)
    with pytest.raises(DatasetError, match="it does not say what it was made from: name"):
        recording_of(scene_map, None)
    with pytest.raises(DatasetError, match=f"^no recording at {gone}$"):
        recording_of(scene_map, gone)
