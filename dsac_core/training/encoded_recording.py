# SPDX-License-Identifier: Apache-2.0
"""A recording, encoded once: cells to train on, and frames kept aside to check the map with."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from dsac_core.data.frame import spread_indices
from dsac_core.errors import DatasetError
from dsac_core.geometry.images import depth_at, resize_to_focal_length, to_gray
from dsac_core.networks.keypoint_detector import KeypointDetector
from dsac_core.networks.row_lookup import rows_of
from dsac_core.training.cell_buffer import CellBuffer
from dsac_core.training.held_out import choose_frames
from dsac_core.training.in_threads import in_threads
from dsac_core.training.keypoint_view import KeypointView
from dsac_core.training.varied_cells import add_varied_cells
from dsac_core.training.workers import ALONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.image_encoder import EncodedImage, ImageEncoder
    from dsac_core.progress import Progress
    from dsac_core.training.fast_map_config import FastMapConfig
    from dsac_core.training.workers import Workers

_ENCODING_SHARE = 0.4  # of the budget: where encoding would take more, images are left out
_GRACE = 2.0  # seconds: the first run of anything is slow


@dataclass(frozen=True)
class Validation:
    """A recording that only checks the map."""

    dataset: Dataset
    split: str

    def frames(self, config: FastMapConfig) -> list[Frame]:
        """At most ``config.max_held_out``, spread over it."""
        indices = spread_indices(self.dataset.count(self.split), config.max_held_out)
        with_depth = config.use_depth
        return list(self.dataset.frames(self.split, indices=indices, with_depth=with_depth))


@dataclass(frozen=True)
class EncodedRecording:
    """What mapping needs of a recording; of several workers, each has its share of the images."""

    cells: CellBuffer
    held_out: list[Frame]  # of the first worker
    camera: Camera  # all images are resized to its focal length
    camera_positions: NDArray[np.float64]  # N x 3, metres, of the training images
    encoded: list[int]  # indices of the training images in the recording
    keypoints: list[KeypointView]  # of the training images; empty without landmarks


def encode_recording(
    dataset: Dataset,
    split: str,
    config: FastMapConfig,
    encoder: ImageEncoder,
    device: torch.device,
    progress: Progress,
    *,
    camera: Camera | None = None,
    validation: Validation | None = None,
    again: Sequence[int] | None = None,
    workers: Workers = ALONE,
) -> EncodedRecording:
    """Encode a split, frame by frame in its order; memory and time are bounded by ``config``.

    Args:
        dataset: The recording.
        split: Its part to learn from.
        config: The settings.
        encoder: Of the images.
        device: Where the cells will be.
        progress: Is told how far it is.
        camera: To whose focal length images are resized; by default that of the first image.
        validation: Where the frames to check with come from, instead of from the recording.
        again: Indices of the images that were encoded before: exactly these, in all the time.
        workers: Share the training images among them.

    Raises:
        DatasetError: There are too few frames, or none has texture.
    """
    chosen, aside = choose_frames(dataset, split, config)
    ordered = sorted(chosen)
    checked = set() if validation is not None else {ordered[place] for place in aside}
    planned = [index for index in ordered if index not in checked]
    mine = planned[workers.rank :: workers.count]
    if camera is None and workers.count > 1:  # the same for all
        camera = next(dataset.frames(split, indices={ordered[0]})).camera
    detector = None
    if config.landmarks is not None:
        detector = KeypointDetector(device, encoder.dtype)
    most_keypoints = config.landmarks.keypoints_of(len(planned)) if config.landmarks else 0
    keypoints: list[KeypointView] = []
    capacity = max(1, min(config.buffer_cells // workers.count, 10_000 * len(mine)))
    varied = len(mine) // config.vary_every if config.vary_every else 0
    per_image = max(1, capacity // max(1, len(mine) + varied))
    trained = mine if again is None else again
    read = sorted({*trained, *(checked if workers.rank == 0 else ())})
    cells = CellBuffer(capacity, config.head.in_channels, storage_dtype(encoder), device)
    generator = torch.Generator().manual_seed(config.seed + workers.rank)
    held_out: list[Frame] = []
    encoded: list[int] = []
    positions: list[NDArray[np.float64]] = []
    clock = _Clock(config, in_full=again is not None)
    frames = dataset.frames(split, indices=set(read), with_depth=config.use_depth)

    def wanted() -> Iterator[_ReadFrame]:
        nonlocal camera
        for number, (index, frame) in enumerate(zip(read, frames, strict=False)):
            camera = camera or frame.camera
            if not config.use_depth and frame.depth is not None:  # some cannot leave it out
                frame = replace(frame, depth=None)
            if index in checked:
                held_out.append(frame)
            elif not clock.is_behind(number / len(read)):
                yield _ReadFrame(number, index, frame, camera)

    see = partial(_see, encoder=encoder, detector=detector, most=most_keypoints, device=device)
    for read_frame, seen in in_threads(see, wanted(), device):
        frame, reference = read_frame.frame, read_frame.reference
        _add_cells(frame, seen.encoded, seen.camera, cells, per_image, config, generator)
        if seen.keypoints is not None:
            keypoints.append(seen.keypoints)
        if config.vary_every and len(encoded) % config.vary_every == 0:
            add_varied_cells(frame, reference, cells, per_image, config, encoder, generator)
        positions.append(frame.world_T_cam[:3, 3])
        encoded.append(read_frame.frame_index)
        done = read_frame.place + 1
        progress("encoding", done / len(read), f"image {done}/{len(read)}")
    progress("encoding", 1.0, f"image {len(read)}/{len(read)}")
    if camera is None or cells.size == 0:
        msg = f"{dataset.name}: no image has enough texture to map from"
        raise DatasetError(msg)
    if validation is not None and workers.rank == 0:
        held_out = validation.frames(config)
    return EncodedRecording(cells, held_out, camera, np.array(positions), encoded, keypoints)


class _ReadFrame(NamedTuple):
    place: int  # among the frames that are read
    frame_index: int  # in the recording
    frame: Frame
    reference: Camera  # to whose focal length it is resized


class _Seen(NamedTuple):
    encoded: EncodedImage
    camera: Camera  # of the resized image
    keypoints: KeypointView | None


def _see(
    read_frame: _ReadFrame,
    *,
    encoder: ImageEncoder,
    detector: KeypointDetector | None,
    most: int,
    device: torch.device,
) -> tuple[_ReadFrame, _Seen]:
    """What is in a frame, which depends on no other one."""
    frame = read_frame.frame
    image, camera = resize_to_focal_length(frame.image, frame.camera, read_frame.reference)
    gray = torch.from_numpy(to_gray(image)).to(device)
    encoded = encoder(gray)
    if detector is None:
        return read_frame, _Seen(encoded, camera, None)
    found = detector(gray, encoded, most)
    half = storage_dtype(encoder)
    view = KeypointView.of(found, camera, frame.world_T_cam, frame.depth, half)
    return read_frame, _Seen(encoded, camera, view)


def storage_dtype(encoder: ImageEncoder) -> torch.dtype:
    """Half precision for features in memory: the encoder's own, else float16.

    Of float32 features, float16 loses 0.0003 of their standard deviation, bfloat16 0.0022.
    """
    return torch.float16 if encoder.dtype == torch.float32 else encoder.dtype


class _Clock:
    """Whether encoding is too slow for its share of the budget, so that an image is left out.

    Asked before each image, it thins a recording evenly on a machine that cannot keep up.
    """

    def __init__(self, config: FastMapConfig, *, in_full: bool) -> None:
        self._share = _ENCODING_SHARE * config.budget_seconds
        self._never = in_full or config.iterations is not None
        self._started = time.perf_counter()

    def is_behind(self, done: float) -> bool:
        elapsed = time.perf_counter() - self._started
        return not self._never and elapsed > _GRACE + done * self._share


def _add_cells(
    frame: Frame,
    encoded: EncodedImage,
    camera: Camera,
    cells: CellBuffer,
    most: int,
    config: FastMapConfig,
    generator: torch.Generator,
) -> None:
    device = encoded.features_NC.device
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
        rows_of(encoded.features_NC, kept[seen.to(device)]),
        ideal[seen],
        None if depth is None else depth[seen],
        camera,
        frame.world_T_cam,
    )
