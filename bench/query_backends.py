# SPDX-License-Identifier: Apache-2.0
"""The two networks of a fast map under several runtimes, each inside the same relocalizer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsac_core.geometry.grid import STRIDE, cell_centres
from dsac_core.networks.fused_layers import can_fuse
from dsac_core.networks.image_encoder import EncodedImage, ImageEncoder
from dsac_core.networks.onnx_export import FastMapNet, write_onnx
from dsac_core.regression import FeatureRegressor
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.scene_map import SceneMap

_CPU = torch.device("cpu")
_HEAD_CELLS = 2500  # the most that a relocalizer uses of an image
Run = Callable[[np.ndarray], list[np.ndarray]]
Compile = Callable[[Path, int], Run]


@dataclass(frozen=True)
class Backend:
    """A runtime in one precision."""

    make: Callable[[SceneMap, Path, int], Relocalizer]  # a folder for files, threads
    module: str = "torch"  # to import

    def missing(self) -> str | None:
        """Why it cannot run here."""
        wanted = {self.module, "torch"} if self.module == "torch" else {self.module, "onnxscript"}
        gone = sorted(name for name in wanted if find_spec(name) is None)
        return f"{' and '.join(gone)} is not installed" if gone else None


def _torch(dtype: torch.dtype) -> Backend:
    def make(scene: SceneMap, folder: Path, threads: int) -> Relocalizer:
        del folder, threads
        relocalizer, regressor = _relocalizer(scene)
        regressor._encoder = ImageEncoder(_CPU, dtype)
        regressor._head = copy.deepcopy(scene.regressor)
        if can_fuse(_CPU, dtype):
            regressor._head.fuse(dtype)
        return relocalizer

    return Backend(make)


def _exported(compile_: Compile, module: str) -> Backend:
    def make(scene: SceneMap, folder: Path, threads: int) -> Relocalizer:
        relocalizer, regressor = _relocalizer(scene)
        encode, regress = (compile_(file, threads) for file in _files(scene, folder))
        regressor._encoder = _Encoder(encode)
        regressor._head = _Head(regress)
        return relocalizer

    return Backend(make, module)


def _relocalizer(scene: SceneMap) -> tuple[Relocalizer, Any]:
    relocalizer = Relocalizer(scene, max_cells=_HEAD_CELLS)
    regressor = relocalizer._regressor
    assert isinstance(regressor, FeatureRegressor)
    return relocalizer, regressor


class _CellEncoder(torch.nn.Module):
    def __init__(self, network: FastMapNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, gray_HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network.encode(gray_HW)


def _files(scene: SceneMap, folder: Path) -> tuple[Path, Path]:
    """Encoder and head as ONNX files of fixed sizes, written once."""
    encoder, head = folder / "encoder.onnx", folder / "head.onnx"
    if not encoder.exists():
        size = (scene.camera.height, scene.camera.width)
        network = FastMapNet(scene.regressor)
        gray = torch.zeros(size, dtype=torch.uint8)
        write_onnx(_CellEncoder(network), encoder, {"gray": gray}, ["features", "reliability"])
        features = torch.zeros(_HEAD_CELLS, scene.regressor.config.in_channels)
        write_onnx(network.head, head, {"features": features}, ["points"])
    return encoder, head


class _Encoder:
    dtype = torch.float32

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, gray_HW: torch.Tensor) -> EncodedImage:
        features, reliability = map(torch.from_numpy, self._run(gray_HW.numpy()))
        height, width = gray_HW.shape
        return EncodedImage(features, reliability, cell_centres(height // STRIDE, width // STRIDE))


class _Head:
    """On a fixed number of cells: where an image has fewer, the rest is padding."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, features_NC: torch.Tensor) -> torch.Tensor:
        count = len(features_NC)
        padding = (0, 0, 0, _HEAD_CELLS - count)
        padded = torch.nn.functional.pad(features_NC, padding) if padding[3] else features_NC
        return torch.from_numpy(self._run(padded.numpy())[0])[:count]


def _onnxruntime(file: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that spin after their work would take the time of the backend whose turn is next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda value: session.run(None, {name: value})


def _openvino(precision: str) -> Compile:
    def compile_(file: Path, threads: int) -> Run:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        request = openvino.Core().compile_model(file, "CPU", settings).create_infer_request()
        return lambda value: list(request.infer([value], share_inputs=True).values())

    return compile_


BACKENDS = {
    "torch float32": _torch(torch.float32),
    "torch bfloat16": _torch(torch.bfloat16),
    "onnxruntime float32": _exported(_onnxruntime, "onnxruntime"),
    "openvino float32": _exported(_openvino("f32"), "openvino"),
    "openvino bfloat16": _exported(_openvino("bf16"), "openvino"),
}
