# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime computes from the exported file is what PyTorch computes."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dsac_core.errors import ConfigError
from dsac_core.networks import onnx_export
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.networks.coordinate_network import normalise_gray
from dsac_core.networks.coordinate_networks import make_coordinate_network
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.networks.onnx_export import write_map_onnx

onnxruntime = pytest.importorskip("onnxruntime", reason="needs pip install dsac-ros[onnx]")
pytest.importorskip("onnxscript", reason="needs pip install dsac-ros[onnx]")

METADATA = {"scene": "lab", "frame_id": "map"}
# Aligned to 32 px; to 8 px; to nothing; less than a cell of the coarsest level.
SIZES = [(96, 128), (104, 72), (75, 131), (31, 33)]


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.fixture(scope="module")
def head() -> CoordinateHead:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = CoordinateHead(HeadConfig())
        head.feature_mean.normal_()
        head.feature_std.uniform_(0.5, 2.0)
        head.centre.copy_(torch.tensor([12.0, -3.0, 0.5]))
    return head.eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def fast_map(head: CoordinateHead, tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("onnx") / "map.onnx"
    write_map_onnx(head, file, METADATA)
    assert [path.name for path in file.parent.iterdir()] == ["map.onnx"]
    return onnxruntime.InferenceSession(file)


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_a_fast_map_has_the_same_points_and_reliability(
    size: tuple[int, int], fast_map: Any, head: CoordinateHead
) -> None:
    gray = random_image(*size)
    points, reliability = fast_map.run(["points", "reliability"], {"gray": gray})
    encoded = ImageEncoder(torch.device("cpu"), torch.float32)(torch.from_numpy(gray))
    expected = head(encoded.features_NC).numpy()
    assert points.shape == (size[0] // 8 * (size[1] // 8), 3)
    assert np.ptp(expected, axis=0).min() > 1e-3  # metres: they differ from cell to cell
    np.testing.assert_allclose(points, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(reliability, encoded.reliability_N.numpy(), rtol=0, atol=1e-5)


def test_the_file_says_what_the_map_is(fast_map: Any) -> None:
    assert fast_map.get_modelmeta().custom_metadata_map == METADATA
    (gray,) = fast_map.get_inputs()
    assert (gray.name, gray.type, len(gray.shape)) == ("gray", "tensor(uint8)", 2)


@torch.inference_mode()
def test_a_network_of_dsacstar_has_the_same_points(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make_coordinate_network("dsacstar-tiny").eval()
    network.scene_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    write_map_onnx(network, tmp_path / "map.onnx", {})
    session = onnxruntime.InferenceSession(tmp_path / "map.onnx")
    for size in SIZES[:1] + SIZES[2:3]:
        gray = random_image(*size)
        (points,) = session.run(None, {"gray": gray})
        expected = network(normalise_gray(torch.from_numpy(gray))[None, None])[0].flatten(1).T
        np.testing.assert_allclose(points, expected.numpy(), rtol=0, atol=1e-5)


def test_a_network_that_onnx_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'encoder-decoder' cannot be exported"):
        write_map_onnx(make_coordinate_network("encoder-decoder"), tmp_path / "map.onnx", {})
    assert not list(tmp_path.iterdir())


def test_without_the_packages_the_message_says_what_to_install(
    head: CoordinateHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        return None if name == "onnxscript" else ModuleSpec(name, None)

    monkeypatch.setattr(onnx_export, "find_spec", find_spec)
    with pytest.raises(ConfigError, match="needs onnxscript: pip install onnx onnxscript"):
        write_map_onnx(head, tmp_path / "map.onnx", {})
