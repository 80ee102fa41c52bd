# SPDX-License-Identifier: Apache-2.0
"""Fast mapping with landmarks, from images to poses; the head hardly learns anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import Recording
from toy_scene import pose_errors, recall, sideways_recording

from dsac_core.data.frame import ALL
from dsac_core.errors import ConfigError, DatasetError
from dsac_core.networks.coordinate_head import HeadConfig
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.fast_map import map_scene
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.landmark_config import LandmarkConfig
from dsac_core.training.landmark_weight import WEIGHTS

CONFIG = FastMapConfig(iterations=5, batch_size=128, warmup_iterations=2, head=HeadConfig(width=32))
SPARSE = replace(CONFIG, regression=False)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return sideways_recording()


@pytest.fixture(scope="module")
def both(recording: Recording) -> SceneMap:
    return map_scene(recording, ALL, CONFIG, name="corner")


@pytest.fixture(scope="module")
def sparse(recording: Recording) -> SceneMap:
    return map_scene(recording, ALL, SPARSE, name="corner")


def test_landmarks_localize_before_the_head_knows_anything(
    both: SceneMap, recording: Recording
) -> None:
    assert both.landmarks is not None
    assert both.regression
    assert 200 < len(both.landmarks) <= 20_000
    assert both.landmarks.views == both.training["images"] == 13
    assert both.training["landmarks"] == len(both.landmarks) <= both.training["landmark_tracks"]
    assert recall(pose_errors(both, recording), 5.0) > 0.9
    frame = next(recording.frames(ALL))
    alone = Relocalizer(both, use="regression")(frame.image, frame.camera)
    assert not alone.localized
    estimate = Relocalizer(both)(frame.image, frame.camera)
    assert estimate.localized
    assert estimate.landmark_inliers > 0.9 * estimate.inliers


def test_their_weight_is_one_that_was_tried(both: SceneMap) -> None:
    assert both.calibration.landmark_weight in WEIGHTS
    assert both.depth_calibration is None
    assert both.training["held_out_localized_10cm_5deg"] == 1


def test_landmarks_alone_are_a_map(
    sparse: SceneMap, both: SceneMap, recording: Recording, tmp_path: Path
) -> None:
    """Whose head was not trained; on disk it is the same."""
    assert not sparse.regression
    assert sparse.training["iterations"] == 0
    assert sparse.landmarks is not None
    assert both.landmarks is not None
    assert torch.equal(sparse.landmarks.points_L3, both.landmarks.points_L3)
    assert recall(pose_errors(sparse, recording), 5.0) > 0.9
    sparse.save(tmp_path / "corner")
    loaded = SceneMap.load(tmp_path / "corner")
    frame = next(recording.frames(ALL))
    before, after = (Relocalizer(each)(frame.image, frame.camera) for each in (sparse, loaded))
    np.testing.assert_array_equal(before.world_T_cam, after.world_T_cam)
    assert before.confidence == after.confidence
    assert sum(file.stat().st_size for file in (tmp_path / "corner").iterdir()) < 6e6
    with pytest.raises(ConfigError, match="only landmarks: map it with --regression on"):
        Relocalizer(loaded, use="regression")


def test_without_landmarks_the_map_is_as_small_as_before(recording: Recording) -> None:
    """And after so few steps it is none."""
    with pytest.raises(DatasetError, match="no held-out frame was localized"):
        map_scene(recording, ALL, replace(CONFIG, landmarks=None), name="corner")
    with pytest.raises(ConfigError, match="needs regression or landmarks"):
        replace(SPARSE, landmarks=None)


def test_a_map_holds_no_more_than_it_may(recording: Recording) -> None:
    few = LandmarkConfig(most_landmarks=150, most_views=4)
    scene = map_scene(recording, ALL, replace(SPARSE, landmarks=few), name="corner")
    assert scene.landmarks is not None
    assert len(scene.landmarks) == scene.training["landmarks"] == 150
    assert scene.landmarks.views == 4
    assert scene.training["landmark_tracks"] > 150


def test_measured_depth_makes_more_of_them_and_serves_at_query(
    sparse: SceneMap, recording: Recording
) -> None:
    scene = map_scene(recording, ALL, replace(SPARSE, use_depth=True), name="corner")
    assert scene.landmarks is not None
    assert sparse.landmarks is not None
    assert len(scene.landmarks) > len(sparse.landmarks)
    assert scene.depth_calibration is not None
    assert recall(pose_errors(scene, recording, with_depth=True), 5.0) > 0.9
    frame = next(recording.frames(ALL, with_depth=True))
    estimate = Relocalizer(scene)(frame.image, frame.camera, frame.depth)
    assert "depth" not in estimate.reason
    assert estimate.inliers == estimate.landmark_inliers > 100


def test_depth_that_is_too_long_is_scaled_for_landmarks_too(recording: Recording) -> None:
    """Poses say what a metre is; the points that depth alone gives are where they should be."""
    frames = list(recording.frames(ALL, with_depth=True))
    long = Recording([replace(f, depth=1.05 * f.depth) for f in frames if f.depth is not None])
    scene = map_scene(long, ALL, replace(SPARSE, use_depth=True), name="corner")
    assert scene.depth_scale == pytest.approx(1 / 1.05, abs=0.02)
    assert recall(pose_errors(scene, long, with_depth=True), 5.0) > 0.9


def test_a_camera_that_stands_still_has_no_landmarks(recording: Recording) -> None:
    """It sees no depth: nothing is made up, and the user is told in one line."""
    first = next(recording.frames(ALL))
    still = Recording([replace(first, name=str(n), stamp=float(n)) for n in range(12)])
    with pytest.raises(DatasetError, match="no landmarks found: move more"):
        map_scene(still, ALL, SPARSE, name="corner")


def test_the_same_seed_gives_the_same_landmarks(sparse: SceneMap, recording: Recording) -> None:
    torch.rand(3)  # somebody else's random numbers
    again = map_scene(recording, ALL, SPARSE, name="corner").landmarks
    assert again is not None
    assert sparse.landmarks is not None
    for name, tensor in sparse.landmarks.tensors().items():
        assert torch.equal(again.tensors()[name], tensor), name
