# SPDX-License-Identifier: Apache-2.0
"""All that computes, on a GPU; without one, on a pretended one that refuses what a GPU would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pretend_cuda import pretend_cuda, some_cuda
from recordings import Recording
from toy_scene import sideways_recording
from training_runs import IMAGES, changed, new_learner, settings

from dsac_core.data.frame import ALL
from dsac_core.networks.coordinate_head import HeadConfig
from dsac_core.progress import silent
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.dense_config import StageName
from dsac_core.training.dense_trainer import DenseTrainer
from dsac_core.training.fast_map import map_scene
from dsac_core.training.fast_map_config import FastMapConfig

DEPTH = pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])
CONFIG = FastMapConfig(
    iterations=5, batch_size=128, warmup_iterations=2, head=HeadConfig(width=32), vary_every=4
)


@pytest.fixture
def device() -> Iterator[torch.device]:
    with some_cuda() as device:
        yield device


@pytest.fixture(scope="module")
def recording() -> Recording:
    return sideways_recording()


@DEPTH
def test_a_fast_map_is_made_there_and_localizes_as_on_the_cpu(
    recording: Recording, device: torch.device, tmp_path: Path, depth: bool
) -> None:
    config = replace(CONFIG, use_depth=depth, finetune_seconds=0.1)
    kept = tmp_path / "training.pt"
    scene = map_scene(recording, ALL, config, name="x", device=device, checkpoint_file=kept)
    assert (scene.training["device"], scene.training["precision"]) == ("cuda", "bfloat16")
    scene.save(tmp_path / "x")
    scene = SceneMap.load(tmp_path / "x")
    there, here = Relocalizer(scene, device="cuda"), Relocalizer(scene)
    for frame in list(recording.frames(ALL, with_depth=depth))[::6]:
        given = (frame.image, frame.camera, frame.depth if depth else None)
        found = there(*given, prior=frame.world_T_cam)
        expected = here(*given, prior=frame.world_T_cam)
        assert found.localized, found.reason
        assert found.world_T_cam is not None
        assert expected.world_T_cam is not None
        np.testing.assert_allclose(found.world_T_cam, expected.world_T_cam, atol=0.02)


def test_a_fast_map_goes_on_from_a_checkpoint(
    recording: Recording, device: torch.device, tmp_path: Path
) -> None:
    kept = tmp_path / "training.pt"
    config = replace(CONFIG, vary_every=0)
    scene = map_scene(recording, ALL, config, name="x", device=device, checkpoint_file=kept)
    again = map_scene(
        recording, ALL, config, name="x", device=device, checkpoint_file=kept, resume=True
    )
    assert again.training["iterations"] == config.iterations
    for name, tensor in scene.regressor.state_dict().items():
        assert torch.equal(again.regressor.state_dict()[name], tensor), name


@pytest.mark.parametrize("stages", [("init", "e2e"), ("score", "e2e")])
@pytest.mark.parametrize("setting", ["rgb", "rgbd"])
def test_networks_of_dsac_star_learn_there(
    device: torch.device, stages: tuple[StageName, ...], setting: str
) -> None:
    learner = new_learner(settings(*stages, iterations=2, setting=setting))
    learner.network.to(device)
    if learner.scorer is not None:
        learner.scorer.to(device)
    DenseTrainer(learner, IMAGES, device, silent, None).run()
    assert {value.device.type for value in learner.network.state_dict().values()} == {"cuda"}
    learner.network.cpu()
    assert changed(learner)


def test_the_pretended_device_refuses_what_a_gpu_would() -> None:
    here, index = torch.arange(4.0), torch.tensor([0, 2])
    with pretend_cuda() as cuda:
        there = torch.ones(3, 4, device=cuda)
        for wrong in (
            lambda: there * here,
            lambda: torch.cat([here, there[0]]),
            lambda: here[index.to(cuda)],
            lambda: there @ here,
        ):
            with pytest.raises(RuntimeError, match="on one device"):
                wrong()
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        for random in (
            lambda: torch.rand(3, device=cuda, generator=torch.Generator()),
            lambda: there.uniform_(generator=torch.Generator()),
        ):
            with pytest.raises(RuntimeError, match="generator of cuda"):
                random()
        assert (there * here.to(cuda)).cpu().tolist() == 3 * [[0.0, 1.0, 2.0, 3.0]]
        assert there[:, index].device.type == "cuda"  # which a GPU does, too
        assert (there * here[1]).tolist() == 3 * [4 * [1.0]]
        layer = torch.nn.Linear(4, 2).to(cuda)
        layer(there).sum().backward()
        assert layer.weight.grad is not None
        assert layer.weight.grad.cpu().tolist() == 2 * [4 * [3.0]]
    assert not torch.cuda.is_available() or torch.ones(1, device="cuda").is_cuda
