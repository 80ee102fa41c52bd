# SPDX-License-Identifier: Apache-2.0
"""Mapping a corner of the synthetic office, small but real."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recordings import Recording
from toy_scene import toy_recording

from dsac_core.data.frame import ALL
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import pose_error
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training import fast_map
from dsac_core.training.fast_map import map_scene
from dsac_core.training.fast_map_config import FastMapConfig


@pytest.fixture(scope="module")
def recording() -> Recording:
    """40 neighbouring views of the mapping walk, 320 x 240."""
    return toy_recording(40, every=1, size=(320, 240))


@pytest.fixture(scope="module")
def mapped(recording: Recording) -> SceneMap:
    config = FastMapConfig(iterations=1200, batch_size=1024)
    return map_scene(recording, ALL, config, name="corner")


def test_it_localizes_views_that_it_was_not_trained_on(
    mapped: SceneMap, recording: Recording
) -> None:
    held_out = mapped.training["held_out_frames"]
    assert mapped.training["images"] + held_out == 40
    assert mapped.training["held_out_localized_10cm_5deg"] >= 0.5 * held_out
    relocalizer = Relocalizer(mapped)
    near = 0
    for frame in list(recording.frames(ALL))[::5]:
        estimate = relocalizer(frame.image, frame.camera)
        if estimate.localized and estimate.world_T_cam is not None:
            near += pose_error(estimate.world_T_cam, frame.world_T_cam)[0] < 0.10
    assert near >= 6


def test_noise_is_not_localized(mapped: SceneMap, recording: Recording) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    camera = next(iter(recording.frames(ALL))).camera
    for image in (noise, np.zeros_like(noise), noise[..., 0]):
        estimate = Relocalizer(mapped)(image, camera)
        assert not estimate.localized
        assert estimate.reason


def test_the_same_seed_gives_the_same_weights_on_one_thread(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_map, "calibrate_map", lambda scene, *_: scene)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first, second, other = (
            map_scene(
                recording, ALL, FastMapConfig(iterations=20, batch_size=256, seed=s), name="a"
            )
            for s in (5, 5, 6)
        )
    finally:
        torch.set_num_threads(threads)
    for name, tensor in first.regressor.state_dict().items():
        assert torch.equal(tensor, second.regressor.state_dict()[name]), name
    assert not torch.equal(first.regressor.leave.weight, other.regressor.leave.weight)


def test_too_few_frames_are_refused(recording: Recording) -> None:
    few = Recording(list(recording.frames(ALL))[:9])
    with pytest.raises(DatasetError, match="9 posed images: mapping needs at least 10"):
        map_scene(few, ALL, FastMapConfig(iterations=1), name="few")
