# SPDX-License-Identifier: Apache-2.0
"""``dsac export`` writes whole files that tell what they are, and says what it cannot do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from recordings import Recording
from stand_in import CAMERA, KnowingNetwork, depth_along, known_scene, planar, pose_near

from dsac_core.cli import cloud_options
from dsac_core.cli.main import main
from dsac_core.cloud import mesh
from dsac_core.cloud.point_cloud import PointCloud
from dsac_core.data.frame import ALL, Frame
from dsac_core.geometry.grid import cell_centres
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
    assert (
        capfd.readouterr().err
        == "error: say what to write: --onnx FILE, --points FILE or --mesh FILE\n"
    )


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


MAP_T_SCENE = pose_near(8)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map that knows one view, and two images of it."""
    pose = pose_near(3)
    scene = known_scene(KnowingNetwork(CAMERA, pose), map_T_scene=MAP_T_SCENE)
    image = np.full((CAMERA.height, CAMERA.width, 3), (10, 90, 200), np.uint8)
    recording = Recording([Frame(name, 0.0, image, CAMERA, pose) for name in "ab"])
    monkeypatch.setattr(SceneMap, "load", lambda _: scene)
    monkeypatch.setattr(cloud_options, "recording_of", lambda *_: (recording, ALL))


@pytest.mark.usefixtures("known")
def test_points_are_those_of_the_scene_in_the_frame_of_the_map(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "points.ply"
    assert main(["export", "known", "--points", str(file), "--voxel", "0.0001"]) == 0
    pixels = cell_centres(6, 8).double().numpy()
    depth = depth_along(CAMERA, pixels)[:, None]
    in_map = MAP_T_SCENE @ pose_near(3)
    expected = np.hstack([planar(CAMERA, pixels) * depth, depth]) @ in_map[:3, :3].T + in_map[:3, 3]
    read = trimesh.load(file)
    distance = np.linalg.norm(read.vertices[:, None] - expected, axis=2)
    assert distance.min(axis=1).max() < 1e-5
    assert distance.min(axis=0).max() < 1e-5
    np.testing.assert_array_equal(np.unique(read.colors[:, :3], axis=0), [[10, 90, 200]])
    said = capfd.readouterr().out.splitlines()
    assert said[0] == "48 points, one in 0 mm: of 96 in 2 images 96 are confirmed"
    low = expected.min(axis=0)
    assert said[1].startswith(f"from {low[0]:.2f} to ")
    assert said[1].endswith(" in 'map'")
    assert said[2].startswith(f"{file} written")


@pytest.mark.usefixtures("known")
def test_a_mesh_without_open3d_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    points = tmp_path / "points.ply"
    chosen = ["--points", str(points), "--mesh", str(tmp_path / "mesh.ply")]
    assert main(["export", "known", *chosen]) == 2
    assert "pip install open3d" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("known")
def test_a_mesh_is_written_as_ply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def surface(cloud: PointCloud, voxel: float) -> trimesh.Trimesh:
        assert voxel == 0.01
        return trimesh.Trimesh(cloud.points_N3[:3], [[0, 1, 2]], vertex_colors=cloud.colours_N3[:3])

    monkeypatch.setattr(mesh, "check_mesh_support", lambda: None)
    monkeypatch.setattr(mesh, "surface_through", surface)
    file = tmp_path / "mesh.ply"
    assert main(["export", "known", "--mesh", str(file), "--voxel", "0.01"]) == 0
    read = trimesh.load(file)
    assert read.faces.tolist() == [[0, 1, 2]]
    assert read.visual.vertex_colors[0, :3].tolist() == [10, 90, 200]
    assert capfd.readouterr().out.endswith(" MB, 1 triangles\n")
