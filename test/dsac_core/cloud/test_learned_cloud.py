# SPDX-License-Identifier: Apache-2.0
"""What a map says of images becomes coloured points, without what it says wrongly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from posed import DISTANCE, NORMAL, on_wall, pixel_grid
from recordings import Recording
from stand_in import KnowingNetwork, known_scene, pose_near

from dsac_core.cloud.learned_cloud import CloudConfig, LearnedCloud, learned_cloud
from dsac_core.data.frame import ALL, Frame
from dsac_core.errors import ConfigError, DatasetError
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.grid import cell_centres
from dsac_core.regression import Regressed, SeenLandmarks

CAMERA = Camera(320, 240, 300.0, 340.0, 151.0, 126.0)
PLUMB_BOB = replace(
    CAMERA, distortion_model="plumb_bob", distortion=(-0.2, 0.05, 0.001, -0.002, 0.0)
)


def wall_points(camera: Camera, pose: np.ndarray, ideal_N2: np.ndarray) -> np.ndarray:
    depth = on_wall(camera, pose, ideal_N2)[:, None]
    planar = (ideal_N2 - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    return np.asarray(np.hstack([planar * depth, depth]) @ pose[:3, :3].T + pose[:3, 3])


def paint(points_N3: np.ndarray) -> np.ndarray:
    """The wall's colours, which half a pixel changes."""
    x, y, _ = points_N3.T
    return 128.0 + 100.0 * np.sin(np.column_stack([12 * x, 13 * y, 9 * (x - y)]))


def wall_frame(seed: int, camera: Camera) -> Frame:
    pose = pose_near(seed, 0.05)
    ideal = camera.undistort(pixel_grid(camera.width, camera.height))
    image = np.rint(paint(wall_points(camera, pose, ideal))).astype(np.uint8)
    return Frame(f"{seed}", 0.0, image.reshape(camera.height, camera.width, 3), camera, pose)


