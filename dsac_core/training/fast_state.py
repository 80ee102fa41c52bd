# SPDX-License-Identifier: Apache-2.0
"""Where fast mapping stands: what a checkpoint of it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsac_core.data.joined_recordings import JoinedRecordings
from dsac_core.geometry.camera import Camera
from dsac_core.networks.coordinate_head import HeadConfig
from dsac_core.training.checkpoint import load_checkpoint, save_checkpoint, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from dsac_core.data.frame import Dataset
    from dsac_core.training.checkpoint import Settings
    from dsac_core.training.encoded_recording import Validation
    from dsac_core.training.fast_map_config import FastMapConfig
    from dsac_core.training.workers import Workers


@dataclass
class FastState:
    """All of it but the cells, hundreds of megabytes: the recording is encoded again.

    Encoding has the same randomness again, but not the same time: so the images are named.
    """

    trainer: dict[str, Any]  # of a `FastTrainer`
    head: dict[str, Any]  # fields of its `HeadConfig`
    camera: dict[str, Any]  # fields of the `Camera` that images are resized to
    encoded: list[list[int]]  # indices of the images, of each worker
    swept: list[int]  # how many images of each worker got estimated depth
    matched_pairs: int | None  # of images, for landmarks
    encoding_seconds: float  # that it took at first
    frame_id: str  # of the map
    map_T_scene: list[list[float]]  # of the map that is continued
    precision: str  # another moment might choose another one

    @classmethod
    def load(cls, file: Path, settings: Settings) -> FastState:
        """Read a checkpoint that was made with the same settings.

        Raises:
            ConfigError: It is damaged, or its settings differ.
        """
        return load_checkpoint(file, cls, settings)

    def save(self, file: Path, settings: Settings) -> None:
        """Write a checkpoint, whole or not at all."""
        save_checkpoint(file, self, settings)

    @property
    def head_config(self) -> HeadConfig:
        """The shape of the head."""
        return HeadConfig(**self.head)

    @property
    def reference_camera(self) -> Camera:
        """The camera that images are resized to."""
        return Camera(**{**self.camera, "distortion": tuple(self.camera["distortion"])})


def fast_settings(
    config: FastMapConfig,
    dataset: Dataset,
    split: str,
    validation: Validation | None,
    workers: Workers,
) -> Settings:
    """What an interrupted and a resumed run must have in common."""
    checked_with = None
    if validation is not None:
        checked_with = recordings_of(validation.dataset, validation.split)
    return {
        "network": "fast",
        "recordings": recordings_of(dataset, split),
        "validation": checked_with,
        "processes": workers.count,
        **settings_of(config, "checkpoint_seconds", "finetune_seconds"),
    }


def recordings_of(dataset: Dataset, split: str) -> list[dict[str, Any]]:
    """What a map's record and a checkpoint say of the recordings."""
    if isinstance(dataset, JoinedRecordings):
        return dataset.records
    return [{"name": dataset.name, "split": split, "images": dataset.count(split)}]
