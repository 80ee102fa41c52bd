# SPDX-License-Identifier: Apache-2.0
"""Depth of a model in place of a sensor's, in images with and without distortion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dsac_core.data import modelled_dataset
from dsac_core.data.frame import Dataset, Frame
from dsac_core.data.modelled_dataset import ModelledDataset
from dsac_core.data.render_depth import render_depth
from dsac_core.data.scene_model import SceneModel
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera

PINHOLE = Camera(80, 60, 60.0, 55.0, 37.0, 31.5)
BARREL = replace(PINHOLE, distortion_model="plumb_bob", distortion=(-0.25, 0.05, 0.01, -0.008, 0.0))
CAMERAS = {
    "barrel": BARREL,
    "pincushion": replace(PINHOLE, distortion_model="plumb_bob", distortion=(0.2, 0.05, 0.0, 0.0)),
    "fisheye": replace(PINHOLE, distortion_model="equidistant", distortion=(0.02, 0.0, 0.0, 0.0)),
}


class Recording:
    """Frames of one camera, that have another depth of their own."""

    name = "walk"

    def __init__(self, poses: list[np.ndarray], camera: Camera = PINHOLE) -> None:
        self.poses, self.camera = poses, camera

    def splits(self) -> tuple[str, ...]:
        return ("train", "test")

    def count(self, split: str) -> int:
        if split not in self.splits():
            raise DatasetError(f"no split {split}")
        return len(self.poses)

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        assert not with_depth, "the depth of the sensor need not be read"
        for index in range(self.count(split)):
            if indices is None or index in indices:
                image = np.full((60, 80, 3), index, dtype=np.uint8)
                yield Frame(f"{split}/{index}", 0.1 * index, image, self.camera, self.poses[index])


def wall(distance: float, size: float, slope: float = 0.0) -> SceneModel:
    """A square across the optical axis of a camera at the origin, further away to the right."""
    corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    points = [[size * x, size * y, distance + slope * size * x] for x, y in corners]
    return SceneModel(np.array(points, dtype=np.float64), np.array([[0, 1, 2], [0, 2, 3]]))


def depth_of(dataset: Dataset, **selection: Any) -> list[np.ndarray]:
    found = [frame.depth for frame in dataset.frames("train", with_depth=True, **selection)]
    assert all(depth is not None for depth in found)
    return [depth for depth in found if depth is not None]


def test_depth_is_the_models_and_all_else_is_the_recordings(rigid: Any) -> None:
    poses = [rigid([0.1 * i, 0, 0], [0, 0.05 * i, 0]) for i in range(4)]
    recording, model = Recording(poses), wall(3.0, 2.0, 0.3)
    dataset: Dataset = ModelledDataset(recording, model)
    assert (dataset.name, dataset.splits()) == ("walk", ("train", "test"))
    assert dataset.count("test") == 4
    before = list(recording.frames("test", indices={1, 3}))
    after = list(dataset.frames("test", indices={1, 3}, with_depth=True))
    assert [frame.name for frame in after] == ["test/1", "test/3"]
    for old, new in zip(before, after, strict=True):
        assert (new.stamp, new.camera) == (old.stamp, old.camera)
        np.testing.assert_array_equal(new.image, old.image)
        np.testing.assert_array_equal(new.world_T_cam, old.world_T_cam)
        assert new.depth is not None
        truth = render_depth(model, PINHOLE, old.world_T_cam)
        np.testing.assert_array_equal(new.depth, truth)


def test_without_a_wish_for_depth_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelled_dataset, "render_depth", None)
    dataset = ModelledDataset(Recording([np.eye(4)] * 2), wall(-3.0, 1.0))
    assert [frame.depth for frame in dataset.frames("train")] == [None, None]


def test_errors_of_the_recording_pass() -> None:
    dataset = ModelledDataset(Recording([np.eye(4)]), wall(3.0, 1.0))
    with pytest.raises(DatasetError, match="no split validation"):
        list(dataset.frames("validation", with_depth=True))


@pytest.mark.parametrize("name", CAMERAS)
def test_depth_is_that_of_the_pixel_of_the_distorted_image(name: str, rigid: Any) -> None:
    """On a slanted wall 1/z is affine in the ideal pixel, and the wall fills all views."""
    camera, slope, distance = CAMERAS[name], 0.4, 3.0
    pose = rigid([0.2, -0.1, 0.3])
    (depth,) = depth_of(ModelledDataset(Recording([pose], camera), wall(distance, 500.0, slope)))
    y, x = np.mgrid[0:60, 0:80]
    ideal = camera.undistort(np.stack([x, y], -1).reshape(-1, 2).astype(np.float64))
    ray_x = ((ideal[:, 0] - camera.cx) / camera.fx).reshape(60, 80)
    truth = (distance - 0.3 + slope * 0.2) / (1.0 - slope * ray_x)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, truth, rtol=1e-4)
    pinhole = render_depth(wall(distance, 500.0, slope), PINHOLE, pose)
    assert np.abs(depth - pinhole).max() > 0.05, "or the distortion is too small to show"


@pytest.mark.parametrize("name", CAMERAS)
def test_points_of_the_model_are_found_where_the_lens_puts_them(name: str) -> None:
    """Through ``distort``, the other way round: corners of near squares before a far wall."""
    camera, far = CAMERAS[name], wall(4.0, 500.0)
    near = wall(2.0, 0.4)
    model = SceneModel(
        np.concatenate([far.points_N3, near.points_N3]),
        np.concatenate([far.triangles_T3, near.triangles_T3 + 4]),  # type: ignore[operator]
    )
    (depth,) = depth_of(ModelledDataset(Recording([np.eye(4)], camera), model))
    assert set(np.unique(depth)) == {2.0, 4.0}, "surfaces are not mixed at their edges"
    y, x = np.mgrid[0:60, 0:80]
    ideal = np.rint(camera.undistort(np.stack([x, y], -1).reshape(-1, 2).astype(np.float64)))
    place = np.abs((ideal - [camera.cx, camera.cy]) / [camera.fx, camera.fy] * 2.0)
    expected_N = np.where((place <= 0.4).all(axis=1), 2.0, 4.0)
    np.testing.assert_array_equal(depth.reshape(-1), expected_N)
    for x, y in ([-0.4, -0.4], [0.4, -0.4], [-0.4, 0.4], [0.4, 0.4]):
        for share, expected in ((0.9, 2.0), (1.1, 4.0)):
            ideal = [share * x / 2 * camera.fx + camera.cx, share * y / 2 * camera.fy + camera.cy]
            column, row = np.rint(camera.distort(np.array([ideal]))[0]).astype(int)
            assert depth[row, column] == expected


def test_where_the_lens_shows_no_ray_there_is_no_depth() -> None:
    """A strong barrel folds back towards the corners."""
    camera = replace(BARREL, distortion=(-0.9, 0.0, 0.0, 0.0))
    y, x = np.mgrid[0:60, 0:80]
    ideal = camera.undistort(np.stack([x, y], -1).reshape(-1, 2).astype(np.float64))
    unreached = np.isnan(ideal).any(axis=1).reshape(60, 80)
    assert 0.05 < unreached.mean() < 0.95
    (depth,) = depth_of(ModelledDataset(Recording([np.eye(4)], camera), wall(3.0, 500.0)))
    assert (depth[unreached] == 0).all()
    np.testing.assert_allclose(depth[~unreached], 3.0, rtol=1e-6)


def test_a_lens_that_sees_sideways_does_not_need_an_endless_image() -> None:
    camera = Camera(80, 60, 32.0, 32.0, 39.5, 29.5, "equidistant", (0.0, 0.0, 0.0, 0.0))
    (depth,) = depth_of(ModelledDataset(Recording([np.eye(4)], camera), wall(3.0, 1e4)))
    assert depth[30, 40] == pytest.approx(3.0)
    assert depth[0, 0] == 0.0, "77 degrees from the axis is 32 times further out than 45"
    assert 0.5 < (depth > 0).mean() < 1.0


def test_a_camera_is_undistorted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    undistort = Camera.undistort

    def counted(self: Camera, pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        return undistort(self, pixels)

    monkeypatch.setattr(Camera, "undistort", counted)
    dataset = ModelledDataset(Recording([np.eye(4)] * 3, BARREL), wall(3.0, 9.0))
    assert len(depth_of(dataset)) == len(depth_of(dataset)) == 3
    assert calls == [80 * 60]


def test_a_model_elsewhere_is_refused_after_20_frames(rigid: Any) -> None:
    away = [rigid([0, 0, 100.0])] * 30
    frames = ModelledDataset(Recording(away), wall(3.0, 1.0)).frames("train", with_depth=True)
    for _ in range(19):
        depth = next(frames).depth
        assert depth is not None
        assert not depth.any()
    with pytest.raises(DatasetError, match="same frame or unit") as caught:
        next(frames)
    assert "\n" not in str(caught.value)
    short = ModelledDataset(Recording(away[:3]), wall(3.0, 1.0))
    with pytest.raises(DatasetError, match="first 3 frames"):
        depth_of(short)


def test_one_of_20_frames_that_sees_the_model_is_enough(rigid: Any) -> None:
    poses = [rigid([0, 0, 100.0])] * 30
    poses[19] = np.eye(4)
    depths = depth_of(ModelledDataset(Recording(poses), wall(3.0, 1.0)))
    assert [int(depth.any()) for depth in depths] == [0] * 19 + [1] + [0] * 10


def test_a_few_chosen_frames_may_see_nothing(rigid: Any) -> None:
    dataset = ModelledDataset(Recording([rigid([0, 0, 100.0])] * 30), wall(3.0, 1.0))
    assert len(depth_of(dataset, indices={4, 9})) == 2


def test_a_model_in_millimetres_is_refused() -> None:
    recording = Recording([np.eye(4)] * 3)
    with pytest.raises(DatasetError, match=r"3000 m away.*millimetres"):
        depth_of(ModelledDataset(recording, wall(3000.0, 2000.0)))
    assert len(depth_of(ModelledDataset(recording, wall(300.0, 200.0)))) == 3
