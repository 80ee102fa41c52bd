# SPDX-License-Identifier: Apache-2.0
"""What a pose is estimated from: pixels or camera points, the scene points they show, weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsac_core.geometry.camera import Camera


_BEYOND = 1e9  # px, metres: squares of such numbers overflow, and infinity times 0 is NaN


@dataclass(frozen=True)
class Correspondences:
    """2D-3D (Eq. 8) or 3D-3D (Eq. 11) correspondences of images; their origin does not matter.

    A weight of zero excludes a correspondence from sampling, scoring and refinement. Those with a
    coordinate that is not finite, or beyond any place, are excluded on construction; with camera
    points, so are those without depth.
    """

    pixels_BN2: torch.Tensor  # px from the principal point, undistorted
    points_BN3: torch.Tensor  # scene points, metres
    weights_BN: torch.Tensor  # >= 0
    focal_B2: torch.Tensor  # fx, fy, px
    camera_points_BN3: torch.Tensor | None = None  # measured, metres: the case RGB-D
    source_BN: torch.Tensor | None = None  # bool, which of two sources each has; None: all one

    @classmethod
    def of_image(
        cls,
        pixels_N2: torch.Tensor,
        points_N3: torch.Tensor,
        camera: Camera,
        weights_N: torch.Tensor | None = None,
        depth_N: torch.Tensor | None = None,
        source_N: torch.Tensor | None = None,
    ) -> Correspondences:
        """A batch of one image, from undistorted pixels of ``camera``.

        Args:
            pixels_N2: Where the points are seen, px.
            points_N3: Scene points, metres.
            camera: Its intrinsics; the distortion is taken out already.
            weights_N: Of each correspondence; by default one.
            depth_N: Measured along the optical axis, metres; 0, NaN and infinity are none.
            source_N: Bool, which of two sources each has: hypotheses are drawn from each, and from
                both.
        """
        principal = pixels_N2.new_tensor([camera.cx, camera.cy])
        focal = pixels_N2.new_tensor([camera.fx, camera.fy])
        weights = pixels_N2.new_ones(len(pixels_N2)) if weights_N is None else weights_N
        centred = pixels_N2 - principal
        camera_points = None
        if depth_N is not None:
            depth = depth_N.to(pixels_N2)[:, None]
            camera_points = torch.cat([centred / focal * depth, depth], dim=1)[None]
        return cls(
            centred[None],
            points_N3[None].to(pixels_N2.dtype),
            weights[None].to(pixels_N2.dtype),
            focal[None],
            camera_points,
            None if source_N is None else source_N[None],
        )

    def __post_init__(self) -> None:
        """Give what is not finite no weight, and harmless numbers in its place."""
        usable = (
            (self.pixels_BN2.abs() < _BEYOND).all(dim=-1)
            & (self.points_BN3.abs() < _BEYOND).all(dim=-1)
            & self.weights_BN.isfinite()
            & (self.weights_BN >= 0)
        )
        if self.camera_points_BN3 is not None:
            usable = usable & (self.camera_points_BN3.abs() < _BEYOND).all(dim=-1)
            usable = usable & (self.camera_points_BN3[..., 2] > 0)
        if usable.all():
            return
        zero = self.weights_BN.new_zeros(())
        object.__setattr__(self, "weights_BN", torch.where(usable, self.weights_BN, zero))
        for name in ("pixels_BN2", "points_BN3", "camera_points_BN3"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, torch.where(usable[..., None], values, zero))

    @property
    def count_B(self) -> torch.Tensor:
        """How many correspondences of each image take part."""
        return (self.weights_BN > 0).sum(dim=1)

    def extent(self, values_BND: torch.Tensor) -> torch.Tensor:
        """Side lengths [B x D] of the box around the values of what takes part."""
        out = (self.weights_BN <= 0)[..., None]
        high = values_BND.masked_fill(out, -torch.inf).amax(dim=1)
        low = values_BND.masked_fill(out, torch.inf).amin(dim=1)
        return (high - low).clamp_min(0.0)

    def to(self, target: torch.dtype | torch.device | str) -> Correspondences:
        """The same in another floating-point type or on another device."""
        moved = self._each(lambda values: values.to(target))
        source = moved.source_BN
        return moved if source is None else replace(moved, source_BN=source.bool())

    def subset(self, rows: torch.Tensor) -> Correspondences:
        """The correspondences at ``rows``, the same ones of each image."""
        camera_points = self.camera_points_BN3
        return Correspondences(
            self.pixels_BN2[:, rows],
            self.points_BN3[:, rows],
            self.weights_BN[:, rows],
            self.focal_B2,
            None if camera_points is None else camera_points[:, rows],
            None if self.source_BN is None else self.source_BN[:, rows],
        )

    def sets(self, rows_BSn: torch.Tensor) -> Correspondences:
        """Small sets of correspondences, by their rows, as a batch of B * S, image by image."""
        batch, count, _ = rows_BSn.shape
        image_S = torch.arange(batch, device=rows_BSn.device).repeat_interleave(count)
        image, rows_Sn = image_S[:, None], rows_BSn.flatten(0, 1)
        camera_points = self.camera_points_BN3
        return Correspondences(
            self.pixels_BN2[image, rows_Sn],
            self.points_BN3[image, rows_Sn],
            self.weights_BN[image, rows_Sn],
            self.focal_B2[image_S],
            None if camera_points is None else camera_points[image, rows_Sn],
            None if self.source_BN is None else self.source_BN[image, rows_Sn],
        )

    def pick(self, index_K: torch.Tensor) -> Correspondences:
        """The images or sets at ``index_K``."""
        return self._each(lambda values: values[index_K])

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Correspondences:
        given = vars(self).items()
        return Correspondences(**{name: change(each) for name, each in given if each is not None})
