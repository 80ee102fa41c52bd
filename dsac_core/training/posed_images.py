# SPDX-License-Identifier: Apache-2.0
"""Whole training images in memory: gray, without distortion, at one height."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from dsac_core.errors import DatasetError
from dsac_core.geometry.images import resize, to_gray
from dsac_core.geometry.rectify import rectify
from dsac_core.training.held_out import choose_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.progress import Progress
    from dsac_core.training.dense_config import DenseMapConfig


@dataclass(frozen=True)
class PosedImage:
    """One training image."""

    gray_HW: torch.Tensor  # uint8
    seen_HW: torch.Tensor | None  # bool: false where the rectified image is empty; None: all seen
    depth_HW: torch.Tensor | None  # metres along z, float16, 0 is unknown
    camera: Camera  # of this image, without distortion
    world_T_cam: NDArray[np.float64]  # 4 x 4


@dataclass(frozen=True)
class PosedImages:
    """What the networks of DSAC* are trained on and checked with."""

    images: Sequence[PosedImage]
    held_out: list[Frame]
    camera: Camera  # of the first image, at the training height, with its distortion


def load_images(
    dataset: Dataset, split: str, config: DenseMapConfig, progress: Progress
) -> PosedImages:
    """Read a split; at most ``config.max_frames``, so that memory is bounded.

    Raises:
        DatasetError: There are too few frames, or the setting needs depth and there is none.
    """
    chosen, aside = choose_frames(dataset, split, config)
    with_depth = config.setting != "rgb"
    images: list[PosedImage] = []
    held_out: list[Frame] = []
    reference: Camera | None = None
    frames = dataset.frames(split, indices=chosen, with_depth=with_depth)
    for position, frame in enumerate(frames):
        reference = reference or at_height(frame.camera, config.image_height)
        if position in aside:
            # Without a camera for depth the map is checked as it will be used.
            held_out.append(frame if config.with_depth else replace(frame, depth=None))
        else:
            images.append(prepare(frame, config.image_height))
        progress("reading", (position + 1) / len(chosen), f"image {position + 1}/{len(chosen)}")
    assert reference is not None
    if with_depth and not any(_has_depth(image) for image in images):
        msg = (
            f"{dataset.name} has no depth, which --setting {config.setting} learns from: name a"
            " 3D model (--setting rgb-model --model FILE), or use --setting rgb"
        )
        raise DatasetError(msg)
    return PosedImages(images, held_out, reference)


def prepare(frame: Frame, height: int) -> PosedImage:
    """A frame as the network is to see it."""
    gray, camera, seen = rectify(to_gray(frame.image), frame.camera)
    camera = at_height(camera, height)
    size = (camera.width, camera.height)
    if seen is not None:
        seen = _nearest(seen.astype(np.uint8), size) > 0
    depth = None
    if frame.depth is not None:
        depth_camera = frame.camera.scaled(frame.depth.shape[1], frame.depth.shape[0])
        known = (frame.depth > 0) & (frame.depth < np.finfo(np.float16).max)  # false for NaN
        depth = rectify(np.where(known, frame.depth, 0.0), depth_camera, nearest=True)[0]
        depth = _nearest(depth, size)
    return PosedImage(
        torch.from_numpy(np.ascontiguousarray(resize(gray, *size))),
        None if seen is None else torch.from_numpy(seen),
        None if depth is None else torch.from_numpy(depth.astype(np.float16)),
        camera,
        frame.world_T_cam,
    )


def at_height(camera: Camera, height: int) -> Camera:
    """The camera of the same image at another height, its proportions kept."""
    return camera.scaled(max(8, round(camera.width * height / camera.height)), height)


def _nearest(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Values of the pixels whose centres are nearest; plain INTER_NEAREST is up to a pixel off."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST_EXACT))


def _has_depth(image: PosedImage) -> bool:
    return image.depth_HW is not None and bool((image.depth_HW > 0).any())
