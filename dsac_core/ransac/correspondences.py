# SPDX-License-Identifier: Apache-2.0
"""What a pose is estimated from: pixels, the scene points that they show, and their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from dsac_core.geometry.camera import Camera


_BEYOND = 1e9  # px, metres: squares of such numbers overflow, and infinity times 0 is NaN


@dataclass(frozen=True)
class Correspondences:
    """2D-3D correspondences of a batch of images (Eq. 8); where they come from does not matter.

    A weight of zero excludes a correspondence from sampling, scoring and refinement. Those with a
    coordinate that is not finite, or beyond any place, are excluded on construction.
    """

    pixels_BN2: torch.Tensor  # px from the principal point, undistorted
    points_BN3: torch.Tensor  # scene points, metres
    weights_BN: torch.Tensor  # >= 0
    focal_B2: torch.Tensor  # fx, fy, px

    @classmethod
    def of_image(
        cls,
        pixels_N2: torch.Tensor,
        points_N3: torch.Tensor,
        camera: Camera,
        weights_N: torch.Tensor | None = None,
    ) -> Correspondences:
        """A batch of one image, from undistorted pixels of ``camera``."""
        principal = pixels_N2.new_tensor([camera.cx, camera.cy])
        weights = pixels_N2.new_ones(len(pixels_N2)) if weights_N is None else weights_N
        return cls(
            (pixels_N2 - principal)[None],
            points_N3[None].to(pixels_N2.dtype),
            weights[None].to(pixels_N2.dtype),
            pixels_N2.new_tensor([[camera.fx, camera.fy]]),
        )

    def __post_init__(self) -> None:
        """Give what is not finite no weight, and harmless numbers in its place."""
        usable = (
            (self.pixels_BN2.abs() < _BEYOND).all(dim=-1)
            & (self.points_BN3.abs() < _BEYOND).all(dim=-1)
            & self.weights_BN.isfinite()
            & (self.weights_BN >= 0)
        )
        if not usable.all():
            zero = self.weights_BN.new_zeros(())
            object.__setattr__(self, "weights_BN", torch.where(usable, self.weights_BN, zero))
            mask = usable[..., None]
            object.__setattr__(self, "pixels_BN2", torch.where(mask, self.pixels_BN2, zero))
            object.__setattr__(self, "points_BN3", torch.where(mask, self.points_BN3, zero))

    @property
    def count_B(self) -> torch.Tensor:
        """How many correspondences of each image take part."""
        return (self.weights_BN > 0).sum(dim=1)

    def subset(self, rows: torch.Tensor) -> Correspondences:
        """The correspondences at ``rows``, the same ones of each image."""
        return Correspondences(
            self.pixels_BN2[:, rows],
            self.points_BN3[:, rows],
            self.weights_BN[:, rows],
            self.focal_B2,
        )
