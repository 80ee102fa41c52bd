# SPDX-License-Identifier: Apache-2.0
"""``dsac view`` shows map and errors until Ctrl-C, on a stand-in for viser's server."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recordings import Recording
from stand_in import CAMERA, KnowingNetwork, known_scene, pose_near

from dsac_core.cli import cloud_options, view
from dsac_core.cli.main import main
from dsac_core.cloud import viewer
from dsac_core.data import open_dataset
from dsac_core.data.frame import ALL, Frame
from dsac_core.scene.scene_map import SceneMap

MAP_T_SCENE = pose_near(8)
POSE = pose_near(3)


class Shown:
    """Stands in for the viewer, and for viser and its server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stopped = False
        self.mapped: list[np.ndarray] = []
        self.shots: list[Any] = []
        monkeypatch.setitem(sys.modules, "viser", SimpleNamespace(ViserServer=self.server))
        monkeypatch.setattr(viewer, "Viewer", self.viewer)

    def server(self, **options: Any) -> Shown:
        self.options = options
        return self

    def get_port(self) -> int:
        return 8081

    def stop(self) -> None:
        self.stopped = True

    def viewer(self, server: Any, title: str, cloud: Any) -> Shown:
        assert server is self
        self.title, self.cloud = title, cloud
        return self

    def show_mapped(self, poses: list[np.ndarray], camera: Any) -> None:
        assert camera == CAMERA
        self.mapped = poses

    def show_shots(self, shots: list[Any]) -> None:
        self.shots = shots


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """A map that knows one view, two images of it, and a recording of three."""
    scene = known_scene(KnowingNetwork(CAMERA, POSE), map_T_scene=MAP_T_SCENE)
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    walk = Recording([Frame(name, 0.0, image, CAMERA, POSE) for name in "abc"])
    walk.kind = "in memory"  # type: ignore[attr-defined]
    made_from = Recording([Frame(name, 0.0, image, CAMERA, POSE) for name in "de"])
    monkeypatch.setattr(SceneMap, "load", lambda _: scene)
    monkeypatch.setattr(cloud_options, "recording_of", lambda *_: (made_from, ALL))
    monkeypatch.setattr(open_dataset, "open_dataset", lambda *_: walk)

    class Interrupted:
        def wait(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(view.threading, "Event", Interrupted)
    return Shown(monkeypatch)


def test_a_map_alone(shown: Shown, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "known", "--port", "8080", "--voxel", "0.0001"]) == 0
    assert (shown.options["host"], shown.options["port"]) == ("localhost", 8080)
    assert (shown.title, len(shown.cloud), shown.shots) == ("known", 48, [])
    np.testing.assert_allclose(shown.mapped, [MAP_T_SCENE @ POSE] * 2)
    np.testing.assert_allclose(shown.cloud.cameras_N3[0], (MAP_T_SCENE @ POSE)[:3, 3])
    assert shown.stopped
    said = capfd.readouterr().out
    assert said == "known: open http://localhost:8081 in a browser; Ctrl-C ends\n\n"


def test_with_a_recording(shown: Shown, tmp_path: Path) -> None:
    assert main(["view", "known", str(tmp_path), "--most", "2"]) == 0
    assert [shot.name for shot in shown.shots] == ["a", "c"]
    assert all(shot.errors[0] < 0.01 for shot in shown.shots)


def test_without_viser_it_says_what_to_install(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    assert main(["view", "known"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: the viewer needs viser")
    assert error.endswith(": pip install viser\n")
    assert shown.mapped == []
