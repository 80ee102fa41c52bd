# SPDX-License-Identifier: Apache-2.0
"""Networks of DSAC* learn a corner of the synthetic office by heart, in each setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recordings import Recording
from toy_scene import (
    mean_loss,
    pose_errors,
    recall,
    toy_config,
    toy_images,
    toy_recording,
    toy_stage,
)

from dsac_core.data.frame import ALL
from dsac_core.data.modelled_dataset import ModelledDataset
from dsac_core.data.scene_model import load_scene_model
from dsac_core.errors import ConfigError
from dsac_core.networks.score_net import ScoreNet
from dsac_core.progress import silent
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.dense_config import DenseMapConfig, dsac_2017
from dsac_core.training.dense_map import map_scene_densely, scene_mean, train_on_images
from dsac_core.training.posed_images import PosedImages, load_images

RATE = 1e-3


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """More would add in another order: the same training would end elsewhere each time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return toy_recording()


@pytest.fixture(scope="module")
def images(recording: Recording) -> PosedImages:
    return toy_images(recording, with_depth=False)


@pytest.fixture(scope="module")
def by_images(images: PosedImages) -> SceneMap:
    """Initialised in the setting rgb."""
    return train_on_images(images, toy_config())


def untrained(images: PosedImages, config: DenseMapConfig) -> SceneMap:
    """The map after one step of no size."""
    return train_on_images(images, replace(config, init=toy_stage(1, 1e-12)))


def test_images_and_poses_alone(
    recording: Recording, images: PosedImages, by_images: SceneMap
) -> None:
    config = toy_config()
    # At the start the loss is in metres beside the ray (Eq. 17), so this begins a little later.
    early = train_on_images(images, replace(config, init=toy_stage(40, RATE)))
    before, after = (mean_loss(each, "init", images.images, config) for each in (early, by_images))
    assert after < 0.25 * before
    assert by_images.training["init_loss"] < 0.25 * before
    assert by_images.training["init_iterations"] == 700
    errors = pose_errors(by_images, recording)
    assert np.median(errors[0]) < 6.0
    assert recall(errors, 10.0) >= 0.75
    assert by_images.depth_calibration is None


def test_depth_images(recording: Recording) -> None:
    """RGB-D poses are better than those that the same map gives of colour alone."""
    images = toy_images(recording, with_depth=True)
    config = toy_config(setting="rgbd", init=toy_stage(600, RATE))
    start = untrained(images, config)
    scene = train_on_images(images, config)
    before, after = (mean_loss(each, "init", images.images, config) for each in (start, scene))
    assert after < 0.25 * before
    with_depth = pose_errors(scene, recording, with_depth=True)
    assert np.median(with_depth[0]) < 6.0
    assert recall(with_depth, 10.0) >= 0.8
    by_colour = pose_errors(scene, recording)
    assert np.median(with_depth[0]) < np.median(by_colour[0]) < 15.0
    assert recall(by_colour, 20.0) >= 0.8


def write_cloud(recording: Recording, file: Path) -> None:
    """The scene points of every other pixel, row and column, as a PLY of points."""
    points = []
    for frame in recording.frames(ALL, with_depth=True):
        assert frame.depth is not None
        camera, depth = frame.camera, frame.depth[::2, ::2].astype(np.float64)
        y, x = np.mgrid[0 : camera.height : 2, 0 : camera.width : 2]
        rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)])
        in_camera = (rays * depth).reshape(3, -1)[:, depth.ravel() > 0]
        points.append(frame.world_T_cam[:3, :3] @ in_camera + frame.world_T_cam[:3, 3:])
    cloud = np.hstack(points).T.astype("<f4")
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(cloud)}\n{axes}end_header\n"
    )
    file.write_bytes(header.encode() + cloud.tobytes())


def test_images_and_a_point_cloud(recording: Recording, tmp_path: Path) -> None:
    write_cloud(recording, tmp_path / "corner.ply")
    modelled = ModelledDataset(recording, load_scene_model(tmp_path / "corner.ply"))
    config = toy_config(setting="rgb-model", init=toy_stage(700, RATE))
    loaded = load_images(modelled, ALL, replace(config, held_out_share=0.01), silent)
    images = PosedImages(loaded.images, [], loaded.camera)
    depth = torch.stack([image.depth_HW for image in images.images if image.depth_HW is not None])
    assert (depth > 0).float().mean() > 0.8
    before = mean_loss(untrained(images, config), "init", images.images, config)
    scene = train_on_images(images, config)
    assert mean_loss(scene, "init", images.images, config) < 0.5 * before
    errors = pose_errors(scene, recording)
    assert np.median(errors[0]) < 15.0
    assert recall(errors, 20.0) >= 0.75


def test_end_to_end_training_makes_poses_better(
    recording: Recording, images: PosedImages, by_images: SceneMap
) -> None:
    config = toy_config(stages=("e2e",), e2e=toy_stage(150, 1e-5))
    scene = train_on_images(images, config, begin_with=by_images)
    before, after = (mean_loss(each, "e2e", images.images, config) for each in (by_images, scene))
    assert after < 0.8 * before
    old, new = pose_errors(by_images, recording), pose_errors(scene, recording)
    assert recall(new, 2.0) >= recall(old, 2.0) + 0.05
    assert recall(new, 1.0) >= recall(old, 1.0)
    assert np.median(new[0]) < np.median(old[0])
    assert scene.training["stages"] == "e2e"
    assert {"e2e_iterations", "e2e_loss"} < scene.training.keys()


