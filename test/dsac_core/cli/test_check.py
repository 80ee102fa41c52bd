# SPDX-License-Identifier: Apache-2.0
"""``dsac check``: exit codes, words and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsac_core.checks import check_recording as checking
from dsac_core.checks.findings import CheckReport
from dsac_core.cli.main import main


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the check will find, and what it was asked."""
    state: dict[str, Any] = {"report": CheckReport(checked=["everything"], numbers={"pairs": 40})}

    def check_recording(dataset: Any, split: str, progress: Any, *, with_depth: bool) -> Any:
        state.update(name=dataset.name, split=split, with_depth=with_depth)
        return state["report"]

    monkeypatch.setattr(checking, "check_recording", check_recording)
    return state


def test_a_good_recording(seven_scenes, reported, tmp_path: Path, capfd):
    file = tmp_path / "new" / "check.json"
    assert main(["check", str(seven_scenes.path), "--json", str(file)]) == 0
    assert (reported["name"], reported["split"]) == ("room", "train")
    assert reported["with_depth"]
    out = capfd.readouterr().out
    assert "7-Scenes" in out
    assert out.endswith("checked: everything\nno fault found\n")
    written = json.loads(file.read_text())
    assert written["good"]
    assert written["numbers"] == {"pairs": 40}
    assert written["faults"] == []


def test_a_fault_is_exit_code_1(seven_scenes, reported, tmp_path: Path, capfd):
    reported["report"].add("inverted poses", "90 px as given, 1 px inverted", "invert the poses")
    file = tmp_path / "check.json"
    arguments = ["--json", str(file), "--no-depth", "--split", "test"]
    assert main(["check", str(seven_scenes.path), *arguments]) == 1
    assert reported["split"] == "test"
    assert not reported["with_depth"]
    out = capfd.readouterr().out
    assert "FAULT: inverted poses\n  evidence: 90 px as given" in out
    assert "no fault found" not in out
    assert json.loads(file.read_text())["faults"][0]["remedy"] == "invert the poses"


def test_too_few_images_for_a_real_check(seven_scenes, capfd):
    assert main(["check", str(seven_scenes.path)]) == 1
    out = capfd.readouterr().out
    assert "FAULT: too few views" in out
    assert "cannot be checked: poses, intrinsics and depth" in out


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, capfd):
    assert main(["check", str(tmp_path / "nothing")]) == 2
    assert capfd.readouterr().err.startswith("error: no recording at")
