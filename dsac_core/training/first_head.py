# SPDX-License-Identifier: Apache-2.0
"""The head that training begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_head import CoordinateHead

if TYPE_CHECKING:
    from dsac_core.scene.scene_map import SceneMap
    from dsac_core.training.encoded_recording import EncodedRecording
    from dsac_core.training.fast_map_config import FastMapConfig
    from dsac_core.training.workers import Workers


def head_of(scene: SceneMap) -> CoordinateHead:
    """The head of a fast map.

    Raises:
        ConfigError: It is not a fast one.
    """
    if not isinstance(scene.regressor, CoordinateHead):
        msg = f"scene '{scene.name}' was mapped with method {scene.method}, not fast"
        raise ConfigError(msg)
    return scene.regressor


def first_head(
    recording: EncodedRecording,
    config: FastMapConfig,
    begin_with: SceneMap | None,
    workers: Workers,
) -> CoordinateHead:
    """A new head that knows the features and the place, or a copy of the map's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = CoordinateHead(config.head)
    if begin_with is not None:
        head.load_state_dict(head_of(begin_with).state_dict())
        return head
    own_mean, own_std = recording.cells.feature_statistics()
    mean = workers.mean(own_mean)
    std = own_std
    if workers.count > 1:
        std = (workers.mean(own_std.square() + own_mean.square()) - mean.square()).sqrt()
    centre = workers.mean(torch.from_numpy(recording.camera_positions.mean(axis=0)))
    head.load_state_dict(
        {**head.state_dict(), "feature_mean": mean, "feature_std": std, "centre": centre}
    )
    return head
