# SPDX-License-Identifier: Apache-2.0
"""``dsac evaluate`` and ``dsac compare`` from the command line."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from dsac_core.cli.main import main
from dsac_core.scene.scene_map import SceneMap


@pytest.fixture
def evaluated(scene_map: SceneMap, seven_scenes: Any, tmp_path: Path) -> Path:
    """A map of nothing on three images: report, JSON and TUM files."""
    scene_map.save(tmp_path / "lab")
    out = tmp_path / "out"
    options = {"--report": "report.html", "--json": "a.json", "--tum": "a.tum"}
    files = [part for option, name in options.items() for part in (option, str(out / name))]
    command = ["evaluate", str(tmp_path / "lab"), str(seven_scenes.path), "--split", "train"]
    assert main([*command, *files]) == 0
    return out


def test_all_that_was_asked_for_is_written(evaluated: Path) -> None:
    assert sorted(file.name for file in evaluated.iterdir()) == [
        "a.json", "a.truth.tum", "a.tum", "report.html",
    ]  # fmt: skip
    content = json.loads((evaluated / "a.json").read_text())
    about = content["run"]
    assert (about["scene"], about["dataset"], about["split"]) == ("lab", "room", "train")
    assert (about["frames"], about["sources"], about["depth"]) == (3, "both", False)
    assert str(evaluated.parent) not in json.dumps(about)
    names = [frame["name"] for frame in content["frames"]]
    assert len(names) == len(set(names)) == 3
    page = ElementTree.parse(evaluated / "report.html")
    assert {image.get("alt") for image in page.iter("img")} == set(names)
    assert len((evaluated / "a.truth.tum").read_text().splitlines()) == 3


def test_runs_are_compared(evaluated: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = evaluated / "a.json"
    other = evaluated / "b.json"
    other.write_bytes(file.read_bytes())
    capfd.readouterr()
    assert main(["compare", str(file), str(other)]) == 0
    out = capfd.readouterr().out
    assert out.splitlines()[0].split() == ["a", "b"]
    assert "b against a: no difference" in out


def test_one_run_cannot_be_compared(evaluated: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert main(["compare", str(evaluated / "a.json")]) == 2
    assert "name two or more files" in capfd.readouterr().err


def test_runs_of_one_name_are_told_apart_by_their_folders(
    evaluated: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "a.json"
    twin.write_bytes((evaluated / "a.json").read_bytes())
    capfd.readouterr()
    assert main(["compare", str(evaluated / "a.json"), str(twin)]) == 0
    assert capfd.readouterr().out.splitlines()[0].split() == [str(evaluated / "a.json"), str(twin)]
