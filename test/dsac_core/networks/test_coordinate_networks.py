# SPDX-License-Identifier: Apache-2.0
"""The scene-coordinate networks, each against what the papers and their code say of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional

from dsac_core.cli.dense_options import FAST, METHODS
from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_network import CoordinateNetwork, normalise_gray, output_grid
from dsac_core.networks.coordinate_networks import NETWORK_NAMES, make_coordinate_network
from dsac_core.networks.encoder_decoder_net import EncoderDecoderNet


class Published(NamedTuple):
    """Of the papers, but for the exact number of ours."""

    parameters: int
    published: float  # parameters
    tolerance: float  # relative
    size: float  # bytes of float32
    receptive_field: float  # px


MIB = 2.0**20
# The variants are to have as many parameters as the standard network.
PUBLISHED = {
    "dsacstar": Published(6_882_819, 6.883e6, 1e-3, 26.3 * MIB, 81),
    "dsacstar-tiny": Published(946_563, 0.947e6, 1e-3, 3.6 * MIB, 81),
    "dsacstar-rf49": Published(6_844_507, 6_882_819, 0.01, 26.3 * MIB, 49),
    "dsacstar-rf149": Published(6_910_835, 6_882_819, 0.01, 26.3 * MIB, 149),
    "dsacpp": Published(25_901_955, 26.0e6, 5e-3, 104e6, 73),
    "encoder-decoder": Published(6_883_075, 6_882_819, 0.01, 26.3 * MIB, math.inf),
}
CONVOLUTIONAL = [name for name in NETWORK_NAMES if name != "encoder-decoder"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        yield
    torch.set_num_threads(threads)


def make_net(name: str, seed: int = 0) -> CoordinateNetwork:
    """Weights of He's initialisation, so that the scene points vary by a metre or so."""
    torch.manual_seed(seed)
    net = make_coordinate_network(name)
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return net


def make_images(*shape: int, seed: int = 1) -> torch.Tensor:
    """Normalised gray images [B x 1 x H x W]."""
    gray = 255.0 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return normalise_gray(gray[:, None])


def test_each_name_has_a_row() -> None:
    assert tuple(PUBLISHED) == NETWORK_NAMES
    assert sorted(METHODS) == sorted([FAST, *NETWORK_NAMES])


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_it_has_the_published_size(name: str) -> None:
    net, row = make_coordinate_network(name), PUBLISHED[name]
    assert net.name == name
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == row.parameters
    assert count == pytest.approx(row.published, rel=row.tolerance)
    saved = sum(value.numel() * value.element_size() for value in net.state_dict().values())
    assert saved == pytest.approx(row.size, rel=0.01)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_a_scene_point_depends_on_exactly_its_receptive_field(name: str) -> None:
    net = make_coordinate_network(name).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # all positive: no ReLU cuts anything off, and nothing cancels
        for parameter in net.parameters():
            inputs = parameter[0].numel()
            parameter.uniform_(0.5, 1.5, generator=generator).div_(inputs)
    image = torch.ones(1, 1, 168, 184).double().requires_grad_()
    row, column = 10, 11
    net(image)[0, :, row, column].sum().backward()
    assert image.grad is not None
    # The centre of a convolution of stride 2 that pads by 1 is at every other pixel, from 0 on.
    y, x = torch.arange(168)[:, None], torch.arange(184)
    distance = torch.maximum((y - 8 * row).abs(), (x - 8 * column).abs())
    expected = distance <= (PUBLISHED[name].receptive_field - 1) / 2
    assert torch.equal(image.grad[0, 0] != 0, expected)


