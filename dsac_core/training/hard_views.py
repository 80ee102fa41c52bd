# SPDX-License-Identifier: Apache-2.0
"""Held-out images made harder, or impossible, to see where a map's poses begin to fail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.data.frame import Frame

_Number = TypeVar("_Number", bound=np.generic)

_SMALLEST = 32  # px, of a side
_GOLDEN = 0.6180339887  # its multiples, modulo one, fill [0, 1] evenly however many are taken


def mirrored(frame: Frame) -> Frame:
    """The frame as seen in a mirror: an image of this place that no pose explains."""
    camera = replace(frame.camera, cx=frame.camera.width - 1 - frame.camera.cx)
    image = np.ascontiguousarray(frame.image[:, ::-1])
    depth = None if frame.depth is None else np.ascontiguousarray(frame.depth[:, ::-1])
    return replace(frame, image=image, camera=camera, depth=depth)


def hard_view(frame: Frame, index: int) -> Frame:
    """One of three kinds in turn, each as hard as ``index`` has it; the pose is the frame's."""
    hardness = (index + 1) * _GOLDEN % 1.0
    kind = index % 3
    if kind == 0:
        return cropped(frame, 0.6 - 0.4 * hardness, index)
    if kind == 1:
        return dimmed(frame, 0.4 - 0.35 * hardness, index)
    return half_hidden(frame, 0.5 + 0.45 * hardness)


def cropped(frame: Frame, share: float, seed: int = 0) -> Frame:
    """A window of ``share`` of each side, somewhere in the image: a narrow view."""
    camera = frame.camera
    width = max(min(_SMALLEST, camera.width), round(share * camera.width))
    height = max(min(_SMALLEST, camera.height), round(share * camera.height))
    rng = np.random.default_rng(seed)
    left = int(rng.integers(0, camera.width - width + 1))
    top = int(rng.integers(0, camera.height - height + 1))

    def window(values: NDArray[_Number]) -> NDArray[_Number]:
        """The same part of an image, or of a depth image of another size."""
        y, x = values.shape[0] / camera.height, values.shape[1] / camera.width
        rows = slice(round(top * y), round((top + height) * y))
        return np.ascontiguousarray(values[rows, round(left * x) : round((left + width) * x)])

    return replace(
        frame,
        image=window(frame.image),
        camera=replace(camera, width=width, height=height, cx=camera.cx - left, cy=camera.cy - top),
        depth=None if frame.depth is None else window(frame.depth),
    )


def dimmed(frame: Frame, contrast: float, seed: int = 0) -> Frame:
    """In little light: ``contrast`` times the gray values, and the noise of a sensor."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(scale=8.0, size=frame.image.shape[:2]).astype(np.float32)
    noise = noise.reshape(noise.shape + (1,) * (frame.image.ndim - 2))
    dark = contrast * frame.image.astype(np.float32) + noise
    return replace(frame, image=np.clip(dark, 0, 255).astype(np.uint8))


def half_hidden(frame: Frame, share: float) -> Frame:
    """``share`` of the image's width shows the image's own reflection in place of the scene."""
    hidden = round(share * frame.camera.width)
    image = frame.image.copy()
    image[:, :hidden] = frame.image[:, ::-1][:, :hidden]
    return replace(frame, image=image)
