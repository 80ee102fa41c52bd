# SPDX-License-Identifier: Apache-2.0
"""Trained maps, kept between studies: the same settings are trained once.

A map's key is all that decides it: the recording, the settings, and the map it began with. The code
is not part of it: after a change there, ``--fresh`` trains anew.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.studies.recording import Recording, open_recording
from bench.studies.settings import Settings
from dsac_core.progress import ConsoleProgress, silent
from dsac_core.relocalizer import choose_device
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.dense_config import DenseMapConfig
from dsac_core.training.dense_map import train_on_images
from dsac_core.training.fast_map import map_scene
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.posed_images import PosedImages, load_images

CACHE = Path(__file__).parent / ".cache"
_WEIGHTS = "map.safetensors"


@dataclass(frozen=True)
class TrainedMap:
    """A map, and what it takes to find it again."""

    scene: SceneMap
    key: str
    folder: Path

    @property
    def megabytes(self) -> float:
        """Of its weights on disk; the header is a few kB."""
        return (self.folder / _WEIGHTS).stat().st_size / 1e6

    @property
    def seconds(self) -> float:
        """Wall time of its training, without that of the map it began with."""
        return float(self.scene.training["study_seconds"])

    @property
    def busy(self) -> float:
        """Processor seconds per second of training: less than 1 where others took turns."""
        return float(self.scene.training["study_cpu_seconds"]) / max(self.seconds, 1e-9)

    @property
    def iterations(self) -> int:
        """Steps of its training, without those of the map it began with."""
        made = self.scene.training
        return int(sum(value for name, value in made.items() if name.endswith("iterations")))


class MapMaker:
    """Trains on one recording, or finds what was trained before."""

    def __init__(
        self, settings: Settings, *, cache: Path = CACHE, fresh: bool = False, quiet: bool = False
    ) -> None:
        """Open the recording."""
        self.settings = settings
        self.recording: Recording = open_recording(settings)
        self.device = choose_device(settings.device)
        self._cache, self._fresh = cache, fresh
        self._made: set[str] = set()  # in this run: never made again
        self._progress = silent if quiet else ConsoleProgress()
        self._images: dict[tuple[object, ...], PosedImages] = {}

    def dense(self, config: DenseMapConfig, begin_with: TrainedMap | None = None) -> TrainedMap:
        """A network of DSAC*."""
        key = self._key("dense", repr(config), begin_with.key if begin_with else "")

        def train() -> SceneMap:
            before = None if begin_with is None else begin_with.scene
            images = self._load(config)
            return train_on_images(
                images, config, device=self.device, progress=self._progress, begin_with=before
            )

        return self._made_or_found(key, train)

    def fast(self, config: FastMapConfig) -> TrainedMap:
        """A fast map."""
        where = self.recording

        def train() -> SceneMap:
            return map_scene(
                where.dataset,
                where.split,
                config,
                name="study",
                device=self.device,
                progress=self._progress,
            )

        return self._made_or_found(self._key("fast", repr(config), ""), train)

    def _load(self, config: DenseMapConfig) -> PosedImages:
        same = (config.setting != "rgb", config.image_height, config.max_frames)
        if same not in self._images:
            self._images[same] = load_images(
                self.recording.dataset, self.recording.split, config, self._progress
            )
        return self._images[same]

    def _made_or_found(self, key: str, train: Callable[[], SceneMap]) -> TrainedMap:
        folder = self._cache / key
        wanted = self._fresh and key not in self._made
        self._made.add(key)
        if folder.is_dir() and not wanted:
            print(f"map {key} is there already", flush=True)
            return TrainedMap(SceneMap.load(folder), key, folder)
        started, cpu = time.perf_counter(), time.process_time()
        scene = train()
        record = {
            **scene.training,
            "study_seconds": round(time.perf_counter() - started, 1),
            "study_cpu_seconds": round(time.process_time() - cpu, 1),
            "threads": torch.get_num_threads(),
        }
        replace(scene, training=record).save(folder)
        # As it was written: a fast map's weights are in half precision on disk.
        return TrainedMap(SceneMap.load(folder), key, folder)

    def _key(self, kind: str, config: str, begun: str) -> str:
        given = self.settings
        source = (given.dataset, given.split, given.views, given.image_height, given.seed)
        text = "\n".join([kind, config, begun, repr(source), self.device.type])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