@pytest.mark.parametrize("name", NETWORK_NAMES)
@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((480, 640), (60, 80)),
        ((476, 630), (60, 79)),
        ((640, 480), (80, 60)),
        ((33, 72), (5, 9)),
        ((17, 9), (3, 2)),
        ((8, 8), (1, 1)),
        ((1, 1), (1, 1)),
    ],
)
def test_one_scene_point_per_cell(name: str, size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert output_grid(*size) == grid
    net = make_coordinate_network(name)
    if max(size) < 100:
        assert net(make_images(2, *size)).shape == (2, 3, *grid)
    empty = torch.empty(2, 1, *size, device="meta")  # sizes only: nothing is computed
    assert net.to("meta").features_BCHW(empty).shape[2:] == grid


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_what_moves_by_a_cell_moves_its_scene_points_by_a_cell(name: str) -> None:
    net, image = make_net(name), make_images(1, 184, 208)
    with torch.no_grad():
        whole, cropped = net(image), net(image[..., 8:, 8:])
    # Rows and columns of the cropped image whose receptive field lies within it.
    margin = math.ceil(PUBLISHED[name].receptive_field / 16)
    inside = cropped[..., margin:-margin, margin:-margin]
    assert min(inside.shape) > 0
    assert inside.std() > 0.05
    shifted = whole[..., 1 + margin : -margin, 1 + margin : -margin]
    torch.testing.assert_close(inside, shifted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_the_mean_is_added_and_saved(name: str) -> None:
    net, image = make_net(name), make_images(2, 24, 32)
    assert torch.equal(net.scene_mean, torch.zeros(3))
    assert "scene_mean" not in dict(net.named_parameters())
    mean = torch.tensor([10.0, -20.0, 0.5])
    with torch.no_grad():
        centred = net(image)
        net.scene_mean.copy_(mean)
        torch.testing.assert_close(net(image), centred + mean.view(1, 3, 1, 1))
        other = make_net(name, seed=1)
        other.load_state_dict(net.state_dict())
        assert torch.equal(other.scene_mean, mean)
        assert torch.equal(other(image), net(image))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_mean_and_the_points_stay_in_single_precision(dtype: torch.dtype) -> None:
    net, mean = make_net("dsacstar-tiny"), torch.tensor([1234.567, -0.1, 3.3])
    net.scene_mean.copy_(mean)
    net.to(dtype)
    assert net.leave.weight.dtype == dtype
    assert net.scene_mean.dtype == torch.float32
    assert torch.equal(net.scene_mean, mean)
    assert net(make_images(1, 16, 16).to(dtype)).dtype == torch.float32
    assert net.to("meta").scene_mean.device.type == "meta"


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_under_autocast_only_the_features_are_coarse(name: str) -> None:
    net, image = make_net(name), make_images(1, 48, 64)
    with torch.no_grad():
        expected = net(image)
        with torch.autocast("cpu", torch.bfloat16):
            assert net.features_BCHW(image).dtype == torch.bfloat16
            points = net(image)
            assert points.dtype == torch.float32
            # By 2^-8 of the points' size in each of a dozen layers.
            assert 0 < (points - expected).norm() < 0.03 * expected.norm()
            weight, bias = net.leave.parameters()
            weight.zero_()
            bias.fill_(1000.125)  # bfloat16 has 1000 next to 1004
            assert torch.equal(net(image), torch.full_like(expected, 1000.125))


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_gradients_reach_every_parameter(name: str, autocast: bool) -> None:
    torch.manual_seed(0)
    net, image = make_coordinate_network(name), make_images(1, 32, 40)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        points = net(image)
    points.square().sum().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all(), key
        assert (parameter.grad != 0).any(), key


@pytest.mark.parametrize("name", [name for name in NETWORK_NAMES if name.startswith("dsacstar")])
def test_blocks_add_after_the_relu(name: str) -> None:
    net, image = make_net(name).double(), make_images(1, 40, 48).double()
    state = net.state_dict()

    def layer(x: torch.Tensor, key: str, stride: int = 1) -> torch.Tensor:
        weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
        return functional.conv2d(x, weight, bias, stride, padding=weight.shape[-1] // 2)

    x = image
    for index, stride in enumerate((1, 2, 2, 2)):
        x = layer(x, f"stem.{index}.0", stride).relu()
    for block in range(3):
        y = x
        for index in range(3):
            y = layer(y, f"blocks.{block}.layers.{index}.0").relu()
        # Tiny has as many channels before as after.
        changes = block == 1 and name != "dsacstar-tiny"
        x = y + (layer(x, "blocks.1.skip") if changes else x)
    x = layer(layer(x, "head.0.0").relu(), "head.1.0").relu()
    expected = layer(x, "leave").float()
    torch.testing.assert_close(net(image), expected, atol=1e-6, rtol=1e-6)
    assert {key.split(".")[0] for key in state} == {"stem", "blocks", "head", "leave", "scene_mean"}


@pytest.mark.parametrize("name", ["dsacpp", "encoder-decoder"])
def test_a_relu_follows_each_layer_but_the_last(name: str) -> None:
    net = make_net(name)
    seen: list[torch.Tensor] = []
    learnt = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    layers = [module for module in net.modules() if isinstance(module, learnt)]
    for module in layers:
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    with torch.no_grad():
        points = net(make_images(1, 96, 96))
    assert len(seen) == len(layers)
    image, *inner = seen
    assert image.min() < 0
    for values in inner:
        assert values.min() == 0
        assert values.max() > 0
    assert points.min() < 0


def test_the_descriptor_is_all_that_is_left_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    net, image = make_net("encoder-decoder"), make_images(2, 72, 96)
    assert isinstance(net, EncoderDecoderNet)
    with torch.no_grad():
        assert net.descriptor_BD(image).shape == (2, 256)
        one, other = net(image)
        assert (one - other).abs().max() > 1e-3
        monkeypatch.setattr(net, "descriptor_BD", lambda _: torch.ones(2, 256))
        one, other = net(image)
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
def test_gray_values_are_normalised(dtype: torch.dtype) -> None:
    gray = torch.tensor([[0, 51], [102, 255]], dtype=dtype)
    normalised = normalise_gray(gray)
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised, torch.tensor([[-1.6, -0.8], [0.0, 2.4]]))
    assert gray[0, 1] == 51


def test_fractions_of_gray_values_count() -> None:
    torch.testing.assert_close(normalise_gray(torch.tensor(127.5)), torch.tensor(0.4))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError) as error:
        make_coordinate_network("dsac*")
    assert str(error.value) == (
        "no network is called 'dsac*'; there are dsacstar, dsacstar-tiny, dsacstar-rf49, "
        "dsacstar-rf149, dsacpp, encoder-decoder"
    )
