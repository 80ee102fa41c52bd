# SPDX-License-Identifier: Apache-2.0
"""Every training cell of a recording, in memory, ready to be drawn in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from dsac_core.geometry.pose import invert
from dsac_core.networks.row_lookup import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera


MEASURED_DEPTH_TOLERANCE = 0.1  # of a depth sensor, as a share of the depth


class CellBatch(NamedTuple):
    """Cells with the geometry of the image that each comes from."""

    features_BC: torch.Tensor
    pixels_B2: torch.Tensor  # in the ideal pinhole image
    depth_B: torch.Tensor  # metres, 0 where unknown
    depth_tolerance_B: torch.Tensor  # as a share of the depth: how exact it is
    intrinsics_B4: torch.Tensor  # fx, fy, cx, cy
    cam_T_world_B34: torch.Tensor


class ImageCells(NamedTuple):
    """The cells of one image."""

    features_NC: torch.Tensor
    pixels_N2: torch.Tensor
    depth_N: torch.Tensor
    depth_tolerance_N: torch.Tensor
    intrinsics_4: torch.Tensor
    cam_T_world_34: torch.Tensor


@dataclass(frozen=True)
class _Image:
    rows: slice
    varied_from: int | None
    intrinsics_4: torch.Tensor
    cam_T_world_34: torch.Tensor


class CellBuffer:
    """Features in half precision and their pixels; poses and intrinsics once per image."""

    def __init__(
        self, capacity: int, channels: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        """Reserve room for ``capacity`` cells at once: memory does not grow with the recording."""
        self._features = torch.empty(capacity, channels, dtype=dtype, device=device)
        self._pixels = torch.empty(capacity, 2, device=device)
        self._depth = torch.zeros(capacity, device=device)
        self._depth_tolerance = torch.zeros(capacity, dtype=torch.float16, device=device)
        self._image_of = torch.empty(capacity, dtype=torch.int32, device=device)
        self._images: list[_Image] = []
        self._geometry: tuple[torch.Tensor, torch.Tensor] | None = None
        self._taken: torch.Tensor | None = None  # rows of images that were taken
        self.size = 0

    @property
    def capacity(self) -> int:
        """How many cells fit."""
        return len(self._pixels)

    @property
    def images(self) -> int:
        """How many images the cells are from."""
        return len(self._images)

    def varied_from(self, number: int) -> int | None:
        """The image that an image was made of; None for one that was taken."""
        return self._images[number].varied_from

    def image(self, number: int) -> ImageCells:
        """The cells of an image, in the order in which they were added."""
        image = self._images[number]
        return ImageCells(
            self._features[image.rows],
            self._pixels[image.rows],
            self._depth[image.rows],
            self._depth_tolerance[image.rows].float(),
            image.intrinsics_4.to(self._pixels),
            image.cam_T_world_34.to(self._pixels),
        )

    def set_depth(
        self, number: int, cells_K: torch.Tensor, depth_K: torch.Tensor, tolerance: float
    ) -> None:
        """Say how deep some cells of an image are, metres, and how exact that is, as a share."""
        rows = self._images[number].rows.start + cells_K.to(self._depth.device)
        self._depth[rows] = depth_K.to(self._depth)
        self._depth_tolerance[rows] = tolerance

    @property
    def taken(self) -> list[int]:
        """Numbers of the images that were taken, not varied from another one."""
        return [n for n, image in enumerate(self._images) if image.varied_from is None]

    def scale_depth(self, factor: float) -> None:
        """Multiply all depths that are there by now."""
        self._depth[: self.size] *= factor

    def add_image(
        self,
        features_NC: torch.Tensor,
        pixels_N2: torch.Tensor,
        depth_N: torch.Tensor | None,
        camera: Camera,
        world_T_cam: NDArray[np.float64],
        varied_from: int | None = None,
    ) -> None:
        """Add cells of one image; what does not fit is left out.

        An image that is ``varied_from`` another one shows the same, from the same place.
        """
        kept = min(len(features_NC), self.capacity - self.size)
        rows = slice(self.size, self.size + kept)
        self._features[rows] = features_NC[:kept].to(self._features.dtype)
        self._pixels[rows] = pixels_N2[:kept]
        if depth_N is not None:
            self._depth[rows] = depth_N[:kept]
            self._depth_tolerance[rows] = MEASURED_DEPTH_TOLERANCE
        self._image_of[rows] = len(self._images)
        intrinsics = torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy])
        cam_T_world = torch.from_numpy(invert(world_T_cam)[:3]).float()
        self._images.append(_Image(rows, varied_from, intrinsics, cam_T_world))
        self._geometry = self._taken = None
        self.size += kept

    def feature_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation [C] of the features, over at most 200 000 cells."""
        step = max(1, self.size // 200_000)
        sample = self._features[: self.size : step].float()
        return sample.mean(dim=0), sample.std(dim=0).clamp_min(1e-4)

    def draw(self, size: int, generator: torch.Generator, *, varied: bool = True) -> CellBatch:
        """``size`` cells, uniformly and with replacement; the generator lives on the CPU.

        Without ``varied``, only of images that were taken.
        """
        if varied:
            return self._at(torch.randint(self.size, (size,), generator=generator))
        if self._taken is None:
            taken = [image.rows for image in self._images if image.varied_from is None]
            self._taken = torch.cat([torch.arange(rows.start, rows.stop) for rows in taken])
        return self._at(self._taken[torch.randint(len(self._taken), (size,), generator=generator)])

    def draw_from(self, numbers: Sequence[int], size: int, generator: torch.Generator) -> CellBatch:
        """``size`` cells of each of some images, image by image; the generator lives on the CPU.

        No cell comes twice, unless the image has fewer. An image must have one at least.
        """
        drawn = []
        for number in numbers:
            rows = self._images[number].rows
            count = rows.stop - rows.start
            if count < size:
                drawn.append(rows.start + torch.randint(count, (size,), generator=generator))
            else:
                drawn.append(rows.start + torch.randperm(count, generator=generator)[:size])
        return self._at(torch.cat(drawn))

    def _at(self, rows: torch.Tensor) -> CellBatch:
        if self._geometry is None:
            self._geometry = (
                torch.stack([image.intrinsics_4 for image in self._images]).to(self._pixels),
                torch.stack([image.cam_T_world_34 for image in self._images]).to(self._pixels),
            )
        intrinsics, cam_T_world = self._geometry
        rows = rows.to(self._pixels.device)
        image = self._image_of[rows].long()
        return CellBatch(
            rows_of(self._features, rows),
            self._pixels[rows],
            self._depth[rows],
            self._depth_tolerance[rows].float(),
            intrinsics[image],
            cam_T_world[image],
        )
