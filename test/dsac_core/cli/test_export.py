# SPDX-License-Identifier: Apache-2.0
"""``dsac export`` writes whole files that tell what they are, and says what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dsac_core.cli.main import main
from dsac_core.networks import onnx_export
from dsac_core.scene.scene_map import SceneMap


@pytest.fixture
def lab(scene_map: SceneMap, tmp_path: Path) -> Path:
    scene_map.save(tmp_path / "lab")
    return tmp_path / "lab"


def test_onnx_with_what_it_takes_to_make_poses(
    lab: Path,
    scene_map: SceneMap,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def write(regressor: torch.nn.Module, file: Path, metadata: dict[str, str]) -> None:
        torch.testing.assert_close(regressor.centre, scene_map.regressor.centre)
        file.write_text(json.dumps(metadata))

    monkeypatch.setattr(onnx_export, "write_map_onnx", write)
    file = tmp_path / "new" / "lab.onnx"
    assert main(["export", str(lab), "--onnx", str(file)]) == 0
    assert capfd.readouterr().out == f"{file} written: 0.0 MB\n"
    about = json.loads(file.read_text())
    assert {type(value) for value in about.values()} == {str}
    assert (about["scene"], about["frame_id"]) == ("lab", "map")
    assert json.loads(about["camera"])["fy"] == scene_map.camera.fy
    np.testing.assert_array_equal(json.loads(about["map_T_scene"]), scene_map.map_T_scene)
    assert float(about["min_reliability"]) == scene_map.calibration.min_reliability


def test_nothing_asked_for(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(lab)]) == 2
    assert capfd.readouterr().err == "error: say what to write: --onnx FILE\n"


def test_a_failed_export_leaves_the_old_file(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out" / "lab.onnx"
    file.parent.mkdir()
    file.write_text("old")
    monkeypatch.setattr(onnx_export, "find_spec", lambda _: None)
    assert main(["export", str(lab), "--onnx", str(file)]) == 2
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
