# SPDX-License-Identifier: Apache-2.0
"""A recording, encoded once: cells to train on, and frames kept aside to check the map with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.errors import DatasetError
from dsac_core.geometry.images import depth_at, resize_to_focal_length, to_gray
from dsac_core.training.cell_buffer import CellBuffer
from dsac_core.training.held_out import choose_frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.image_encoder import ImageEncoder
    from dsac_core.progress import Progress
    from dsac_core.training.fast_map_config import FastMapConfig

_ENCODING_SHARE = 0.4  # of the budget: where encoding would take more, images are left out
_GRACE = 2.0  # seconds: the first run of anything is slow


@dataclass(frozen=True)
class EncodedRecording:
    """What mapping needs of a recording."""

    cells: CellBuffer
    held_out: list[Frame]
    camera: Camera  # of the first image; others are resized to its focal length
    camera_positions: NDArray[np.float64]  # N x 3, metres, of the training images


def encode_recording(
    dataset: Dataset,
    split: str,
    config: FastMapConfig,
    encoder: ImageEncoder,
    device: torch.device,
    progress: Progress,
) -> EncodedRecording:
    """Encode a split, frame by frame in its order; memory and time are bounded by ``config``.

    Raises:
        DatasetError: There are too few frames, or none has texture.
    """
    chosen, aside = choose_frames(dataset, split, config)
    capacity = min(config.buffer_cells, 10_000 * len(chosen))
    per_image = max(1, capacity // (len(chosen) - len(aside)))
    cells = CellBuffer(capacity, config.head.in_channels, encoder.dtype, device)
    generator = torch.Generator().manual_seed(config.seed)
    held_out, positions = [], []
    camera: Camera | None = None
    started = time.perf_counter()
    frames = dataset.frames(split, indices=chosen, with_depth=config.use_depth)
    for position, frame in enumerate(frames):
        camera = camera or frame.camera
        done = position / len(chosen)
        if position in aside:
            held_out.append(frame)
        elif not _is_behind(time.perf_counter() - started, done, config):
            _add_cells(frame, camera, cells, per_image, config, encoder, device, generator)
            positions.append(frame.world_T_cam[:3, 3])
        progress("encoding", (position + 1) / len(chosen), f"image {position + 1}/{len(chosen)}")
    if camera is None or cells.size == 0:
        msg = f"{dataset.name}: no image has enough texture to map from"
        raise DatasetError(msg)
    return EncodedRecording(cells, held_out, camera, np.array(positions))


def _is_behind(elapsed: float, done: float, config: FastMapConfig) -> bool:
    """Whether encoding is too slow for its share of the budget, so that an image is left out.

    Asked before each image, this thins a recording evenly on a machine that cannot keep up.
    """
    by_the_clock = config.iterations is None
    return by_the_clock and elapsed > _GRACE + done * _ENCODING_SHARE * config.budget_seconds


def _add_cells(
    frame: Frame,
    reference: Camera,
    cells: CellBuffer,
    most: int,
    config: FastMapConfig,
    encoder: ImageEncoder,
    device: torch.device,
    generator: torch.Generator,
) -> None:
    image, camera = resize_to_focal_length(frame.image, frame.camera, reference)
    encoded = encoder(torch.from_numpy(to_gray(image)).to(device))
    kept = torch.nonzero(encoded.reliability_N >= config.min_reliability)[:, 0]
    if len(kept) > most:
        kept = kept[torch.randperm(len(kept), generator=generator)[:most].to(device)]
    pixels = encoded.pixels_N2[kept].cpu().double().numpy()
    ideal = torch.from_numpy(camera.undistort(pixels)).float()
    depth = None
    if frame.depth is not None:
        depth = torch.from_numpy(depth_at(frame.depth, pixels, camera))
    seen = ideal.isfinite().all(dim=1)
    cells.add_image(
        encoded.features_NC[kept[seen.to(device)]],
        ideal[seen],
        None if depth is None else depth[seen],
        camera,
        frame.world_T_cam,
    )
