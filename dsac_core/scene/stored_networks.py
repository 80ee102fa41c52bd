# SPDX-License-Identifier: Apache-2.0
"""The networks of a scene map: what the header says of them, and how their weights are stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from dsac_core.errors import SceneMapError
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.networks.coordinate_network import CoordinateNetwork
from dsac_core.networks.coordinate_networks import make_coordinate_network
from dsac_core.networks.score_net import ScoreNet
from dsac_core.networks.xfeat_encoder import ENCODER_NAME, FEATURE_CHANNELS

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

Regressor = CoordinateHead | CoordinateNetwork

_HEAD_IN_SINGLE_PRECISION = {"centre", "feature_mean", "feature_std"}  # the rest is stored in half
_SCORER = "scorer."


def describe_networks(regressor: Regressor, scorer: ScoreNet | None) -> dict[str, Any]:
    """What the header of a scene map says of its networks."""
    if isinstance(regressor, CoordinateHead):
        return {"encoder": ENCODER_NAME, "head": asdict(regressor.config)}
    header: dict[str, Any] = {"network": regressor.name}
    if scorer is not None:
        header["scorer"] = {"inlier_threshold": scorer.inlier_threshold}
    return header


def networks_of(header: dict[str, Any], file: Path) -> tuple[Regressor, ScoreNet | None]:
    """The networks that the header in ``file`` describes, with arbitrary weights.

    Raises:
        SceneMapError: The header asks for an encoder that this software does not have.
        ConfigError: It asks for a network that there is not.
    """
    if "network" in header:
        scorer = None
        if "scorer" in header:
            # The weights fit any grid; that of the images decides later.
            scorer = ScoreNet((1, 1), inlier_threshold=header["scorer"]["inlier_threshold"])
        return make_coordinate_network(str(header["network"])), scorer
    encoder = header.get("encoder")
    if encoder != ENCODER_NAME:
        msg = f"{file} needs encoder '{encoder}', this software has '{ENCODER_NAME}'"
        raise SceneMapError(msg)
    config = HeadConfig(**header["head"])
    if config.in_channels != FEATURE_CHANNELS:
        msg = f"head.in_channels is {config.in_channels}, the encoder's {FEATURE_CHANNELS}"
        raise SceneMapError(msg)
    return CoordinateHead(config), None


def stored_weights(regressor: Regressor, scorer: ScoreNet | None) -> dict[str, torch.Tensor]:
    """Tensors to write: a head in half precision, networks of DSAC* in single precision.

    These may be trained further, in steps of a millionth: half precision would lose them.
    """
    head = isinstance(regressor, CoordinateHead)
    weights = {
        name: _on_disk(tensor, half=head and name not in _HEAD_IN_SINGLE_PRECISION)
        for name, tensor in regressor.state_dict().items()
    }
    if scorer is not None:
        weights |= {
            _SCORER + name: _on_disk(tensor, half=False)
            for name, tensor in scorer.state_dict().items()
        }
    return weights


def load_weights(
    regressor: Regressor, scorer: ScoreNet | None, file: Path
) -> dict[str, torch.Tensor]:
    """Fill the networks from a file; returns all that is in it.

    Raises:
        SceneMapError: It is missing, truncated, or does not fit the networks.
    """
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        msg = f"{file} is missing or truncated ({error}): map the scene again, or copy it again"
        raise SceneMapError(msg) from error
    _fill(regressor, weights, "", file)
    if scorer is not None:
        _fill(scorer, weights, _SCORER, file)
    return weights


def _fill(module: nn.Module, weights: dict[str, torch.Tensor], prefix: str, file: Path) -> None:
    expected = module.state_dict()
    for name, tensor in expected.items():
        stored = weights.get(prefix + name)
        got = None if stored is None else tuple(stored.shape)
        if got != tuple(tensor.shape):
            msg = (
                f"{file} does not fit its header: {prefix + name} should be"
                f" {tuple(tensor.shape)}, is {got or 'missing'}"
            )
            raise SceneMapError(msg)
    module.load_state_dict({name: weights[prefix + name].float() for name in expected})


def _on_disk(tensor: torch.Tensor, *, half: bool) -> torch.Tensor:
    return tensor.detach().cpu().to(torch.float16 if half else torch.float32).contiguous()
