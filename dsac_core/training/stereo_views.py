# SPDX-License-Identifier: Apache-2.0
"""Images of a recording as cells with features, to be looked up where others' rays pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from dsac_core.geometry.grid import STRIDE
from dsac_core.geometry.neighbours import choose_neighbours
from dsac_core.networks.keypoint_detector import DESCRIPTOR_CHANNELS
from dsac_core.networks.row_lookup import rows_of

if TYPE_CHECKING:
    from dsac_core.training.cell_buffer import CellBuffer

_CELLS = 500  # at a time on a CPU: what is known of all their depths fits into its cache
_FULL = 0.5  # share of the lookup's places that hold a cell where places are as large as cells


class StereoViews:
    """Poses of all images, and where each has which cell."""

    def __init__(self, cells: CellBuffer) -> None:
        """Index the cells by where they are seen."""
        self.cells = cells
        self._images = [cells.image(number) for number in range(cells.images)]
        self.device = self._images[0].pixels_N2.device
        cam_T_world = torch.stack([image.cam_T_world_34 for image in self._images])
        self._rotation_M33 = cam_T_world[:, :, :3]
        self._translation_M3 = cam_T_world[:, :, 3]
        self._centre_M3 = -(self._rotation_M33.mT @ self._translation_M3[..., None])[..., 0]
        self._axis_M3 = self._rotation_M33[:, 2]
        self.taken = cells.taken
        self.varied = [n for n in range(cells.images) if cells.varied_from(n) is not None]
        pixels = torch.cat([self._images[number].pixels_N2 for number in self.taken])
        self._corner_2 = pixels.amin(dim=0)
        extent_2 = pixels.amax(dim=0) - self._corner_2
        area = float((extent_2 / STRIDE + 1.0).prod())
        counts = [len(self._images[number].pixels_N2) for number in self.taken]
        usual = float(torch.tensor(counts).median())
        self._pitch = STRIDE * max(1.0, math.sqrt(_FULL * area / max(usual, 1.0)))
        columns, rows = (int(side / self._pitch + 1.5) for side in extent_2.tolist())
        self._grid = (rows, columns)
        self._lookups = {n: self._lookup(self._images[n].pixels_N2) for n in self.taken}

    def _places(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The place in a lookup [...] of pixels; those outside are on its border."""
        rows, columns = self._grid
        left, top = self._corner_2
        column = ((x - left) / self._pitch).round_().clamp_(-1, columns)
        row = ((y - top) / self._pitch).round_().clamp_(-1, rows)
        place: torch.Tensor = row.add_(1).mul_(columns + 2).add_(column).add_(1)
        return place.long()

    def _lookup(self, pixels_N2: torch.Tensor) -> torch.Tensor:
        """Which cell is at each place, -1 for none, as on a border around all."""
        rows, columns = self._grid
        lookup = torch.full(((rows + 2) * (columns + 2),), -1, device=self.device)
        place = self._places(*pixels_N2.unbind(dim=-1))
        lookup[place] = torch.arange(len(pixels_N2), device=self.device)
        return lookup

    def focal_in_cells(self) -> float:
        """The focal length, in cells of the lookup."""
        return float(self._images[0].intrinsics_4[0]) / self._pitch

    def extent(self) -> float:
        """Diagonal of the box around the cameras, metres."""
        return float((self._centre_M3.amax(dim=0) - self._centre_M3.amin(dim=0)).norm())

    def smallest_step(self) -> float:
        """A baseline, metres, that is short even from one image to the next."""
        centres = self._centre_M3[self.taken]
        steps = (centres[1:] - centres[:-1]).norm(dim=1)
        return max(float(steps.median()), 1e-3 * self.extent()) if len(steps) else math.inf

    def neighbours(self, image: int, baseline: float, count: int) -> list[int]:
        """Images that look the same way from about ``baseline`` metres beside, on various sides."""
        varied = torch.tensor(self.varied, dtype=torch.long, device=self.device)
        return choose_neighbours(
            self._centre_M3,
            self._axis_M3,
            image,
            baseline=baseline,
            count=count,
            without=varied,
        )

    def similarity(
        self,
        image: int,
        neighbours: list[int],
        sought_N: torch.Tensor,
        inverse_depth_S: torch.Tensor,
    ) -> torch.Tensor:
        """How alike cells are to what other images show at each depth.

        Args:
            image: Whose cells.
            neighbours: The other images.
            sought_N: Which of its cells.
            inverse_depth_S: Along the optical axis, 1/m.

        Returns:
            Mean cosine [N x S] over the neighbours that show the place; -1 where fewer than two do.
        """
        own = self._images[image]
        sought_N = sought_N.to(self.device)
        inverse_S = inverse_depth_S.to(self.device)
        focal, principal = own.intrinsics_4[:2], own.intrinsics_4[2:]
        ray = functional.pad((own.pixels_N2[sought_N] - principal) / focal, (0, 1), value=1.0)
        feature = rows_of(self._descriptors(image), sought_N)
        total = torch.zeros(len(sought_N), len(inverse_S), device=self.device)
        seen = torch.zeros_like(total)
        block = _CELLS if self.device.type == "cpu" else max(1, len(sought_N))
        for other in neighbours:
            turn = self._rotation_M33[other] @ self._rotation_M33[image].T
            shift = self._translation_M3[other] - turn @ self._translation_M3[image]
            turned_3N, along_3S = turn @ ray.T, shift[:, None] * inverse_S
            there = self._descriptors(other)
            for start in range(0, len(sought_N), block):
                rows = slice(start, start + block)
                points = turned_3N[:, rows, None] + along_3S[:, None]  # times inverse depth
                cell, known = self._cells_at(other, points)
                alike = torch.einsum("nsc,nc->ns", rows_of(there, cell), feature[rows])
                total[rows] += torch.where(known, alike.float(), 0.0)
                seen[rows] += known
        return torch.where(seen >= 2, total / seen.clamp_min(1.0), -1.0)

    def _cells_at(self, image: int, points_3: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The cell [...] that shows each point of camera space [3 x ...], and whether one does."""
        x, y, z = points_3
        fx, fy, cx, cy = self._images[image].intrinsics_4
        away = z.clamp_min(1e-6)
        place = self._places((x / away) * fx + cx, (y / away) * fy + cy)
        cell = self._lookups[image][place]
        return cell.clamp_min(0), (cell >= 0) & (z > 1e-6)

    def depth_from_source(self, image: int) -> torch.Tensor:
        """Depth [N] of the cells of a varied image, from that of its source; 0 for none."""
        source = self.cells.varied_from(image)
        assert source is not None
        own, other = self._images[image], self.cells.image(source)
        focal = own.intrinsics_4[:2]
        ray = functional.pad((own.pixels_N2 - own.intrinsics_4[2:]) / focal, (0, 1), value=1.0)
        ray = ray @ (self._rotation_M33[source] @ self._rotation_M33[image].T).T
        away = ray[:, 2:].clamp_min(1e-6)
        pixels = ray[:, :2] / away * other.intrinsics_4[:2] + other.intrinsics_4[2:]
        cell = self._lookups[source][self._places(*pixels.unbind(dim=-1))]
        depth = other.depth_N[cell.clamp_min(0)] / away[:, 0]
        return torch.where((cell >= 0) & (depth > 0), depth, 0.0)

    def _descriptors(self, image: int) -> torch.Tensor:
        """Unit vectors [N x 64], in bfloat16 where the features are, else in float32."""
        features = self._images[image].features_NC[:, :DESCRIPTOR_CHANNELS]
        unit = functional.normalize(features.float(), dim=1)
        return unit.to(torch.bfloat16) if features.dtype == torch.bfloat16 else unit
