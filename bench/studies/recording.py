# SPDX-License-Identifier: Apache-2.0
"""What the studies learn from and are judged on: a stretch of the synthetic office, or a recording.

In the office, training views are every third image of a stretch of the mapping walk. The views
between them are a few centimetres off; the views beside them are moved sideways and turned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from dsac_core.data.frame import Dataset, Frame, spread_indices
from dsac_core.data.open_dataset import choose_split, open_dataset
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera
from dsac_core.synthetic import CAMERA, Room, RoomOptions, SensorOptions, office, render_view
from dsac_core.synthetic.sensor import expose, measure_depth
from dsac_core.synthetic.walk import walk_poses
from dsac_core.training.posed_images import at_height

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.studies.settings import Settings

    FloatArray = NDArray[np.float64]

TRAIN, BETWEEN, BESIDE = "train", "between", "beside"
TEST = "test"
_FIRST = 396  # image of the mapping walk: on its second loop, which looks across the room
_STEP = 3  # of the images of the stretch, every so many is trained on
ASIDE = (0.3, 0.5)  # metres, how far views beside the walk are from it, along the ground
_TURN = (10.0, 20.0)  # degrees, how far they are turned about the vertical
_LEAST_CLEARANCE = 0.25  # metres: a view with something nearer than that is not taken
_MOST_TRAINED = 200  # training views that a study judges
_MILLIMETRE = np.float32(1e-3)


@dataclass
class Views:
    """A recording in memory, in splits; it is a `Dataset`."""

    name: str
    parts: dict[str, Sequence[Frame]]

    def splits(self) -> tuple[str, ...]:
        return tuple(self.parts)

    def count(self, split: str) -> int:
        return len(self.parts[split])

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        del with_depth  # it is there anyway
        for index, frame in enumerate(self.parts[split]):
            if indices is None or index in indices:
                yield frame


@dataclass(frozen=True)
class Recording:
    """Where a study's images come from."""

    dataset: Dataset
    split: str  # to train on
    tests: dict[str, Sequence[Frame]]  # what to judge on, with depth; the first is the main one

    @property
    def main(self) -> Sequence[Frame]:
        return next(iter(self.tests.values()))

    def trained(self) -> list[Frame]:
        """Views of training, with depth; of many, some. A few of them are held out of it."""
        chosen = spread_indices(self.dataset.count(self.split), _MOST_TRAINED)
        return list(self.dataset.frames(self.split, indices=chosen, with_depth=True))


def open_recording(settings: Settings) -> Recording:
    """The recording that the settings name, else the office.

    Raises:
        DatasetError: It cannot be read, or leaves nothing to judge on.
    """
    if settings.dataset is None:
        return _office(settings.views, settings.image_height, settings.seed)
    dataset = open_dataset(settings.dataset)
    split = choose_split(dataset, settings.split)
    other = dataset
    test_split = settings.test_split
    if settings.test_dataset is not None:
        other = open_dataset(settings.test_dataset)
        test_split = choose_split(other, test_split)
    elif test_split not in dataset.splits():
        msg = f"{dataset.name} has no split '{test_split}': name another walk with --test-dataset"
        raise DatasetError(msg)
    chosen = spread_indices(other.count(test_split), settings.max_test)
    frames = list(other.frames(test_split, indices=chosen, with_depth=True))
    return Recording(dataset, split, {TEST: frames})


def office_frames(count: int, height: int) -> list[Frame]:
    """Views of the office along the stretch that is trained on."""
    room, camera = office(0), at_height(CAMERA, height)
    poses = walk_poses("mapping", RoomOptions(seed=0)).world_T_cam[_FIRST : _FIRST + count]
    rng = np.random.default_rng(0)
    return [_frame(room, camera, pose, f"{index:04d}", rng) for index, pose in enumerate(poses)]


@lru_cache(maxsize=2)
def _office(views: int, height: int, seed: int) -> Recording:
    """A stretch of the mapping walk with ``views`` training views."""
    options = RoomOptions(seed=0)
    room, camera = office(options.seed), at_height(CAMERA, height)
    walk = walk_poses("mapping", options)
    stretch = walk.world_T_cam[_FIRST : _FIRST + _STEP * views]
    rng = np.random.default_rng([seed, 7])
    trained: list[Frame] = []
    between: list[Frame] = []
    beside: list[Frame] = []
    for index, pose in enumerate(stretch):
        frame = _frame(room, camera, pose, f"{index:04d}", rng)
        (between if index % _STEP else trained).append(frame)
        if index % _STEP == 1:
            beside.append(view_beside(room, camera, pose, f"{index:04d}-beside", rng))
    parts: dict[str, Sequence[Frame]] = {TRAIN: trained, BETWEEN: between, BESIDE: beside}
    dataset = Views("synthetic office", parts)
    return Recording(dataset, TRAIN, {BETWEEN: between, BESIDE: beside})


def _frame(
    room: Room, camera: Camera, world_T_cam: FloatArray, name: str, rng: np.random.Generator
) -> Frame:
    """A view as the demo's sensors record it."""
    rgb, depth = render_view(room, camera, world_T_cam)
    sensor = SensorOptions()
    image = expose(rgb, camera, sensor, rng, time=0.0)
    measured = measure_depth(depth, camera, sensor, rng).astype(np.float32) * _MILLIMETRE
    return Frame(name, 0.0, image, camera, world_T_cam, measured)


def view_beside(
    room: Room,
    camera: Camera,
    world_T_cam: FloatArray,
    name: str,
    rng: np.random.Generator,
    aside: tuple[float, float] = ASIDE,
) -> Frame:
    """A view from beside the walk, ``aside`` (least and most, metres), where a camera has room."""
    while True:
        direction = rng.uniform(0.0, 2.0 * np.pi)
        distance = rng.uniform(*aside)
        turn = np.radians(rng.choice([-1.0, 1.0]) * rng.uniform(*_TURN))
        pose = world_T_cam.copy()
        pose[:2, 3] += distance * np.array([np.cos(direction), np.sin(direction)])
        pose[:3, :3] = Rotation.from_euler("z", turn).as_matrix() @ pose[:3, :3]
        _, depth = render_view(room, camera, pose, antialias=False)
        if depth.min() > _LEAST_CLEARANCE:
            return _frame(room, camera, pose, name, rng)