class KnowingRegressor:
    """Knows the wall, with every third cell displaced, and every seventh unknown."""

    def __init__(self, frames: list[Frame], size: tuple[int, int] | None = None) -> None:
        self._frames, self._size = list(frames), size
        self.shift: NDArray[np.float64] = np.zeros(3)  # in the camera, of every third
        self.stretch = (1.0, 1.0)  # along the ray, of every third: at least and at most
        self._rng = np.random.default_rng(0)

    def __call__(
        self, image: NDArray[np.uint8], camera: Camera, depth: NDArray[np.float32] | None
    ) -> Regressed:
        (frame,) = (each for each in self._frames if each.image is image)
        lens = camera.scaled(*self._size) if self._size else camera
        cells = cell_centres(lens.height // 8, lens.width // 8).double().numpy()
        ideal = lens.undistort(cells)
        points = wall_points(lens, frame.world_T_cam, ideal)
        turn, place = frame.world_T_cam[:3, :3], frame.world_T_cam[:3, 3]
        stretch = self._rng.uniform(*self.stretch, len(points[::3]))[:, None]
        points[::3] = place + stretch * (points[::3] - place) + turn @ self.shift
        points[::7] = np.nan
        return Regressed(torch.from_numpy(ideal), torch.from_numpy(points), lens, len(points))


def asked(regressor: KnowingRegressor, frames: list[Frame], **options: float) -> LearnedCloud:
    scene = replace(known_scene(KnowingNetwork()), bounds=np.array([[-3.0] * 3, [3.0] * 3]))
    config = CloudConfig(**options)  # type: ignore[arg-type]
    return learned_cloud(scene, regressor, Recording(frames), ALL, config)


def frames_of(count: int, camera: Camera = CAMERA) -> list[Frame]:
    return [wall_frame(seed, camera) for seed in range(count)]


@pytest.mark.parametrize("camera", [CAMERA, PLUMB_BOB], ids=["pinhole", "plumb_bob"])
@pytest.mark.parametrize("size", [None, (160, 120)], ids=["as it is", "resized"])
def test_points_are_on_the_wall_in_its_colours(
    camera: Camera, size: tuple[int, int] | None
) -> None:
    frames = frames_of(4, camera)
    learned = asked(KnowingRegressor(frames, size), frames, voxel=1e-6)
    cloud = learned.cloud
    assert len(cloud) > 0.5 * learned.predicted
    np.testing.assert_allclose(cloud.points_N3 @ NORMAL, DISTANCE, atol=1e-3)
    np.testing.assert_allclose(cloud.colours_N3, paint(cloud.points_N3), atol=2.0)
    np.testing.assert_array_equal(learned.poses, [frame.world_T_cam for frame in frames])
    positions = {tuple(np.round(frame.world_T_cam[:3, 3], 6)) for frame in frames}
    assert {tuple(each) for each in np.round(cloud.cameras_N3, 6)} <= positions


def test_what_projects_elsewhere_goes() -> None:
    frames = frames_of(3)
    regressor = KnowingRegressor(frames)
    whole = asked(regressor, frames, voxel=0.001)
    regressor.shift = np.array([0.1, 0.0, 0.0])  # seven px; on its own it is at the right depth
    learned = asked(regressor, frames, voxel=0.001)
    np.testing.assert_allclose(learned.cloud.points_N3 @ NORMAL, DISTANCE, atol=1e-6)
    assert learned.kept < 0.8 * whole.kept
    assert asked(regressor, frames, voxel=0.001, max_error=20.0).kept > learned.kept


@pytest.mark.parametrize("stretch", [(0.3, 0.8), (1.3, 2.0), (-2.0, -1.0), (50.0, 100.0)])
def test_what_is_at_another_depth_goes(stretch: tuple[float, float]) -> None:
    frames = frames_of(5)
    regressor = KnowingRegressor(frames)
    regressor.stretch = stretch
    cloud = asked(regressor, frames, voxel=0.001).cloud
    assert len(cloud) > 200
    assert np.mean(np.abs(cloud.points_N3 @ NORMAL - DISTANCE) > 0.1) < 0.02


def test_landmarks_are_points_too() -> None:
    frames = frames_of(2)
    regressor = KnowingRegressor(frames)

    def with_landmarks(*given: object) -> Regressed:
        seen = regressor(*given)  # type: ignore[arg-type]
        marks = SeenLandmarks(seen.pixels_N2, seen.points_N3, 0, 0)
        return replace(seen, points_N3=seen.points_N3 * torch.nan, landmarks=marks)

    cells = asked(regressor, frames)
    marks = asked(with_landmarks, frames)  # type: ignore[arg-type]
    np.testing.assert_array_equal(marks.cloud.points_N3, cells.cloud.points_N3)


def test_images_are_spread_and_the_voxel_is_a_share_of_a_cell() -> None:
    frames = frames_of(6)
    learned = asked(KnowingRegressor(frames), frames, images=2)
    chosen = [frames[1].world_T_cam, frames[4].world_T_cam]
    np.testing.assert_array_equal(learned.poses, chosen)
    distance = np.median(np.linalg.norm(learned.cloud.points_N3 - learned.cloud.cameras_N3, axis=1))
    assert learned.voxel == pytest.approx(0.25 * distance * 8 / CAMERA.fx, rel=0.1)
    coarse = asked(KnowingRegressor(frames), frames, voxel=0.3).cloud
    assert len(coarse) < 0.3 * len(learned.cloud)


def test_a_map_of_another_place_is_said_to_be_one() -> None:
    frames = frames_of(2)
    moved = [replace(frame, world_T_cam=pose_near(9) @ frame.world_T_cam) for frame in frames]
    regressor = KnowingRegressor(frames)
    with pytest.raises(DatasetError, match="'known' sees in corner none is where"):
        asked(regressor, moved)
    with pytest.raises(ConfigError, match="cloud: voxel must be above zero, got 0"):
        CloudConfig(voxel=0.0)
