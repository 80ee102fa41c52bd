# SPDX-License-Identifier: Apache-2.0
"""Random batches of cells, and scene points of every kind predicted for them."""

from __future__ import annotations

import numpy as np
import torch
from posed import camera_pose, pixel_grid

from dsac_core.geometry.pose import invert
from dsac_core.training.augmentation import ImageBatch


def cell_batch(
    images: int = 2, grid: tuple[int, int] = (12, 16), seed: int = 0, unknown: float = 0.0
) -> ImageBatch:
    """Cells of random depth 1-4 m in images with poses of their own, in double precision.

    A share ``unknown`` of them has no depth, and another has none because it is outside.
    """
    rng = np.random.default_rng(seed)
    count = grid[0] * grid[1]
    focal = np.array([[310.0, 290.0], [280.0, 330.0]])[np.arange(images) % 2]
    pixels = 8.0 * pixel_grid(grid[1], grid[0]) + 3.5 - [61.0, 47.0]
    poses = np.stack([invert(camera_pose(seed + image))[:3] for image in range(images)])
    depth = rng.uniform(1, 4, (images, count))
    depth[rng.random(depth.shape) < unknown] = 0.0
    inside = rng.random(depth.shape) >= unknown
    return ImageBatch(
        torch.from_numpy(rng.normal(size=(images, 1, 8 * grid[0], 8 * grid[1]))).float(),
        torch.from_numpy(np.stack([pixels] * images)),
        torch.from_numpy(inside),
        torch.from_numpy(depth * inside),
        torch.from_numpy(focal),
        torch.from_numpy(poses),
        grid,
    )


def image_of(batch: ImageBatch, index: int) -> ImageBatch:
    """One image of a batch as a batch."""
    one = {
        name: values[index : index + 1]
        for name, values in vars(batch).items()
        if isinstance(values, torch.Tensor)
    }
    return ImageBatch(**one, grid=batch.grid)


def rays(batch: ImageBatch) -> torch.Tensor:
    """Camera points of depth one [B x N x 3]."""
    return batch.camera_points_at(torch.ones_like(batch.depth_BN))


def to_world(batch: ImageBatch, in_camera_BN3: torch.Tensor) -> torch.Tensor:
    moved = []
    for index, pose in enumerate(batch.cam_T_world_B34.numpy()):
        cam_T_world = np.eye(4)
        cam_T_world[:3] = pose
        back = invert(cam_T_world)
        moved.append(in_camera_BN3[index].numpy() @ back[:3, :3].T + back[:3, 3])
    return torch.from_numpy(np.stack(moved))


def predictions(batch: ImageBatch, seed: int = 0) -> torch.Tensor:
    """Scene points of every kind, shuffled: nearly true, near, far, behind, beyond, off."""
    rng = np.random.default_rng(seed)
    depth = np.where(batch.known_BN.numpy(), batch.depth_BN.numpy(), rng.uniform(1, 4))
    kind = rng.integers(0, 8, depth.shape)
    size = np.choose(kind, [0.01, 0.04, 0.3, 0.3, 1.5, 40.0, 0.01, 0.02])
    depth = np.choose(kind, [depth, depth, depth, -depth, depth, depth, 3000.0, 0.06])
    points = rays(batch).numpy() * depth[..., None]
    points += size[..., None] * rng.normal(size=points.shape)
    # At 98 % and 102 % of the distance that counts, along the ray: no reprojection error.
    at_limit = rng.random(depth.shape) < 0.15
    stretched = np.where(rng.random(depth.shape) < 0.5, 0.098, 0.102)
    unit = rays(batch).numpy() / np.linalg.norm(rays(batch).numpy(), axis=-1, keepdims=True)
    shifted = rays(batch).numpy() * batch.depth_BN.numpy()[..., None] + unit * stretched[..., None]
    chosen = (at_limit & batch.known_BN.numpy())[..., None]
    return to_world(batch, torch.from_numpy(np.where(chosen, shifted, points)))


def straight(points: list[list[float]], depth: list[float]) -> tuple[torch.Tensor, ImageBatch]:
    """Cells at the principal point of a camera at the origin, whose numbers are exact."""
    count = len(points)
    batch = ImageBatch(
        torch.zeros(1, 1, 8, 8 * count),
        torch.zeros(1, count, 2).double(),
        torch.ones(1, count, dtype=torch.bool),
        torch.tensor([depth]).double(),
        torch.tensor([[512.0, 256.0]]).double(),
        torch.eye(3, 4).double()[None],
        (1, count),
    )
    return torch.tensor([points]).double(), batch
