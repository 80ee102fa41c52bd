# SPDX-License-Identifier: Apache-2.0
"""Mapping as DSAC and DSAC* do it: a network of the whole image, trained for one scene."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_networks import make_coordinate_network
from dsac_core.networks.precision import training_dtype
from dsac_core.networks.score_net import ScoreNet
from dsac_core.progress import silent
from dsac_core.scene.scene_map import Calibration, SceneMap
from dsac_core.training.augmentation import NO_AUGMENTATION, augmented
from dsac_core.training.calibration import calibrate_map
from dsac_core.training.dense_state import DenseState
from dsac_core.training.dense_trainer import DenseTrainer
from dsac_core.training.posed_images import load_images
from dsac_core.training.stages import Learner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset
    from dsac_core.progress import Progress
    from dsac_core.training.dense_config import DenseMapConfig
    from dsac_core.training.posed_images import PosedImage, PosedImages

_VIEWS_FOR_BOUNDS = 50
_Network = TypeVar("_Network", bound=torch.nn.Module)


def map_scene_densely(
    dataset: Dataset,
    split: str,
    config: DenseMapConfig,
    *,
    name: str,
    frame_id: str = "map",
    device: torch.device | None = None,
    progress: Progress = silent,
    checkpoint_file: Path | None = None,
    resume: bool = False,
    begin_with: SceneMap | None = None,
) -> SceneMap:
    """Train a network of DSAC* on one split of a recording, and check it on held-out frames.

    Args:
        dataset: The recording.
        split: Its part to learn from.
        config: The settings.
        name: Of the scene.
        frame_id: Of the frame in which the recording's poses are.
        device: Where to compute, by default the CPU.
        progress: Is told how far it is.
        checkpoint_file: Where unfinished training is kept; it stays until the caller removes it.
        resume: Go on from that file.
        begin_with: A map of the same network whose weights to start with.

    Raises:
        DatasetError: There are too few frames, or what was learned from them is useless.
        ConfigError: The checkpoint or the map to begin with does not fit the settings.
        KeyboardInterrupt: The user pressed Ctrl-C; the checkpoint has all that was learned.
    """
    device = device or torch.device("cpu")
    start = DenseState.load(checkpoint_file, config) if resume and checkpoint_file else None
    precision = _precision(config, device) if start is None else getattr(torch, start.precision)
    learner = _new_learner(config, device, precision, begin_with)
    recording = load_images(dataset, split, config, progress)
    if start is None and begin_with is None:
        _centre(learner, recording)
    trained = _trained(learner, recording, device, progress, checkpoint_file, start)
    training = {
        "dataset": dataset.name,
        "split": split,
        **_earlier_stages(begin_with),
        **trained.training,
    }
    scene = replace(trained, name=name, frame_id=frame_id, training=training)
    return calibrate_map(scene, recording.held_out, device, progress)


def train_on_images(
    recording: PosedImages,
    config: DenseMapConfig,
    *,
    device: torch.device | None = None,
    progress: Progress = silent,
    begin_with: SceneMap | None = None,
) -> SceneMap:
    """Train on images in memory; the map that comes out was not checked on any frame.

    For studies: it calls every pose localized that half of the cells agree with.
    """
    device = device or torch.device("cpu")
    learner = _new_learner(config, device, _precision(config, device), begin_with)
    if begin_with is None:
        _centre(learner, recording)
    return _trained(learner, recording, device, progress)


def _trained(
    learner: Learner,
    recording: PosedImages,
    device: torch.device,
    progress: Progress,
    checkpoint_file: Path | None = None,
    start: DenseState | None = None,
) -> SceneMap:
    """Train, and put what was learned into a map with a provisional calibration."""
    config = learner.config
    trainer = DenseTrainer(learner, recording.images, device, progress, checkpoint_file, start)
    trainer.run()
    calibration = Calibration(0.0, min_support=0.5, covariance_scale=1.0)
    return SceneMap(
        name="unnamed",
        frame_id="map",
        bounds=_bounds(learner, recording.images, device),
        regressor=_at_rest(learner.network),
        camera=recording.camera,
        calibration=calibration,
        training={
            "images": len(recording.images),
            "setting": config.setting,
            "stages": " ".join(config.stages),
            **trainer.record,
            "seed": config.seed,
            "device": device.type,
        },
        scorer=None if learner.scorer is None else _at_rest(learner.scorer),
        depth_calibration=calibration if config.with_depth else None,
    )


def _centre(learner: Learner, recording: PosedImages) -> None:
    learner.network.scene_mean.copy_(scene_mean(recording.images))


def scene_mean(images: Sequence[PosedImage]) -> torch.Tensor:
    """What the network's output counts from [3]: the mean of the known scene coordinates.

    Where none is known, the mean position of the cameras, as published.
    """
    generator, device = torch.Generator().manual_seed(0), torch.device("cpu")
    total, count = torch.zeros(3, dtype=torch.float64), 0
    for image in images:
        if image.depth_HW is None:
            continue
        batch = augmented([image], NO_AUGMENTATION, generator, device)
        points = batch.points_at(batch.depth_BN)[batch.known_BN]
        total += points.double().sum(dim=0)
        count += len(points)
    if count:
        return (total / count).float()
    positions = np.stack([image.world_T_cam[:3, 3] for image in images])
    return torch.from_numpy(positions.mean(axis=0)).float()


def _earlier_stages(before: SceneMap | None) -> dict[str, Any]:
    """What the map that training began with says of its own training."""
    record = {} if before is None else before.training
    return {
        key: value
        for key, value in record.items()
        if key.endswith(("_iterations", "_seconds", "_loss"))
    }


def _precision(config: DenseMapConfig, device: torch.device) -> torch.dtype:
    return training_dtype(device) if config.low_precision else torch.float32


def _new_learner(
    config: DenseMapConfig,
    device: torch.device,
    precision: torch.dtype,
    begin_with: SceneMap | None,
) -> Learner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = make_coordinate_network(config.network)
        scorer = None
        if config.scoring == "scorenet":
            scorer = ScoreNet((1, 1), inlier_threshold=config.ransac.inlier_threshold)
    if begin_with is not None:
        if begin_with.method != config.network:
            msg = (
                f"scene '{begin_with.name}' was mapped with method {begin_with.method}, not"
                f" {config.network}: train it with --stage init or all first"
            )
            raise ConfigError(msg)
        network.load_state_dict(begin_with.regressor.state_dict())
        if scorer is not None and begin_with.scorer is not None:
            scorer.load_state_dict(begin_with.scorer.state_dict())
    # Convolutions in low precision are a fifth faster with the channels of a pixel side by side.
    low = precision != torch.float32
    layout = torch.channels_last if low else torch.contiguous_format
    network = network.to(device).to(memory_format=layout).train()  # type: ignore[call-overload]
    return Learner(network, None if scorer is None else scorer.to(device), config, precision)


def _at_rest(network: _Network) -> _Network:
    return network.eval().cpu().requires_grad_(requires_grad=False)


@torch.no_grad()
def _bounds(
    learner: Learner, images: Sequence[PosedImage], device: torch.device
) -> NDArray[np.float64]:
    """The box [2 x 3] that holds nearly all scene points predicted in some training images."""
    generator = torch.Generator().manual_seed(0)
    step = max(1, len(images) // _VIEWS_FOR_BOUNDS)
    points = [
        learner.predict(augmented([image], NO_AUGMENTATION, generator, device))[0].cpu()
        for image in images[::step]
    ]
    cloud = torch.cat(points).double().numpy()
    return np.asarray(np.quantile(cloud, [0.01, 0.99], axis=0), dtype=np.float64)
