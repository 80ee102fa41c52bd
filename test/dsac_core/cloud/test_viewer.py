# SPDX-License-Identifier: Apache-2.0
"""What the browser is told: where things are, in which colours, and what a click does."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from stand_in import CAMERA, pose_near

from dsac_core.cloud.point_cloud import PointCloud
from dsac_core.cloud.shots import Shot
from dsac_core.cloud.viewer import Viewer, up_of

FAR = np.array([1000.0, -2000.0, 5.0])


class Handle(SimpleNamespace):
    """Of something shown."""

    def on_update(self, called: Callable[[Any], None]) -> None:
        self.update = called

    def on_click(self, called: Callable[[Any], None]) -> None:
        self.click = called


class Server:
    """Keeps what it is told, by the names that viser has for it."""

    def __init__(self) -> None:
        self.shown: dict[str, Handle] = {}
        self.boxes: dict[str, Handle] = {}
        self.words: list[Handle] = []
        self.scene, self.gui = self, self
        self.initial_camera = SimpleNamespace()
        self.client = SimpleNamespace(camera=SimpleNamespace())

    def add_point_cloud(self, name: str, points: Any, colors: Any, **options: Any) -> Handle:
        return self._keep(name, points=points, colors=colors, **options)

    def add_camera_frustum(self, name: str, **options: Any) -> Handle:
        return self._keep(name, **options)

    def add_line_segments(self, name: str, points: Any, colors: Any, **options: Any) -> Handle:
        return self._keep(name, points=points, colors=colors, **options)

    def _keep(self, name: str, **options: Any) -> Handle:
        assert name not in self.shown
        self.shown[name] = Handle(visible=True, **options)
        return self.shown[name]

    def add_markdown(self, content: str) -> Handle:
        self.words.append(Handle(content=content))
        return self.words[-1]

    def add_slider(self, label: str, *numbers: float) -> Handle:
        assert numbers[0] <= numbers[3] <= numbers[1]
        self.slider = Handle(value=numbers[3])
        return self.slider

    def add_checkbox(self, label: str, *, initial_value: bool) -> Handle:
        self.boxes[label] = Handle(value=initial_value)
        return self.boxes[label]

    def set_up_direction(self, up: Any) -> None:
        self.up = up

    def get_clients(self) -> dict[int, Any]:
        return {0: self.client}


def cloud() -> PointCloud:
    points = np.random.default_rng(0).uniform(-2, 2, (50, 3)) + FAR
    colours = np.random.default_rng(1).integers(0, 256, (50, 3), dtype=np.uint8)
    return PointCloud(points, colours, points)


def shot(seed: int, *, off: float | None, localized: bool = True) -> Shot:
    truth = pose_near(seed)
    truth[:3, 3] += FAR
    estimate = None if off is None else truth.copy()
    if estimate is not None:
        estimate[0, 3] += off or 0.0
    image = np.full((6, 8, 3), seed, np.uint8)
    return Shot(f"image {seed}", image, CAMERA, truth, estimate, localized, "as it is")


def matrix(handle: Handle) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(np.roll(handle.wxyz, -1)).as_matrix()
    pose[:3, 3] = handle.position
    return pose


def test_points_lie_where_they_are_though_sent_in_half_precision() -> None:
    server = Server()
    Viewer(server, "office", cloud())
    shown = server.shown["/points"]
    sent = shown.points.astype(np.float16) + np.array(shown.position)
    np.testing.assert_allclose(sent, cloud().points_N3, atol=3e-3)
    np.testing.assert_array_equal(shown.colors, cloud().colours_N3)
    server.slider.value = 20.0
    server.slider.update(None)
    assert shown.point_size == 0.02
    assert server.words[0].content == "**office**: 50 points"


def test_mapped_cameras_are_spread_and_say_where_up_is() -> None:
    server = Server()
    viewer = Viewer(server, "office", cloud())
    ahead = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]).T  # optical axis along x, z is up
    poses = []
    for number in range(120):
        pose = np.eye(4)
        turn = Rotation.from_euler("ZY", [0.1 * number, 0.2]).as_matrix()
        pose[:3, :3] = turn @ ahead.T
        pose[:3, 3] = FAR + np.array([number / 100, 0.0, 0.0])
        poses.append(pose)
    viewer.show_mapped(poses, CAMERA)
    frusta = [handle for name, handle in server.shown.items() if name.startswith("/mapped")]
    assert len(frusta) == 50
    np.testing.assert_allclose(matrix(frusta[0]), poses[1], atol=1e-9)
    assert frusta[0].fov == pytest.approx(2 * math.atan(24 / 62))
    assert frusta[0].aspect == pytest.approx((64 / 60) / (48 / 62))
    assert server.up == (0.0, 0.0, 1.0) == server.initial_camera.up
    assert server.initial_camera.position[2] > FAR[2] + 1
    server.boxes["cameras of the map"].value = False
    server.boxes["cameras of the map"].update(None)
    assert not any(handle.visible for handle in frusta)
    assert server.shown["/points"].visible


def test_shots_have_the_colour_of_their_error_and_tell_it_when_clicked() -> None:
    server = Server()
    viewer = Viewer(server, "office", cloud())
    shots = [
        shot(1, off=0.02),
        shot(2, off=0.4),
        shot(3, off=0.1, localized=False),
        shot(4, off=None, localized=False),
    ]
    viewer.show_shots(shots)
    for number, each in enumerate(shots):
        handle = server.shown[f"/shots/{number}"]
        assert handle.color == each.colour
        np.testing.assert_allclose(matrix(handle), each.truth, atol=1e-9)
        np.testing.assert_array_equal(handle.image, each.image)
    assert {name for name in server.shown if "estimate" in name} == {"/estimates/0", "/estimates/1"}
    estimate = shots[1].estimate
    assert estimate is not None
    np.testing.assert_allclose(matrix(server.shown["/estimates/1"]), estimate, atol=1e-9)
    lengths = np.linalg.norm(np.diff(server.shown["/errors"].points, axis=1), axis=2)
    np.testing.assert_allclose(lengths[:, 0], [0.02, 0.4], atol=1e-3)
    words = server.words[-1]
    assert words.content.startswith("4 images, **2 localized**, in the median 21.0 cm off")
    server.shown["/shots/1"].click(None)
    assert words.content == "**image 2**: 40.0 cm, 0.0° off: as it is"
    seen_from = matrix(server.client.camera)
    np.testing.assert_allclose(seen_from, shots[1].truth, atol=1e-9)
    server.boxes["estimates"].value = False
    server.boxes["estimates"].update(None)
    assert not server.shown["/errors"].visible
    assert server.shown["/shots/0"].visible


def test_without_shots_nothing_is_said_of_them() -> None:
    server = Server()
    Viewer(server, "office", cloud()).show_shots([])
    assert list(server.boxes) == ["points"]


def test_up_is_an_axis_only_near_one() -> None:
    pose = np.eye(4)
    np.testing.assert_array_equal(up_of(pose[None]), [0.0, -1.0, 0.0])
    for degrees, is_axis in ((10.0, True), (30.0, False)):
        pose[:3, :3] = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
        up = up_of(pose[None])
        assert (up == [0.0, -1.0, 0.0]).all() == is_axis
        assert np.linalg.norm(up) == pytest.approx(1.0)
    turned = np.diag([1.0, -1.0, -1.0, 1.0])
    assert np.isfinite(up_of(np.stack([np.eye(4), turned]))).all()
