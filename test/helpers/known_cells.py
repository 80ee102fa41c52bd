# SPDX-License-Identifier: Apache-2.0
"""Cells of a bumpy scene, and a head that knows where they are, or nearly."""

from __future__ import annotations

import numpy as np
import torch
from stand_in import CAMERA, depth_along, planar, pose_near

from dsac_core.geometry.grid import cell_centres
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.ransac.config import RansacConfig
from dsac_core.training.cell_buffer import CellBuffer
from dsac_core.training.encoded_views import EncodedView
from dsac_core.training.finetune_steps import FinetuneConfig

LENS = CAMERA.scaled(256, 192)
QUICK = FinetuneConfig(
    images=2,
    cells=200,
    hidden_learning_rate=0.003,
    learning_rate=1e-3,
    warmup_iterations=5,
    ransac=RansacConfig(hypotheses=8),
)


def scene_cells(seed: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Scene points in the frame of the bumpy scene, their pixels, and the camera's pose."""
    pixels = cell_centres(24, 32)
    rays = planar(LENS, pixels.double().numpy())
    depth = depth_along(LENS, pixels.double().numpy())[:, None]
    world_T_cam = pose_near(seed)
    in_camera = np.hstack([rays * depth, depth])
    world = in_camera @ world_T_cam[:3, :3].T + world_T_cam[:3, 3]
    return torch.from_numpy(world).float(), pixels, world_T_cam


class Knowing(CoordinateHead):
    """Its features are scene points, which its last layer moves: at first, by ``off`` metres."""

    def __init__(self, off: float = 0.0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(HeadConfig(in_channels=3, width=8, blocks=1))
        self.shift = torch.nn.Parameter(torch.tensor([off, 0.0, 0.0]))
        self.turn = torch.nn.Parameter(torch.eye(3))

    def forward(self, features_NC: torch.Tensor) -> torch.Tensor:
        return features_NC.float() @ self.turn + self.shift


def known_buffer(images: int = 4, spoiled: int | None = None) -> CellBuffer:
    """Each image is a camera's of its own before a scene of its own; the features are points."""
    cells = CellBuffer(768 * images, 3, torch.float32, torch.device("cpu"))
    for number in range(images):
        points, pixels, pose = scene_cells(number)
        if number == spoiled:
            points = points.clone()
            points[::7] = torch.nan
        cells.add_image(points, pixels, None, LENS, pose)
    return cells


def known_views(images: int = 3) -> list[EncodedView]:
    """Others, as if they had been held out."""
    held_out = []
    for number in range(images):
        points, pixels, pose = scene_cells(100 + number)
        held_out.append(EncodedView(points, pixels, LENS, pose))
    return held_out
