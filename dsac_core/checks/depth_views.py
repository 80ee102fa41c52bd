# SPDX-License-Identifier: Apache-2.0
"""Views with measured depth, and the edges of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.geometry.images import resize, to_gray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.checks.sampled_views import SampledViews
    from dsac_core.data.frame import Dataset
    from dsac_core.geometry.camera import Camera
    from dsac_core.progress import Progress

    FloatImage = NDArray[np.float32]

_LONGEST_SIDE = 640  # px; of larger depth images fewer pixels are kept
_EDGE = 0.1  # of its depth, by which depth jumps
_EDGE_WIDTH = 4  # px
_MOST_EDGES = 4000  # pixels of an image
_STRONG = 95  # percentile of the gradients of an image from which on they count as one
_BLUR = 1.5  # px, so that an edge is felt from beside it


@dataclass(frozen=True)
class DepthView:
    """One view, at the size of its (thinned) depth image."""

    view: int  # which one of those sampled
    camera: Camera  # of that size
    depth_HW: FloatImage  # metres, 0 for none
    edges_E2: NDArray[np.float64]  # (x, y) of pixels where depth jumps
    gradient_HW: FloatImage  # of the image, in [0, 1]


def read_depth(
    dataset: Dataset, split: str, sampled: SampledViews, views: Sequence[int], progress: Progress
) -> list[DepthView]:
    """The views that have depth, of those asked for.

    Raises:
        DatasetError: The recording has no depth, or it is unreadable.
    """
    view_of = {sampled.views[view].name: view for view in views}
    indices = {int(sampled.index_N[sampled.views[view].row]) for view in views}
    read: list[DepthView] = []
    frames = dataset.frames(split, indices=indices, with_depth=True)
    for number, frame in enumerate(frames, start=1):  # of a bag, in the order of their arrival
        progress("reading depth", number / len(views), f"image {number}/{len(views)}")
        if frame.depth is None or not (frame.depth > 0).any():
            continue
        step = -(-max(frame.depth.shape) // _LONGEST_SIDE)
        depth = frame.depth[step // 2 :: step, step // 2 :: step].astype(np.float32)
        height, width = depth.shape
        gray = resize(to_gray(frame.image), width, height)
        camera = frame.camera.scaled(width, height)
        view = view_of[frame.name]
        read.append(DepthView(view, camera, depth, depth_edges(depth), gradients(gray)))
    return read


def depth_edges(depth_HW: FloatImage) -> NDArray[np.float64]:
    """Pixels (x, y) [E x 2] in the middle of a jump of depth; holes are none."""
    half = _EDGE_WIDTH // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(np.where(depth_HW > 0, depth_HW, np.nan))
    down = np.argwhere(np.abs(log[_EDGE_WIDTH:] - log[:-_EDGE_WIDTH]) > _EDGE)
    across = np.argwhere(np.abs(log[:, _EDGE_WIDTH:] - log[:, :-_EDGE_WIDTH]) > _EDGE)
    middle = np.concatenate([np.add(down, [half, 0]), np.add(across, [0, half])])
    found = middle[:, ::-1].astype(np.float64)
    return np.random.default_rng(0).permutation(found)[:_MOST_EDGES]


def gradients(gray_HW: NDArray[np.uint8]) -> FloatImage:
    """Strength [H x W] of the edges of an image, from 0 to 1 for its strongest."""
    smooth = cv2.GaussianBlur(gray_HW.astype(np.float32), (0, 0), 1.0)
    strength = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    strong = float(np.percentile(strength, _STRONG))
    return np.asarray(
        cv2.GaussianBlur(np.minimum(strength / max(strong, 1e-6), 1.0), (0, 0), _BLUR), np.float32
    )
