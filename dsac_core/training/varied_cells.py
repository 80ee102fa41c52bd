# SPDX-License-Identifier: Apache-2.0
"""Cells of images as they would be from a turned camera, from nearer or farther, in other light.

The encoder's features change with all of these. A head that has seen the changes carries over to
views beside the walk, at the price of some precision near it: so a share of the images is varied.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.geometry.grid import STRIDE
from dsac_core.geometry.images import resize_to_focal_length
from dsac_core.geometry.pose import invert
from dsac_core.networks.row_lookup import rows_of
from dsac_core.training.augmentation import augmented
from dsac_core.training.posed_images import prepare

if TYPE_CHECKING:
    from dsac_core.data.frame import Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.image_encoder import ImageEncoder
    from dsac_core.training.cell_buffer import CellBuffer
    from dsac_core.training.fast_map_config import FastMapConfig


def add_varied_cells(
    frame: Frame,
    reference: Camera,
    cells: CellBuffer,
    most: int,
    config: FastMapConfig,
    encoder: ImageEncoder,
    generator: torch.Generator,
) -> None:
    """Add cells of one variation of a frame whose own cells were added last.

    Args:
        frame: With its depth, where that is to be learned from.
        reference: To whose focal length images are resized.
        cells: Where the cells go.
        most: Of the cells of one image.
        config: Says how far an image may be varied.
        encoder: Of the cells.
        generator: On the CPU, decides everything.
    """
    image, camera = resize_to_focal_length(frame.image, frame.camera, reference)
    posed = prepare(replace(frame, image=image, camera=camera), camera.height)
    device = next(encoder.parameters()).device
    view = augmented([posed], config.augmentation, generator, device)
    gray = view.gray_B1HW[0, 0]
    encoded = encoder(gray)
    height, width = gray.shape
    # The encoder's cells are whole; those of the view may reach beyond its lower and right edge.
    rows = torch.arange(height // STRIDE, device=device) * view.grid[1]
    places = (rows[:, None] + torch.arange(width // STRIDE, device=device)).flatten()
    usable = view.inside_BN[0, places] & (encoded.reliability_N >= config.min_reliability)
    kept = torch.nonzero(usable)[:, 0]
    if len(kept) > most:
        kept = kept[torch.randperm(len(kept), generator=generator)[:most].to(device)]
    focal = view.focal_B2[0].tolist()
    cam_T_world = np.vstack([view.cam_T_world_B34[0].double().cpu().numpy(), [0.0, 0.0, 0.0, 1.0]])
    cells.add_image(
        rows_of(encoded.features_NC, kept),
        view.pixels_BN2[0, places[kept]],
        None if frame.depth is None else view.depth_BN[0, places[kept]],
        replace(posed.camera, fx=focal[0], fy=focal[1], cx=0.0, cy=0.0),
        invert(cam_T_world),
        varied_from=cells.images - 1,
    )