def test_soft_argmax_makes_poses_better_too(images: PosedImages, by_images: SceneMap) -> None:
    config = toy_config(stages=("e2e",), e2e=toy_stage(40, 1e-5), selection="softam")
    scene = train_on_images(images, config, begin_with=by_images)
    before, after = (mean_loss(each, "e2e", images.images, config) for each in (by_images, scene))
    assert after < before
    other = replace(config, selection="dsac")
    assert mean_loss(by_images, "e2e", images.images, other) != before


def test_dsac_of_2017_learns_to_score(
    recording: Recording, images: PosedImages, by_images: SceneMap, tmp_path: Path
) -> None:
    config = replace(
        dsac_2017(toy_config(score=toy_stage(25, 3e-4, batch_size=2), e2e=toy_stage(2, 1e-6))),
        stages=("score", "e2e"),
    )
    blank = replace(config, score=toy_stage(1, 1e-12), e2e=toy_stage(1, 1e-12))
    scenes = [train_on_images(images, each, begin_with=by_images) for each in (blank, config)]
    some = images.images[::4]
    before, after = (mean_loss(each, "score", some, config) for each in scenes)
    assert after < 0.9 * before
    scene = scenes[1]
    assert {"score_loss", "e2e_loss"} < scene.training.keys()
    scene.save(tmp_path / "corner")
    loaded = SceneMap.load(tmp_path / "corner")
    assert scene.scorer is not None
    assert loaded.scorer is not None
    stored = loaded.scorer.state_dict()
    assert all(torch.equal(stored[name], v) for name, v in scene.scorer.state_dict().items())
    errors = pose_errors(loaded, recording)
    assert recall(errors, 10.0) >= 0.7
    frame = next(iter(recording.frames(ALL)))
    first, second = (Relocalizer(each)(frame.image, frame.camera) for each in (scene, loaded))
    assert first.world_T_cam is not None
    assert second.world_T_cam is not None
    # Trained in another memory layout than it is loaded in, so not to the last bit.
    np.testing.assert_allclose(first.world_T_cam, second.world_T_cam, atol=1e-4)


def test_the_scorer_of_the_map_to_begin_with_goes_on(
    images: PosedImages, by_images: SceneMap
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(77)
        known = ScoreNet((1, 1)).eval()
    start = replace(by_images, scorer=known)
    config = toy_config(stages=("e2e",), scoring="scorenet", e2e=toy_stage(1, 1e-12))
    scene = train_on_images(images, config, begin_with=start)
    assert scene.scorer is not None
    weights = scene.scorer.state_dict()
    for name, value in known.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-9)


def short(**changes: Any) -> DenseMapConfig:
    """For what does not need to learn anything."""
    settings = {"init": toy_stage(2, RATE, batch_size=1), "image_height": 32, **changes}
    return toy_config(**settings)


def test_the_same_seed_gives_the_same_weights(recording: Recording) -> None:
    images = toy_images(recording, with_depth=False, height=32)
    first, second, other = (
        train_on_images(images, short(seed=seed, low_precision=False)).regressor.state_dict()
        for seed in (5, 5, 6)
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    assert not torch.equal(first["leave.weight"], other["leave.weight"])


def test_coordinates_count_from_the_middle_of_the_scene(recording: Recording) -> None:
    """The mean of what is seen, or of the cameras where no depth is known."""
    with_depth, without = (toy_images(recording, with_depth=each) for each in (True, False))
    cameras = np.mean([image.world_T_cam[:3, 3] for image in without.images], axis=0)
    np.testing.assert_allclose(scene_mean(without.images), cameras, atol=1e-5)
    seen = []
    for frame in recording.frames(ALL, with_depth=True):
        assert frame.depth is not None
        y, x = np.mgrid[0:96, 0:128]
        camera = frame.camera
        rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)])
        points = frame.world_T_cam[:3, :3] @ (rays * frame.depth).reshape(3, -1)
        seen.append(points.mean(axis=1) + frame.world_T_cam[:3, 3])
    np.testing.assert_allclose(scene_mean(with_depth.images), np.mean(seen, axis=0), atol=0.1)
    scene = train_on_images(without, short(image_height=96))
    np.testing.assert_allclose(scene.regressor.state_dict()["scene_mean"], cameras, atol=1e-5)


def test_a_map_of_another_method_is_nothing_to_begin_with(
    recording: Recording, by_images: SceneMap, scene_map: SceneMap
) -> None:
    for start, network, method in (
        (by_images, "dsacstar", "dsacstar-tiny"), (scene_map, "dsacstar-tiny", "fast"),
    ):  # fmt: skip
        config = short(network=network, stages=("e2e",))
        with pytest.raises(ConfigError, match=f"mapped with method {method}, not {network}"):
            map_scene_densely(recording, ALL, config, name="a", begin_with=start)
