# SPDX-License-Identifier: Apache-2.0
"""A recording of image files with a pose each: what most layouts on a disk come down to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.data.frame import ALL
from dsac_core.data.register_depth import register_depth
from dsac_core.data.stored_frame import StoredDepth, StoredFrame, StoredImage
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_NO_READING = 65535  # of 16 bit depth, beside 0


@dataclass(frozen=True)
class DepthFile:
    """Depth in a file, of any size: registered to the image, or of a camera in the same place."""

    file: Path  # an image of 16 bit or of 32 bit floats
    unit: float = 1e-3  # metres, of a value of one
    camera: Camera | None = None  # that measured it, None where it is registered


@dataclass(frozen=True)
class PosedFile:
    """One image, not yet read."""

    name: str  # unique within the recording
    stamp: float  # seconds
    file: Path
    camera: Camera
    world_T_cam: NDArray[np.float64]  # 4 x 4, optical frame
    depth: DepthFile | None = None


class PosedFiles:
    """A `Dataset` of image files; a reader of a layout makes the lists."""

    def __init__(self, name: str, kind: str, splits: Mapping[str, Sequence[PosedFile]]) -> None:
        """Take the frames of each split, in order.

        Args:
            name: Of the recording.
            kind: What it is, in words: such as "TUM RGB-D".
            splits: Frames by split; one split alone is called ``all``.

        Raises:
            DatasetError: There are no frames at all.
        """
        self.name, self.kind = name, kind
        self._splits = {split: list(files) for split, files in splits.items() if files}
        if not self._splits:
            msg = f"{name} was taken for {kind}, but has no image with a pose"
            raise DatasetError(msg)

    def splits(self) -> tuple[str, ...]:
        """Those that have frames."""
        return tuple(self._splits)

    def count(self, split: str) -> int:
        """How many frames the split has."""
        return len(self._of(split))

    def poses(self, split: str) -> NDArray[np.float64]:
        """world_T_cam of each frame [N x 4 x 4]; no image is read for it."""
        return np.array([posed.world_T_cam for posed in self._of(split)])

    def has_depth(self) -> bool:
        """Whether any frame has it."""
        return any(posed.depth is not None for files in self._splits.values() for posed in files)

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[StoredFrame]:
        """See ``Dataset.frames``."""
        for index, posed in enumerate(self._of(split)):
            if indices is None or index in indices:
                yield _read(posed, with_depth=with_depth)

    def _of(self, split: str) -> list[PosedFile]:
        if split == ALL and ALL not in self._splits:
            return [posed for files in self._splits.values() for posed in files]
        if split not in self._splits:
            msg = f"{self.name} has no split '{split}', it has: {', '.join(self._splits)}"
            raise DatasetError(msg)
        return self._splits[split]


def image_size(file: Path) -> tuple[int, int]:
    """Width and height of an image file; all of it is read.

    Raises:
        DatasetError: It is not a readable image.
    """
    height, width = read_image(file).shape[:2]
    return width, height


def _read(posed: PosedFile, *, with_depth: bool) -> StoredFrame:
    image, camera = read_image(posed.file), posed.camera
    height, width = image.shape[:2]
    if (width, height) != (camera.width, camera.height):
        msg = (
            f"{posed.file} is {width}x{height}, its calibration is for"
            f" {camera.width}x{camera.height}: calibrate for this size, or resize the images"
        )
        raise DatasetError(msg)
    depth, stored_depth = None, None
    if with_depth and posed.depth is not None:
        depth = read_depth(posed.depth, camera)
        if posed.depth.camera is None:
            stored_depth = StoredDepth(posed.depth.file, posed.depth.unit)
    return StoredFrame(
        *(posed.name, posed.stamp, image, camera, posed.world_T_cam, depth),
        stored=StoredImage(posed.file.suffix, posed.file),
        stored_depth=stored_depth,
    )


def read_image(file: Path) -> NDArray[np.uint8]:
    """RGB pixels [H x W x 3], as they are stored, whatever orientation EXIF asks for.

    Raises:
        DatasetError: It is not a readable image.
    """
    image = cv2.imread(str(file), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        state = "is not a readable image" if file.is_file() else "is missing"
        msg = f"{file} {state}: replace it, or remove it from the list of images"
        raise DatasetError(msg)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_depth(depth: DepthFile, image_camera: Camera) -> NDArray[np.float32]:
    """Depth [H x W] in metres, registered to the image; 0 is none.

    Raises:
        DatasetError: It is not a readable image of depth.
    """
    values = cv2.imread(str(depth.file), cv2.IMREAD_UNCHANGED)
    if values is None and not depth.file.is_file():
        msg = f"{depth.file} is missing: restore it, or remove it from the list of depth images"
        raise DatasetError(msg)
    if values is None or values.ndim != 2 or values.dtype not in (np.uint16, np.float32):
        msg = f"{depth.file} is not a depth image of 16 bit or 32 bit floats: replace or remove it"
        raise DatasetError(msg)
    metres = values.astype(np.float32) * np.float32(depth.unit)
    there = np.isfinite(metres) & (metres > 0)
    if values.dtype == np.uint16:
        there &= values != _NO_READING
    measured: NDArray[np.float32] = np.where(there, metres, np.float32(0.0))
    if depth.camera is None:
        return measured
    height, width = measured.shape
    if (width, height) != (depth.camera.width, depth.camera.height):
        msg = (
            f"{depth.file} is {width}x{height}, its calibration is for"
            f" {depth.camera.width}x{depth.camera.height}: correct the calibration of depth"
        )
        raise DatasetError(msg)
    # In as many pixels as there are readings: in more of them there would be holes.
    return register_depth(measured, depth.camera, image_camera.scaled(width, height), np.eye(4))
