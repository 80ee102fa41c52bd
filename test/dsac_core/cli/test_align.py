# SPDX-License-Identifier: Apache-2.0
"""``dsac align`` on a map that was saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.cli.main import main
from dsac_core.geometry.pose import to_quaternion
from dsac_core.scene.scene_map import SceneMap

TRUTH = np.eye(4)
TRUTH[:3, :3] = Rotation.from_euler("z", 30, degrees=True).as_matrix()
TRUTH[:3, 3] = [1.2, -0.5, 0.0]
SHOWN = "x 1.200 y -0.500 z 0.000 m, roll 0.00 pitch 0.00 yaw 30.00 deg"
POINTS = np.array([[0, 0, 0], [4, 0, 0.5], [4, 3, 1], [0, 3, 0.2], [2, 1, 2.0]])

Align = Callable[..., int]


@pytest.fixture
def scene(scene_map: SceneMap, tmp_path: Path) -> Path:
    folder = tmp_path / "office"
    replace(scene_map, map_T_scene=np.eye(4)).save(folder)
    return folder


@pytest.fixture
def run(scene: Path) -> Align:
    return lambda *arguments: main(["align", str(scene), *map(str, arguments)])


def pairs_file(folder: Path, target: np.ndarray, columns: int = 3) -> Path:
    rows = np.hstack([POINTS[:, :columns], target[:, :columns]])
    file = folder / "pairs.txt"
    np.savetxt(file, rows, header="scene, then map")
    return file


def tum_file(file: Path, poses: np.ndarray, stamps: np.ndarray) -> Path:
    rows = [
        [stamp, *np.concatenate(to_quaternion(pose))]
        for stamp, pose in zip(stamps, poses, strict=True)
    ]
    np.savetxt(file, rows, fmt="%.9f")
    return file


def moved(points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ TRUTH[:3, :3].T + TRUTH[:3, 3])


def test_points_align_and_nothing_else_changes(
    run: Align, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((scene / "scene.json").read_text())
    weights = (scene / "map.safetensors").stat()
    target = moved(POINTS)
    target[4] += 7.0
    assert run("--pairs", pairs_file(tmp_path, target), "--frame-id", "house") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("left out") for line in lines[:5]] == [False] * 4 + [True]
    assert lines[5] == "4 of 5 pairs agree, RMS 0.000 m"
    assert lines[6] == f"map_T_scene is now  {SHOWN}"

    loaded = SceneMap.load(scene)
    np.testing.assert_allclose(loaded.map_T_scene, TRUTH, atol=1e-9)
    assert loaded.frame_id == "house"
    after = json.loads((scene / "scene.json").read_text())
    assert {key for key in before if before[key] != after[key]} == {"map_T_scene", "frame_id"}
    assert (scene / "map.safetensors").stat() == weights
    assert sorted(file.name for file in scene.iterdir()) == ["map.safetensors", "scene.json"]

    assert run("--show") == 0
    assert SHOWN in capsys.readouterr().out


def test_poses_at_the_same_times(run: Align, scene: Path, tmp_path: Path) -> None:
    poses = np.tile(np.eye(4), (20, 1, 1))
    poses[:, 0, 3] = np.linspace(0, 3, 20)  # straight on: the turns must tell the rest
    ours = tum_file(tmp_path / "ours.tum", poses, 100 + 0.2 * np.arange(20))
    # The other localizer speaks at other times, and earlier.
    theirs = np.linspace(poses[0] - (poses[1] - poses[0]), poses[-1], 41)
    stamps = np.linspace(99.8, 103.8, 41)
    theirs_file = tum_file(tmp_path / "theirs.tum", TRUTH @ theirs, stamps)
    assert run("--from-poses", ours, theirs_file) == 0
    np.testing.assert_allclose(SceneMap.load(scene).map_T_scene, TRUTH, atol=1e-6)


def test_planar_pairs_without_height(run: Align, scene: Path, tmp_path: Path) -> None:
    file = pairs_file(tmp_path, moved(POINTS), columns=2)
    assert run("--pairs", file, "--planar", "--height", "0.3") == 0
    expected = TRUTH.copy()
    expected[2, 3] = 0.3
    np.testing.assert_allclose(SceneMap.load(scene).map_T_scene, expected, atol=1e-9)


def test_again_needs_to_know_of_which_frame_the_points_are(
    run: Align, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = pairs_file(tmp_path, moved(POINTS))
    assert run("--pairs", file) == 0
    assert run("--pairs", file) == 2
    assert "--aligned refine" in capsys.readouterr().err
    assert run("--pairs", file, "--aligned", "replace") == 0
    np.testing.assert_allclose(SceneMap.load(scene).map_T_scene, TRUTH, atol=1e-9)
    # Seen in the map as it is aligned now, all lies two metres too far left.
    file = pairs_file(tmp_path, POINTS + np.array([0.0, 2.0, 0.0]))
    assert run("--pairs", file, "--aligned", "refine") == 0
    expected = TRUTH.copy()
    expected[1, 3] += 2.0
    np.testing.assert_allclose(SceneMap.load(scene).map_T_scene, expected, atol=1e-9)
    assert run("--reset") == 0
    np.testing.assert_array_equal(SceneMap.load(scene).map_T_scene, np.eye(4))


def test_a_dry_run_changes_nothing(
    run: Align, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (scene / "scene.json").read_bytes()
    assert run("--pairs", pairs_file(tmp_path, moved(POINTS)), "--dry-run") == 0
    assert f"map_T_scene would be  {SHOWN}" in capsys.readouterr().out
    assert (scene / "scene.json").read_bytes() == before


def test_another_scale_is_a_warning(
    run: Align, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = pairs_file(tmp_path, 1.08 * moved(POINTS))
    assert run("--pairs", file, "--max-residual", "0.5") == 0
    assert "warning: distances in the map are 1.080 times" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("0 0 0 1 1\n", (), "line 1: expected 'x y z x y z'"),
        ("0 0 0 1 1 1\n0 0 1 1\n", (), "line 2: expected 'x y z x y z'"),
        ("0 0 0 1 1 one\n", ("--planar",), "line 1: expected 'x y x y' or"),
        ("0 0 0 1 1 nan\n", (), "line 1: expected"),
        ("# nothing\n", (), "at least 3 pairs, got 0"),
    ],
)
def test_files_that_say_nothing(
    run: Align,
    scene: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    options: tuple[str, ...],
    message: str,
) -> None:
    before = (scene / "scene.json").read_bytes()
    (tmp_path / "pairs.txt").write_text(content)
    assert run("--pairs", tmp_path / "pairs.txt", *options) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert (scene / "scene.json").read_bytes() == before


def test_files_that_are_not_there_or_of_other_times(
    run: Align, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--pairs", tmp_path / "nothing.txt") == 2
    assert "nothing.txt" in capsys.readouterr().err
    poses = np.tile(np.eye(4), (3, 1, 1))
    one, two = (
        tum_file(tmp_path / f"{start}.tum", poses, start + np.arange(3.0)) for start in (10, 90)
    )
    assert run("--from-poses", one, two) == 2
    assert "no poses at the times of" in capsys.readouterr().err
