# SPDX-License-Identifier: Apache-2.0
"""A corner of the synthetic office that a small network learns by heart within a minute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from recordings import Recording

from dsac_core.data.frame import ALL, Frame
from dsac_core.evaluation.evaluate import relocalize_all
from dsac_core.networks.score_net import ScoreNet
from dsac_core.progress import silent
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.scene_map import SceneMap
from dsac_core.synthetic import CAMERA, office, render_view, walk_poses
from dsac_core.training.augmentation import NO_AUGMENTATION, augmented
from dsac_core.training.dense_config import DenseMapConfig, StageConfig, StageName
from dsac_core.training.init_loss import InitLossConfig
from dsac_core.training.posed_images import PosedImage, PosedImages, at_height, prepare
from dsac_core.training.stages import Learner


def toy_recording(count: int = 16, every: int = 4, size: tuple[int, int] = (128, 96)) -> Recording:
    """Views of the mapping walk, ``every`` so many poses, with depth."""
    room = office()
    walk = walk_poses("mapping", room.options)
    camera = CAMERA.scaled(*size)
    frames = []
    for index in range(count):
        world_T_cam = walk.world_T_cam[every * index]
        image, depth = render_view(room, camera, world_T_cam)
        frames.append(Frame(f"{index}", index / 4, image, camera, world_T_cam, depth))
    return Recording(frames)


def sideways_recording(count: int = 14, size: tuple[int, int] = (160, 120)) -> Recording:
    """Views from steps of 8 cm to the right, with depth: what is seen moves, as landmarks need."""
    room = office()
    begin = walk_poses("mapping", room.options).world_T_cam[0]
    camera = CAMERA.scaled(*size)
    frames = []
    for index in range(count):
        world_T_cam = begin.copy()
        world_T_cam[:3, 3] += 0.08 * index * begin[:3, 0]
        image, depth = render_view(room, camera, world_T_cam)
        frames.append(Frame(f"{index}", index / 4, image, camera, world_T_cam, depth))
    return Recording(frames)


def toy_images(recording: Recording, *, with_depth: bool, height: int = 96) -> PosedImages:
    """All of them to train on, none held out."""
    frames = list(recording.frames(ALL, with_depth=with_depth))
    images = [prepare(frame, height) for frame in frames]
    return PosedImages(images, [], at_height(frames[0].camera, height))


def toy_stage(iterations: int, learning_rate: float, batch_size: int = 4) -> StageConfig:
    """Without augmentation, since the views are to be learnt by heart."""
    return StageConfig(iterations, learning_rate, batch_size, "cosine", NO_AUGMENTATION)


def toy_config(**changes: Any) -> DenseMapConfig:
    """Settings with which it takes well under a minute on one core."""
    settings: dict[str, Any] = {
        "network": "dsacstar-tiny",
        "stages": ("init",),
        "image_height": 96,
        "init": toy_stage(700, 1e-3),
        "loss": InitLossConfig(proxy_depth=3.0),
        "held_out_share": 0.1,
        **changes,
    }
    return DenseMapConfig(**settings)


def mean_loss(
    scene: SceneMap, stage: StageName, images: Sequence[PosedImage], config: DenseMapConfig
) -> float:
    """The loss of a map in a stage, over all images, with the same random numbers each time."""
    scorer = scene.scorer if isinstance(scene.scorer, ScoreNet) else None
    learner = Learner(scene.regressor, scorer, config, torch.float32)  # type: ignore[arg-type]
    cpu, losses = torch.device("cpu"), []
    for index, image in enumerate(images):
        generator = torch.Generator().manual_seed(index)
        batch = augmented([image], NO_AUGMENTATION, generator, cpu)
        with torch.no_grad():
            losses.append(learner.loss(stage, batch, generator).loss.item())
    return float(np.mean(losses))


def pose_errors(
    scene: SceneMap, recording: Recording, *, with_depth: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Centimetres and degrees [N] by which the pose of each frame is off; infinite without one."""
    relocalizer = Relocalizer(scene)
    frames = relocalize_all(relocalizer, recording, ALL, silent, with_depth=with_depth)
    results = [result for _, _, result in frames]
    centimetres = np.array([100.0 * result.translation_error for result in results])
    return centimetres, np.degrees([result.rotation_error for result in results])


def recall(errors: tuple[np.ndarray, np.ndarray], limit: float) -> float:
    """Share of the poses within so many centimetres and degrees."""
    return float(np.mean((errors[0] < limit) & (errors[1] < limit)))
