# SPDX-License-Identifier: Apache-2.0
"""Short runs of the training loop on small images of noise."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stand_in import CAMERA, KnowingNetwork, depth_image, pose_near

from dsac_core.networks.coordinate_network import CoordinateNetwork
from dsac_core.networks.coordinate_networks import make_coordinate_network
from dsac_core.networks.score_net import ScoreNet
from dsac_core.progress import silent
from dsac_core.training.dense_config import DenseMapConfig, StageConfig, StageName
from dsac_core.training.dense_state import DenseState
from dsac_core.training.dense_trainer import DenseTrainer
from dsac_core.training.posed_images import PosedImage
from dsac_core.training.stages import Learner

CPU = torch.device("cpu")


def noise_image(seed: int) -> PosedImage:
    """An image of noise, with the depth of the known scene; what is seen of it varies."""
    rng = np.random.default_rng(seed)
    gray = rng.integers(0, 256, (CAMERA.height, CAMERA.width), dtype=np.uint8)
    seen = np.ones(gray.shape, dtype=bool)
    seen[:, : 8 * seed] = False
    depth = depth_image(CAMERA).astype(np.float16)
    return PosedImage(
        torch.from_numpy(gray), torch.from_numpy(seen), torch.from_numpy(depth), CAMERA,
        pose_near(seed, 0.05),
    )  # fmt: skip


IMAGES = [noise_image(seed) for seed in range(4)]


def settings(*stages: StageName, iterations: int = 4, **changes: Any) -> DenseMapConfig:
    stage = StageConfig(iterations, 1e-3, 2, "cosine")
    return DenseMapConfig(
        stages=stages,
        scoring="scorenet" if "score" in stages else "soft",
        init=stage,
        score=stage,
        e2e=stage,
        **changes,
    )


def new_learner(
    config: DenseMapConfig,
    make: Callable[[], CoordinateNetwork] = KnowingNetwork,
    precision: torch.dtype = torch.float32,
) -> Learner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = make().train()
        scorer = None
        if config.scoring == "scorenet":
            scorer = ScoreNet((1, 1), inlier_threshold=config.ransac.inlier_threshold)
    return Learner(network, scorer, config, precision)


def tiny() -> CoordinateNetwork:
    network = make_coordinate_network("dsacstar-tiny")
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class Stop:
    """Progress that presses Ctrl-C once, when so many steps are done."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.after = 0  # reports since

    def __call__(self, stage: str, fraction: float, detail: str = "") -> None:
        if self.left == 0:
            self.after += 1
        elif fraction < 1.0:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


def train(learner: Learner, file: Path | None = None, **options: Any) -> DenseTrainer:
    progress = options.pop("progress", silent)
    trainer = DenseTrainer(learner, IMAGES, CPU, progress, file, **options)
    trainer.run()
    return trainer


def resume(file: Path, learner: Learner, **options: Any) -> DenseTrainer:
    return train(learner, file, start=DenseState.load(file, learner.config), **options)


def same(left: Any, right: Any, path: str = "") -> int:
    """Both are equal to the last bit; how many tensors they have."""
    assert type(left) is type(right), path
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype, path
        assert torch.equal(left, right), path
        return 1
    if isinstance(left, dict):
        assert left.keys() == right.keys(), path
        return sum(same(left[key], right[key], f"{path}.{key}") for key in left)
    if isinstance(left, list | tuple):
        assert len(left) == len(right), path
        return sum(same(a, b, f"{path}.{i}") for i, (a, b) in enumerate(zip(left, right)))  # noqa: B905
    assert left == right, path
    return 0


def content(file: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(file, weights_only=True)
    del saved["seconds"]
    saved["record"] = {k: v for k, v in saved["record"].items() if not k.endswith("_seconds")}
    return saved


def changed(learner: Learner) -> bool:
    fresh = new_learner(learner.config).network.state_dict()
    return any(not torch.equal(fresh[k], v) for k, v in learner.network.state_dict().items())
