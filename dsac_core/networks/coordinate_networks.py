# SPDX-License-Identifier: Apache-2.0
"""The scene-coordinate networks by name, as settings and scene maps say it."""

from __future__ import annotations

from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_network import CoordinateNetwork
from dsac_core.networks.dsac_plus_plus_net import DsacPlusPlusNet
from dsac_core.networks.dsac_star_net import DsacStarNet
from dsac_core.networks.encoder_decoder_net import EncoderDecoderNet

NETWORK_NAMES = (
    "dsacstar",
    "dsacstar-tiny",
    "dsacstar-rf49",
    "dsacstar-rf149",
    "dsacpp",
    "encoder-decoder",
)


def make_coordinate_network(name: str) -> CoordinateNetwork:
    """A network with random weights from torch's global generator.

    Raises:
        ConfigError: No network has that name.
    """
    if name not in NETWORK_NAMES:
        msg = f"no network is called {name!r}; there are {', '.join(NETWORK_NAMES)}"
        raise ConfigError(msg)
    if name == "dsacpp":
        return DsacPlusPlusNet()
    if name == "encoder-decoder":
        return EncoderDecoderNet()
    return DsacStarNet(name)
