# SPDX-License-Identifier: Apache-2.0
"""Which scenes are loaded, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsac_core.errors import DsacError, SceneMapError
from dsac_ros.parameters import Settings
from dsac_ros.scene_loading import load_scenes
from dsac_ros.scene_set import LoadedScene


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search path with three scenes and nothing else."""
    for name in ("attic", "broken", "office"):
        (tmp_path / "scenes" / name).mkdir(parents=True)
        (tmp_path / "scenes" / name / "scene.json").touch()
    monkeypatch.setenv("DSAC_SCENES", str(tmp_path / "scenes"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def stand_in(folder: Path, _settings: Settings) -> LoadedScene:
    if folder.name == "broken":
        msg = f"{folder} is truncated"
        raise SceneMapError(msg)
    frame = "upstairs" if folder.name == "attic" else "map"
    return LoadedScene(folder.name, frame, lambda *_: pytest.fail("not asked for"))


def names(scene: str, **settings: Any) -> list[str]:
    return [s.name for s in load_scenes(Settings(scene=scene, **settings), stand_in)]


def test_one_by_name_or_by_path(home: Path) -> None:
    assert names("office") == ["office"]
    assert names(str(home / "scenes" / "attic")) == ["attic"]


def test_a_list_keeps_its_order(home: Path) -> None:
    wanted = f" office , {home / 'scenes' / 'attic'},"
    assert names(wanted, map_frame_id="map") == ["office", "attic"]


def test_auto_is_all_that_are_known(home: Path) -> None:
    with pytest.raises(DsacError, match=r"of 3 scenes, 'broken' cannot be loaded: .* is truncated"):
        names("auto", map_frame_id="map")
    (home / "scenes" / "broken" / "scene.json").unlink()
    assert names("auto", map_frame_id="map") == ["attic", "office"]


def test_a_broken_one_alone_says_it_in_its_own_words(home: Path) -> None:
    with pytest.raises(SceneMapError, match=r"^\S+ is truncated"):
        names("broken")


def test_different_frames_need_a_name_for_both(home: Path) -> None:
    with pytest.raises(DsacError, match=r"'office' in 'map', 'attic' in 'upstairs'.*map_frame_id"):
        names("office,attic")


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        ("", "set the parameter scene.*known scenes: attic, broken, office"),
        (" , ", "set the parameter scene"),
        ("office,cellar", "unknown scene 'cellar'"),
    ],
)
def test_names_that_cannot_work(home: Path, scene: str, message: str) -> None:
    with pytest.raises(DsacError, match=message):
        names(scene)


def test_auto_without_any(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSAC_SCENES", str(home / "nothing"))
    with pytest.raises(DsacError, match=r"no scene maps in .*nothing"):
        names("auto")
