# SPDX-License-Identifier: Apache-2.0
"""Varied images: their cells must be seen where the varied camera sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_in import CAMERA

from dsac_core.data.frame import Frame
from dsac_core.geometry.images import to_gray
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.training.augmentation import AugmentationConfig
from dsac_core.training.cell_buffer import CellBuffer
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.varied_cells import add_varied_cells

CPU = torch.device("cpu")
WIDE = replace(CAMERA, width=160, height=128, fx=140.0, fy=138.0, cx=78.0, cy=66.0)
STILL = AugmentationConfig(0.0, 1.0, 1.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return ImageEncoder(CPU, torch.float32)


def frame() -> Frame:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((8, 8, 1), dtype=np.uint8))
    pose = np.eye(4)
    pose[:3, 3] = [1.0, -2.0, 0.5]
    depth = np.full((128, 160), 2.0, dtype=np.float32)
    return Frame("", 0.0, image, WIDE, pose, depth)


def varied(
    encoder: ImageEncoder, augmentation: AugmentationConfig, most: int = 10_000, seed: int = 0
) -> CellBuffer:
    cells = CellBuffer(2000, 128, torch.float32, CPU)
    cells.add_image(torch.zeros(1, 128), torch.zeros(1, 2), None, WIDE, np.eye(4))
    config = FastMapConfig(min_reliability=0.0, augmentation=augmentation)
    generator = torch.Generator().manual_seed(seed)
    add_varied_cells(frame(), WIDE, cells, most, config, encoder, generator)
    return cells


def test_a_variation_by_nothing_has_the_cells_of_the_image(encoder: ImageEncoder) -> None:
    cells = varied(encoder, STILL)
    encoded = encoder(torch.from_numpy(to_gray(frame().image)))
    image = cells.image(1)
    assert torch.allclose(image.features_NC, encoded.features_NC, atol=1e-4)
    principal = torch.tensor([WIDE.cx, WIDE.cy])
    assert torch.allclose(image.pixels_N2, encoded.pixels_N2 - principal)
    assert image.intrinsics_4.tolist() == pytest.approx([140.0, 138.0, 0.0, 0.0])
    assert (image.depth_N == 2.0).all()
    assert cells.varied_from(1) == 0
    assert cells.varied_from(0) is None


def test_a_scene_point_is_seen_where_the_turned_and_scaled_camera_sees_it(
    encoder: ImageEncoder,
) -> None:
    """On a wall two metres away, the varied cells must see the piece that the image has there."""
    image = varied(encoder, AugmentationConfig(30.0, 1.3, 1.4, 0.0, 0.0), seed=4).image(1)
    focal = image.intrinsics_4[:2]
    assert 1.3 * 138 < float(focal[1]) < 1.4 * 138.5
    in_camera = torch.cat([image.pixels_N2 / focal, torch.ones(len(image.pixels_N2), 1)], 1) * 2.0
    rotation, translation = image.cam_T_world_34[:, :3], image.cam_T_world_34[:, 3]
    world = (in_camera - translation) @ rotation
    seen = (world - torch.tensor([1.0, -2.0, 0.5])).numpy()
    assert np.allclose(seen[:, 2], 2.0, atol=1e-4)
    column = seen[:, 0] / 2.0 * WIDE.fx + WIDE.cx
    row = seen[:, 1] / 2.0 * WIDE.fy + WIDE.cy
    assert ((column > -1) & (column < 160) & (row > -1) & (row < 128)).all()
    turned = np.degrees(np.arctan2(float(rotation[1, 0]), float(rotation[0, 0])))
    assert 1 < abs(turned) <= 30


def test_no_more_cells_than_asked_for_and_the_same_again(encoder: ImageEncoder) -> None:
    first, again = (varied(encoder, AugmentationConfig(), most=50).image(1) for _ in range(2))
    assert len(first.pixels_N2) == 50
    assert torch.equal(first.pixels_N2, again.pixels_N2)
    assert torch.equal(first.features_NC, again.features_NC)
