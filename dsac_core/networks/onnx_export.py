# SPDX-License-Identifier: Apache-2.0
"""Networks as ONNX files, for runtimes without PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import nn

from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_head import CoordinateHead
from dsac_core.networks.coordinate_network import CoordinateNetwork, normalise_gray
from dsac_core.networks.encoder_decoder_net import EncoderDecoderNet
from dsac_core.networks.image_encoder import cells_inside
from dsac_core.networks.xfeat_encoder import load_xfeat_encoder, pad_to_alignment

if TYPE_CHECKING:
    from pathlib import Path

_NEEDED = ("onnx", "onnxscript")
# Of the image that is traced: not aligned to the coarsest level, so that padding is traced too.
_TRACED_SIZE = (200, 300)


class FastMapNet(nn.Module):
    """A fast map as one network: the encoder, and a head on all cells that it has features of."""

    def __init__(self, head: CoordinateHead) -> None:
        """Put the shared encoder, float32, before the head of a scene."""
        super().__init__()
        self.encoder = load_xfeat_encoder()
        self.head = head

    def forward(self, gray_HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scene points [N x 3], metres, and reliability [N] of all cells of a gray image, uint8.

        There are floor(H / 8) rows of floor(W / 8) cells, row by row. The centre of cell i is at
        pixel 8 i + 3.5.
        """
        features_NC, reliability_N = self.encode(gray_HW)
        return self.head(features_NC), reliability_N

    def encode(self, gray_HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [N x C] and reliability [N] of the same cells."""
        encoded = self.encoder(pad_to_alignment(gray_HW[None, None].float()))
        return cells_inside(encoded, *gray_HW.shape)


class DenseMapNet(nn.Module):
    """A map as of DSAC*, with the standardisation of its input."""

    def __init__(self, network: CoordinateNetwork) -> None:
        """Take the network of a scene."""
        super().__init__()
        self.network = network

    def forward(self, gray_HW: torch.Tensor) -> torch.Tensor:
        """Scene points [N x 3], metres, of all cells of a gray image, uint8: ceil(H / 8) rows."""
        points: torch.Tensor = self.network(normalise_gray(gray_HW)[None, None])
        return points[0].flatten(1).T


def write_map_onnx(
    regressor: CoordinateHead | CoordinateNetwork, file: Path, metadata: Mapping[str, str]
) -> None:
    """Write a scene map's network as one ONNX file that takes images of any size.

    Input ``gray`` [H x W], uint8. Outputs ``points`` [N x 3], float32, and for fast maps
    ``reliability`` [N]: see ``FastMapNet`` and ``DenseMapNet``.

    Args:
        regressor: The head of a fast map, or a network of DSAC*; on the CPU, float32.
        file: Where to write.
        metadata: Goes into the file as its ``metadata_props``.

    Raises:
        ConfigError: The packages that write ONNX are not installed, or the network is
            ``encoder-decoder``, which ONNX cannot say for images of any size.
    """
    if isinstance(regressor, EncoderDecoderNet):
        msg = f"a map of the network '{regressor.name}' cannot be exported as ONNX"
        raise ConfigError(msg)
    network: nn.Module
    if isinstance(regressor, CoordinateHead):
        network, outputs = FastMapNet(regressor), ["points", "reliability"]
    else:
        network, outputs = DenseMapNet(regressor), ["points"]
    gray = torch.zeros(_TRACED_SIZE, dtype=torch.uint8)
    write_onnx(network, file, {"gray": gray}, outputs, metadata, any_size=True)


def write_onnx(
    network: nn.Module,
    file: Path,
    inputs: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    metadata: Mapping[str, str] | None = None,
    *,
    any_size: bool = False,
) -> None:
    """Write a network through ``torch.export`` as one ONNX file.

    Args:
        network: In the mode that it is to run in.
        file: Where to write.
        inputs: Names and examples, in the order of its arguments.
        outputs: Names.
        metadata: Goes into the file as its ``metadata_props``.
        any_size: Whether all dimensions of the inputs may vary; else they are as in the examples.

    Raises:
        ConfigError: The packages that write ONNX are not installed.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        msg = f"ONNX export needs {' and '.join(missing)}: pip install {' '.join(_NEEDED)}"
        raise ConfigError(msg)
    dynamic = torch.export.Dim.DYNAMIC
    shapes = tuple(dict.fromkeys(range(each.ndim), dynamic) for each in inputs.values())
    with _quietly():
        program = torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            dynamo=True,
            dynamic_shapes=shapes if any_size else None,
            input_names=list(inputs),
            output_names=list(outputs),
            verbose=False,
        )
    assert program is not None  # it is, with dynamo=True
    program.model.metadata_props.update(metadata or {})
    program.save(file, external_data=False)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's words about packages that it could also use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
