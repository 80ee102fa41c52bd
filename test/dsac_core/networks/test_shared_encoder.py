# SPDX-License-Identifier: Apache-2.0
"""One encoding for an image that several scene maps look at."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.networks.keypoint_detector import KeypointDetector
from dsac_core.networks.shared_encoder import SharedEncoder, shared_encoder

CPU = torch.device("cpu")


def image(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (64, 96), dtype=torch.uint8, generator=generator)


@pytest.fixture
def encoder() -> SharedEncoder:
    return SharedEncoder(CPU, torch.float32)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which networks ran."""
    found: list[str] = []
    for kind in (ImageEncoder, KeypointDetector):
        forward = kind.forward

        def noted(self: Any, *args: Any, _forward: Any = forward) -> Any:
            found.append(type(self).__name__)
            return _forward(self, *args)

        monkeypatch.setattr(kind, "forward", noted)
    return found


def test_as_of_the_encoder_and_the_detector(encoder: SharedEncoder) -> None:
    gray = image(0)
    encoded, expected = encoder(gray), ImageEncoder(CPU, torch.float32)(gray)
    assert torch.equal(encoded.features_NC, expected.features_NC)
    found = encoder.keypoints(gray, encoded, 20)
    detected = KeypointDetector(CPU, torch.float32)(gray, expected, 20)
    assert torch.equal(found.pixels_K2, detected.pixels_K2)
    assert torch.equal(found.descriptors_KC, detected.descriptors_KC)


def test_the_last_image_is_encoded_once(encoder: SharedEncoder, runs: list[str]) -> None:
    encoded = encoder(image(0))
    keypoints = encoder.keypoints(image(0), encoded, 20)
    assert encoder(image(0)) is encoded
    assert encoder.keypoints(image(0), encoded, 20) is keypoints
    assert runs == ["ImageEncoder", "KeypointDetector"]


def test_another_image_is_another(encoder: SharedEncoder, runs: list[str]) -> None:
    encoded = encoder(image(0))
    other = encoder(image(1))
    assert not torch.equal(other.features_NC, encoded.features_NC)
    first, second = (
        encoder.keypoints(gray, cells, 20)
        for gray, cells in ((image(0), encoded), (image(1), other))
    )
    assert not torch.equal(first.pixels_K2, second.pixels_K2)
    assert len(encoder.keypoints(image(1), other, 5).pixels_K2) == 5
    assert runs.count("ImageEncoder") == 2
    assert runs.count("KeypointDetector") == 3


def test_an_image_in_the_buffer_of_the_last_is_another(encoder: SharedEncoder) -> None:
    buffer = image(0)
    before = encoder(buffer)
    buffer.copy_(image(1))
    assert not torch.equal(encoder(buffer).features_NC, before.features_NC)


def test_one_for_all_scenes_of_a_device() -> None:
    assert shared_encoder(CPU, torch.float32) is shared_encoder(CPU, torch.float32)
    assert shared_encoder(CPU, torch.bfloat16).dtype == torch.bfloat16
