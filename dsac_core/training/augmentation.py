# SPDX-License-Identifier: Apache-2.0
"""Training images turned, scaled, made brighter or darker; camera, pose and depth follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from dsac_core.errors import ConfigError
from dsac_core.geometry.grid import cell_centres
from dsac_core.geometry.pose import invert
from dsac_core.networks.coordinate_network import normalise_gray, output_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsac_core.training.posed_images import PosedImage


@dataclass(frozen=True)
class AugmentationConfig:
    """How much images vary, with the values of DSAC* (section 6.1)."""

    rotation_deg: float = 30.0  # about the optical axis, either way
    scale_min: float = 2 / 3  # of the image size
    scale_max: float = 3 / 2
    brightness: float = 0.1  # a factor of 1 plus or minus so much
    contrast: float = 0.1

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        if not 0 <= self.rotation_deg <= 180:
            msg = f"augmentation.rotation_deg must be in [0, 180], got {self.rotation_deg}"
            raise ConfigError(msg)
        if not 0 < self.scale_min <= self.scale_max:
            msg = f"augmentation: scales must grow, got {self.scale_min} to {self.scale_max}"
            raise ConfigError(msg)
        for name in ("brightness", "contrast"):
            if not 0 <= getattr(self, name) < 1:
                msg = f"augmentation.{name} must be in [0, 1), got {getattr(self, name)}"
                raise ConfigError(msg)


PHOTOMETRIC = AugmentationConfig(rotation_deg=0.0, scale_min=1.0, scale_max=1.0)
NO_AUGMENTATION = AugmentationConfig(0.0, 1.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class ImageBatch:
    """Images of one size, and what is known of each cell of a network's output on them."""

    gray_B1HW: torch.Tensor  # normalised
    pixels_BN2: torch.Tensor  # centres of the cells, px from the principal point
    inside_BN: torch.Tensor  # bool: the cell's centre shows the scene, not a filled border
    depth_BN: torch.Tensor  # metres along z, 0 where unknown or outside
    focal_B2: torch.Tensor  # fx, fy, px
    cam_T_world_B34: torch.Tensor
    grid: tuple[int, int]  # rows and columns of the cells

    @property
    def known_BN(self) -> torch.Tensor:
        """Where the true scene coordinate is known."""
        return self.depth_BN > 0

    def points_at(self, depth_BN: torch.Tensor) -> torch.Tensor:
        """Scene points [B x N x 3] on the cells' rays, ``depth_BN`` metres along the axis."""
        camera_points = self.camera_points_at(depth_BN)
        rotation, translation = self.cam_T_world_B34[..., :3], self.cam_T_world_B34[..., 3]
        return (camera_points - translation[:, None]) @ rotation

    def camera_points_at(self, depth_BN: torch.Tensor) -> torch.Tensor:
        """The same in the camera's frame."""
        planar = self.pixels_BN2 / self.focal_B2[:, None] * depth_BN[..., None]
        return torch.cat([planar, depth_BN[..., None]], dim=-1)


def augmented(
    images: Sequence[PosedImage],
    config: AugmentationConfig,
    generator: torch.Generator,
    device: torch.device,
) -> ImageBatch:
    """Draw a version of each image; all come in one size, with one scale.

    Turning an image about its principal point is what rolling the camera does, also where fx and
    fy differ: p' = K' R K^-1 p. What such a view shows beyond the image is gray and not inside.

    Args:
        images: Of the batch.
        config: How far to go.
        generator: On the CPU, decides everything.
        device: Where the batch is to be.
    """
    chance = torch.rand(1 + 3 * len(images), generator=generator).tolist()
    scale = config.scale_min + chance.pop() * (config.scale_max - config.scale_min)
    height = max(8, round(scale * max(image.camera.height for image in images)))
    width = max(8, round(scale * max(image.camera.width for image in images)))
    centres = cell_centres(*output_grid(height, width)).to(device)
    views = [
        _view(image, (height, width), scale, centres, chance[3 * i : 3 * i + 3], config)
        for i, image in enumerate(images)
    ]
    gray, pixels, inside, depth, focal, poses = map(torch.stack, zip(*views, strict=True))
    return ImageBatch(gray, pixels, inside, depth, focal, poses, output_grid(height, width))


def _view(
    image: PosedImage,
    size: tuple[int, int],
    scale: float,
    centres_N2: torch.Tensor,
    chance: list[float],
    config: AugmentationConfig,
) -> tuple[torch.Tensor, ...]:
    """One image, in the order of the fields of `ImageBatch`."""
    device = centres_N2.device
    angle, brightness, contrast = (2.0 * each - 1.0 for each in chance)
    angle = math.radians(config.rotation_deg) * angle
    before = image.camera
    after = before.scaled(max(1, round(before.width * scale)), max(1, round(before.height * scale)))
    roll = np.eye(4)
    roll[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    # Where a pixel of the new image comes from: affine, for a roll leaves the optical axis.
    source = before.matrix @ roll[:3, :3].T @ np.linalg.inv(after.matrix)
    source_23 = torch.from_numpy(source[:2]).float().to(device)
    gray = normalise_gray(image.gray_HW.to(device))
    gray = _exposed(gray, 1.0 + config.brightness * brightness, 1.0 + config.contrast * contrast)
    unmoved = tuple(gray.shape) == size and np.allclose(source, np.eye(3), rtol=0.0, atol=1e-9)
    gray = gray[None] if unmoved else _sampled(gray, source_23, size)
    at_N2 = centres_N2 @ source_23[:, :2].T + source_23[:, 2]
    inside = (at_N2 > -0.5).all(dim=1)
    inside &= (at_N2[:, 0] < before.width - 0.5) & (at_N2[:, 1] < before.height - 0.5)
    column = at_N2[:, 0].round().long().clamp(0, before.width - 1)
    row = at_N2[:, 1].round().long().clamp(0, before.height - 1)
    if image.seen_HW is not None:
        inside &= image.seen_HW.to(device)[row, column]
    depth = torch.zeros(len(centres_N2), device=device)
    if image.depth_HW is not None:
        depth = image.depth_HW.to(device)[row, column].float() * inside
    principal = torch.tensor([after.cx, after.cy], device=device)
    focal = torch.tensor([after.fx, after.fy], device=device)
    cam_T_world = torch.from_numpy((roll @ invert(image.world_T_cam))[:3]).float().to(device)
    return gray, centres_N2 - principal, inside, depth, focal, cam_T_world


def _sampled(gray_HW: torch.Tensor, source_23: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The normalised image [1 x H' x W'] at ``source_23 @ (x, y, 1)``; zero, a gray, beyond it."""
    pixels = cell_centres(*size, stride=1).to(gray_HW.device)
    at = pixels @ source_23[:, :2].T + source_23[:, 2]
    extent = at.new_tensor([gray_HW.shape[1], gray_HW.shape[0]])
    grid = ((2.0 * at + 1.0) / extent - 1.0).view(1, *size, 2)
    image = gray_HW[None, None]
    return functional.grid_sample(image, grid, padding_mode="zeros", align_corners=False)[0]


def _exposed(gray_HW: torch.Tensor, brightness: float, contrast: float) -> torch.Tensor:
    """Normalised gray values with other brightness and contrast, within what an image can say."""
    if brightness == contrast == 1.0:
        return gray_HW
    black, white = normalise_gray(torch.tensor([0.0, 255.0])).tolist()
    brighter = (gray_HW - black) * brightness + black
    mean = brighter.mean()
    exposed: torch.Tensor = ((brighter - mean) * contrast + mean).clamp(black, white)
    return exposed
