# SPDX-License-Identifier: Apache-2.0
"""Fast mapping: frozen features of the whole recording in memory, and a head trained on them."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.networks.coordinate_head import CoordinateHead
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.networks.precision import training_dtype
from dsac_core.progress import silent
from dsac_core.scene.scene_map import Calibration, SceneMap
from dsac_core.training.calibration import calibrate_map
from dsac_core.training.coordinate_loss import coordinate_loss
from dsac_core.training.encoded_recording import encode_recording
from dsac_core.training.muon import Muon

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset
    from dsac_core.progress import Progress
    from dsac_core.training.cell_buffer import CellBuffer
    from dsac_core.training.encoded_recording import EncodedRecording
    from dsac_core.training.fast_map_config import FastMapConfig

_SECONDS_PER_CHECK = 0.15  # of one held-out frame, seen straight and in the mirror


def map_scene(
    dataset: Dataset,
    split: str,
    config: FastMapConfig,
    *,
    name: str,
    frame_id: str = "map",
    device: torch.device | None = None,
    progress: Progress = silent,
) -> SceneMap:
    """Make a scene map of one split of a recording, within ``config.budget_seconds``.

    Args:
        dataset: The recording.
        split: Its part to learn from.
        config: The settings.
        name: Of the scene.
        frame_id: Of the frame in which the recording's poses are: the robot's map frame.
        device: Where to compute, by default the CPU.
        progress: Is told how far it is.

    Raises:
        DatasetError: There are too few frames, or what was learned from them is useless.
    """
    device = device or torch.device("cpu")
    started = time.perf_counter()
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        encoder = ImageEncoder(device)
        recording = encode_recording(dataset, split, config, encoder, device, progress)
        head = _new_head(recording, config).to(device)
        encoded_at = time.perf_counter()
        iterations, loss = _train(
            head,
            recording.cells,
            config,
            _clock(started, len(recording.held_out), config),
            progress,
        )
    head = head.eval().requires_grad_(requires_grad=False)
    scene = SceneMap(
        name=name,
        frame_id=frame_id,
        regressor=head,
        camera=recording.camera,
        bounds=_bounds(head, recording.cells, config),
        calibration=Calibration(config.min_reliability, min_support=0.5, covariance_scale=1.0),
        training={
            "dataset": dataset.name,
            "split": split,
            "images": len(recording.camera_positions),
            "cells": recording.cells.size,
            "depth": config.use_depth,
            "iterations": iterations,
            "final_loss_px": round(loss, 3),
            "seed": config.seed,
            "threads": torch.get_num_threads(),
            "precision": str(training_dtype(device)).removeprefix("torch."),
            "device": device.type,
            "encoding_seconds": round(encoded_at - started, 1),
            "training_seconds": round(time.perf_counter() - encoded_at, 1),
        },
    )
    scene = calibrate_map(scene, recording.held_out, device, progress)
    return replace(scene, regressor=scene.regressor.cpu())


def _new_head(recording: EncodedRecording, config: FastMapConfig) -> CoordinateHead:
    head = CoordinateHead(config.head)
    mean, std = recording.cells.feature_statistics()
    centre = torch.from_numpy(recording.camera_positions.mean(axis=0))
    head.load_state_dict(
        {**head.state_dict(), "feature_mean": mean, "feature_std": std, "centre": centre}
    )
    return head


def _clock(started: float, held_out: int, config: FastMapConfig) -> Callable[[int], float]:
    """Progress in [0, 1] of the training: of the iterations where given, else of the budget."""
    if config.iterations is not None:
        wanted = config.iterations
        return lambda iteration: iteration / wanted
    begin = time.perf_counter()
    checks = held_out * (2 if config.use_depth else 1)
    reserve = min(checks * _SECONDS_PER_CHECK, 0.1 * config.budget_seconds)
    end = max(started + config.budget_seconds - reserve, begin + 1.0)
    return lambda _: (time.perf_counter() - begin) / (end - begin)


def _train(
    head: CoordinateHead,
    cells: CellBuffer,
    config: FastMapConfig,
    clock: Callable[[int], float],
    progress: Progress,
) -> tuple[int, float]:
    """Train until the clock says 1; returns the iterations and the mean loss at the end."""
    device = head.feature_mean.device
    dtype = training_dtype(device)
    generator = torch.Generator().manual_seed(config.seed)
    hidden = head.hidden_matrices()
    others = [p for p in head.parameters() if not any(p is matrix for matrix in hidden)]
    optimizers = {
        Muon(hidden, precision=dtype): config.hidden_learning_rate,
        torch.optim.AdamW(others, weight_decay=config.weight_decay): config.learning_rate,
    }
    iteration, running_loss = 0, math.nan
    while (done := clock(iteration)) < 1.0:
        warmup = min(1.0, (iteration + 1) / config.warmup_iterations)
        schedule = warmup * 0.5 * (1.0 + math.cos(math.pi * done))
        batch = cells.draw(config.batch_size, generator)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            predicted = head(batch.features_BC)
        loss, valid = coordinate_loss(predicted, batch, config.loss, done)
        loss.backward()
        for optimizer, highest_rate in optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = highest_rate * schedule
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        iteration += 1
        if iteration % 20 == 0:
            value = loss.item()
            running_loss = value if math.isnan(running_loss) else 0.9 * running_loss + 0.1 * value
            detail = f"iteration {iteration}, loss {running_loss:.2f} px, {valid.item():.0%} valid"
            progress("training", min(done, 0.999), detail)
    progress("training", 1.0, f"{iteration} iterations, loss {running_loss:.2f} px")
    return iteration, running_loss if math.isfinite(running_loss) else 0.0


@torch.inference_mode()
def _bounds(head: CoordinateHead, cells: CellBuffer, config: FastMapConfig) -> NDArray[np.float64]:
    """The box [2 x 3] that holds nearly all predicted scene points of the training cells."""
    generator = torch.Generator().manual_seed(config.seed)
    points = head(cells.draw(min(cells.size, 10_000), generator).features_BC).double().cpu().numpy()
    return np.asarray(np.quantile(points, [0.01, 0.99], axis=0), dtype=np.float64)
