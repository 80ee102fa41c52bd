# SPDX-License-Identifier: Apache-2.0
"""One fast map in the making: what is encoded, the head under training, and what it becomes."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dsac_core.errors import DatasetError
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.networks.precision import training_dtype
from dsac_core.progress import silent
from dsac_core.scene.scene_map import Calibration, SceneMap
from dsac_core.training.encoded_recording import encode_recording
from dsac_core.training.encoded_views import encode_view, view_errors
from dsac_core.training.fast_loop import FastLoop
from dsac_core.training.fast_state import FastState, fast_settings, recordings_of
from dsac_core.training.fast_trainer import FastTrainer
from dsac_core.training.feature_stereo import StereoSummary, estimate_depth
from dsac_core.training.finetune import finetune_head
from dsac_core.training.finetune_steps import FinetuneConfig
from dsac_core.training.first_head import first_head, head_of
from dsac_core.training.landmark_mapping import FoundLandmarks, find_landmarks
from dsac_core.training.live_recall import LiveRecall
from dsac_core.training.scene_bounds import predicted_points, scene_bounds
from dsac_core.training.workers import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsac_core.data.frame import Dataset
    from dsac_core.progress import Progress
    from dsac_core.training.coordinate_loss import CoordinateLossConfig
    from dsac_core.training.encoded_recording import Validation
    from dsac_core.training.fast_map_config import FastMapConfig
    from dsac_core.training.workers import Workers

_SECONDS_PER_CHECK = 0.3  # of one held-out frame, seen in three ways, and weighed
_STEREO_SHARE = 0.12  # of the budget: where estimating depth would take more, images go without
_MATCHING_SHARE = 0.15  # of the budget: where matching would take more, pairs of images go without
_LEAST_TRAINING = 1.0  # seconds, whatever is left of the budget


@dataclass(frozen=True)
class MappingJob:
    """What to map, and how; the arguments of `map_scene`."""

    dataset: Dataset
    split: str
    config: FastMapConfig
    name: str
    frame_id: str
    device: torch.device
    progress: Progress = silent
    checkpoint_file: Path | None = None
    begin_with: SceneMap | None = None
    validation: Validation | None = None
    workers: Workers = ALONE


class FastMapping:
    """The encoded recording and the trainer of its head."""

    def __init__(self, job: MappingJob, *, resume: bool) -> None:
        """Encode the recording, and make the head or take that of the map to begin with.

        Raises:
            DatasetError: There are too few frames.
            ConfigError: The checkpoint or the map to begin with does not fit the settings.
        """
        started = time.perf_counter()
        workers, device = job.workers, job.device
        self._job, self._config = job, job.config
        self._settings = fast_settings(job.config, job.dataset, job.split, job.validation, workers)
        kept = None
        if resume and job.checkpoint_file is not None:
            kept = FastState.load(job.checkpoint_file, self._settings)
        begin_with, camera = job.begin_with, None
        self._frame_id, self.map_T_scene = job.frame_id, np.eye(4)
        if kept is not None:
            self._config = replace(job.config, head=kept.head_config)
            begin_with, camera = None, kept.reference_camera
            self._frame_id, self.map_T_scene = kept.frame_id, np.array(kept.map_T_scene)
        elif begin_with is not None:
            self._config = replace(job.config, head=head_of(begin_with).config)
            camera = begin_with.camera
            self.map_T_scene = begin_with.map_T_scene
        self._precision = _name_of(training_dtype(device)) if kept is None else kept.precision
        self._precision = str(workers.gather(self._precision)[0])
        dtype: torch.dtype = getattr(torch, self._precision)
        encoder = ImageEncoder(device, dtype if device.type == "cpu" else None)
        self.recording = encode_recording(
            job.dataset,
            job.split,
            self._config,
            encoder,
            device,
            job.progress,
            camera=camera,
            validation=job.validation,
            again=None if kept is None else kept.encoded[workers.rank],
            workers=workers,
        )
        self._stereo = self._estimate_depth(None if kept is None else kept.swept[workers.rank])
        self._landmarks = self._find_landmarks(None if kept is None else kept.matched_pairs)
        head = first_head(self.recording, self._config, begin_with, workers).to(device)
        workers.copy_first(head)
        self._config = replace(self._config, loss=self._loss_config())
        self.trainer = FastTrainer(head, self.recording.cells, self._config, dtype, workers)
        self._encoder, self._dtype = encoder, dtype
        self._encoded = workers.gather(self.recording.encoded)
        self._swept = workers.gather(self._stereo.images)
        self._depth_scales = workers.gather(self._stereo.depth_scale)
        self._encoding_seconds = time.perf_counter() - started
        if kept is not None:
            self.trainer.load_state_dict(kept.trainer)
            self._encoding_seconds = kept.encoding_seconds
        self._live = LiveRecall(
            self.recording.held_out, self.recording.camera, encoder, self._config.min_reliability
        )

    def _estimate_depth(self, images: int | None) -> StereoSummary:
        """Depth for the cells without one: of so many images, else of as many as there is time."""
        config, job = self._config, self._job
        if config.stereo is None:
            return StereoSummary(None)
        end = time.perf_counter() + _STEREO_SHARE * config.budget_seconds
        by_the_clock = config.iterations is None

        def enough(done: int) -> bool:
            if images is not None:
                return done >= images
            return by_the_clock and time.perf_counter() > end

        generator = torch.Generator().manual_seed(config.seed + job.workers.rank)
        cells = self.recording.cells
        return estimate_depth(cells, config.stereo, generator, enough=enough, progress=job.progress)

    def _find_landmarks(self, pairs: int | None) -> FoundLandmarks | None:
        """From so many pairs of images, else from as many as there is time for."""
        config, job = self._config, self._job
        if config.landmarks is None:
            return None
        keypoints = self.recording.keypoints
        measured = torch.cat([view.depth_K[view.depth_K > 0] for view in keypoints])
        usual = self._usual_depth()
        if usual is None:
            usual = float(measured.median()) if len(measured) else config.loss.heuristic_depth
        end = time.perf_counter() + _MATCHING_SHARE * config.budget_seconds
        by_the_clock = config.iterations is None and config.regression

        def enough(done: int) -> bool:
            if pairs is not None:
                return done >= pairs
            return by_the_clock and time.perf_counter() > end

        return find_landmarks(
            keypoints,
            self.recording.cells,
            usual,
            config.landmarks,
            job.workers,
            depth_scale=self._stereo.depth_scale,
            seed=config.seed,
            enough=enough,
            progress=job.progress,
        )

    def _usual_depth(self) -> float | None:
        """Of the scene, metres, as all workers together see it; None where none could tell."""
        own = self._stereo.typical_depth
        found = [depth for depth in self._job.workers.gather(own) if depth is not None]
        return float(np.median(found)) if found else None

    def _loss_config(self) -> CoordinateLossConfig:
        """With the depth that is usual in this scene where nothing better is known."""
        loss = self._config.loss
        depth = self._usual_depth()
        if depth is None:
            return loss
        usual = float(np.clip(depth, 1.01 * loss.min_depth, 0.99 * loss.max_depth))
        return replace(loss, heuristic_depth=usual)

    def loop(self) -> FastLoop:
        """The training that is left."""
        job = self._job
        return FastLoop(
            self.trainer,
            self._config,
            self._training_seconds(),
            job.workers,
            job.progress,
            save=self._save,
            watch=self._watch,
        )

    def finetune(self, interrupted: Callable[[], bool]) -> dict[str, Any]:
        """Train end to end for as long as the settings ask; returns what a record says of it."""
        config, job = self._config, self._job
        if not (config.finetune_seconds and config.regression):
            return {}
        views = [
            encode_view(frame, self.recording.camera, self._encoder, config.min_reliability)
            for frame in self.recording.held_out
        ]
        record = finetune_head(
            self.trainer.head,
            self.recording.cells,
            FinetuneConfig(seed=config.seed),
            seconds=config.finetune_seconds,
            loss=config.loss,
            precision=self._dtype,
            check=lambda head: view_errors(head, views, self._encoder.dtype),
            progress=job.progress,
            interrupted=interrupted,
            workers=job.workers,
        )
        return record.as_dict()

    def scene(self, **remarks: Any) -> SceneMap:
        """What was learned, as a map with a provisional calibration."""
        job, config, trainer = self._job, self._config, self.trainer
        recordings = recordings_of(job.dataset, job.split)
        head = trainer.head.eval().requires_grad_(requires_grad=False)
        landmarks = None if self._landmarks is None else self._landmarks.map
        points = predicted_points(head, self.recording.cells, config.seed)
        if not config.regression:
            if landmarks is None:
                msg = f"{job.dataset.name}: no landmarks found: move more between images"
                raise DatasetError(msg)
            points = landmarks.points_L3
        return SceneMap(
            name=job.name,
            frame_id=self._frame_id,
            regressor=head,
            camera=self.recording.camera,
            bounds=scene_bounds(points),
            calibration=Calibration(config.min_reliability, min_support=0.5, covariance_scale=1.0),
            depth_scale=float(np.mean(self._depth_scales)),
            landmarks=landmarks,
            regression=config.regression,
            training={
                "dataset": job.dataset.name,
                "split": " + ".join(sorted({recording["split"] for recording in recordings})),
                "recordings": recordings,
                "images": sum(map(len, self._encoded)),
                "cells": self.recording.cells.size * job.workers.count,
                "depth": config.use_depth,
                "estimated_depth_share": round(self._stereo.share, 3),
                "typical_depth_m": self._stereo.typical_depth
                and round(self._stereo.typical_depth, 2),
                **self._landmark_record(),
                "iterations": trainer.iteration,
                "final_loss_px": round(trainer.loss, 3) if math.isfinite(trainer.loss) else 0.0,
                "seed": config.seed,
                "processes": job.workers.count,
                "threads": torch.get_num_threads(),
                "precision": self._precision,
                "device": job.device.type,
                "encoding_seconds": round(self._encoding_seconds, 1),
                "training_seconds": round(trainer.seconds, 1),
                **remarks,
            },
        )

    def _landmark_record(self) -> dict[str, Any]:
        found = self._landmarks
        if found is None:
            return {"landmarks": 0}
        return {
            "landmarks": 0 if found.map is None else len(found.map),
            "landmark_tracks": found.tracks,
            "landmark_seconds": round(found.seconds, 1),
        }

    def _training_seconds(self) -> float:
        """What encoding left of the budget, and checking will."""
        config = self._config
        checks = len(self.recording.held_out) * (2 if config.use_depth else 1)
        reserve = min(checks * _SECONDS_PER_CHECK, 0.1 * config.budget_seconds)
        left = config.budget_seconds - self._encoding_seconds - reserve
        return max(left, _LEAST_TRAINING)

    def _save(self) -> None:
        if self._job.checkpoint_file is None:
            return
        state = FastState(
            trainer=self.trainer.state_dict(),
            head=asdict(self._config.head),
            camera=asdict(self.recording.camera),
            encoded=self._encoded,
            swept=self._swept,
            matched_pairs=None if self._landmarks is None else self._landmarks.pairs,
            encoding_seconds=self._encoding_seconds,
            frame_id=self._frame_id,
            map_T_scene=self.map_T_scene.tolist(),
            precision=self._precision,
        )
        state.save(self._job.checkpoint_file, self._settings)

    def _watch(self, done: float) -> str:
        elapsed = self._encoding_seconds + self.trainer.seconds
        self._live.watch(self.trainer.head, done, elapsed)
        return self._live.words


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
