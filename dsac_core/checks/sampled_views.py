# SPDX-License-Identifier: Apache-2.0
"""Some views of a recording, with their keypoints, and the poses of all frames around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.geometry.images import resize, to_gray
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.networks.keypoint_detector import KeypointDetector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.keypoint_detector import Keypoints
    from dsac_core.progress import Progress

    FloatArray = NDArray[np.float64]

LONGEST_SIDE = 640  # px; larger images are made smaller before keypoints are looked for
_FRAMES = 240  # read at most
_STRETCHES = 8  # that they come in, so that time between frames can be checked
_VIEWS = 64  # of them, whose keypoints are found
_KEYPOINTS = 1000  # in a view


@dataclass(frozen=True)
class View:
    """One image that is matched with others."""

    name: str  # of its frame
    row: int  # of its frame in `SampledViews.world_T_frame_N44`
    camera: Camera
    keypoints: Keypoints  # in pixels of the resized image
    pixels_K2: FloatArray  # the same in pixels of the image
    px: float  # a pixel of the resized image, in pixels of the image


@dataclass(frozen=True)
class SampledViews:
    """Frames in stretches without gaps, some of which have keypoints."""

    count: int  # frames in the recording
    index_N: NDArray[np.int64]  # of each frame that was read, in the recording
    run_N: NDArray[np.int64]  # number of the run without gaps that it is in
    stamp_N: FloatArray  # seconds
    world_T_frame_N44: FloatArray  # of the cameras' optical frames
    views: list[View]


def sample_views(dataset: Dataset, split: str, progress: Progress) -> SampledViews:
    """Read up to 240 frames of a split in 8 stretches, and find keypoints in 64 of them.

    Raises:
        DatasetError: A frame is unreadable.
    """
    count = dataset.count(split)
    chosen = stretches(count)
    described = {int(chosen[place]) for place in _evenly(len(chosen), _VIEWS)}
    device = torch.device("cpu")
    encoder = ImageEncoder(device)
    detector = KeypointDetector(device, encoder.dtype)
    stamps, poses, views = [], [], []
    frames = dataset.frames(split, indices=set(chosen.tolist()))
    for row, (index, frame) in enumerate(zip(chosen, frames, strict=False)):
        stamps.append(frame.stamp)
        poses.append(np.asarray(frame.world_T_cam, dtype=np.float64))
        if int(index) in described:
            views.append(_view(row, frame, encoder, detector))
        progress("reading", (row + 1) / len(chosen), f"image {row + 1}/{len(chosen)}")
    chosen = chosen[: len(poses)]
    stamp_N = np.array(stamps, dtype=np.float64)
    pose_N44 = np.array(poses).reshape(-1, 4, 4)
    return SampledViews(count, chosen, _runs(chosen, stamp_N), stamp_N, pose_N44, views)


def stretches(count: int) -> NDArray[np.int64]:
    """Indices of the frames to read: all of them, or equal stretches that are evenly spread."""
    if count <= _FRAMES:
        return np.arange(count)
    length = _FRAMES // _STRETCHES
    starts = np.linspace(0, count - length, _STRETCHES).round().astype(np.int64)
    return np.unique(starts[:, None] + np.arange(length))


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def _runs(index_N: NDArray[np.int64], stamp_N: FloatArray) -> NDArray[np.int64]:
    """Number of the run of frames that each is in: one ends where frames are left out, or time."""
    if len(index_N) < 2:
        return np.zeros(len(index_N), dtype=np.int64)
    step = np.diff(stamp_N)
    usual = float(np.median(step))
    broken = (np.diff(index_N) > 1) | (step > 4.0 * usual) | (step < 0.0)
    return np.concatenate([[0], np.cumsum(broken)])


def _view(row: int, frame: Frame, encoder: ImageEncoder, detector: KeypointDetector) -> View:
    gray = to_gray(frame.image)
    height, width = gray.shape
    factor = min(1.0, LONGEST_SIDE / max(width, height))
    small = resize(gray, max(1, round(width * factor)), max(1, round(height * factor)))
    scale = np.array([width / small.shape[1], height / small.shape[0]])
    image = torch.from_numpy(small)
    keypoints = detector(image, encoder(image), _KEYPOINTS)
    pixels = (keypoints.pixels_K2.double().numpy() + 0.5) * scale - 0.5
    return View(frame.name, row, frame.camera, keypoints, pixels, float(scale.mean()))
