# SPDX-License-Identifier: Apache-2.0
"""The scene map and its two files: ``scene.json`` (readable) and ``map.safetensors`` (weights)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dsac_core.errors import ConfigError, DsacError, SceneMapError
from dsac_core.files import replacing_directory, write_json
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import is_rigid
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.networks.xfeat_encoder import ENCODER_NAME, FEATURE_CHANNELS
from dsac_core.scene.locate import HEADER_FILE, locate_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT_VERSION = 1
WEIGHTS_FILE = "map.safetensors"
_SINGLE_PRECISION = {"centre", "feature_mean", "feature_std"}  # the rest is stored in half


@dataclass(frozen=True)
class Calibration:
    """What frames held out of training taught about the map's own poses."""

    min_reliability: float  # cells below it are not used, as in training
    min_support: float  # share of agreeing cells; below it a pose is "not localized"
    covariance_scale: float  # makes the mean normalised error squared equal 6

    def __post_init__(self) -> None:
        """Refuse what would make the map lie."""
        if not 0 <= self.min_reliability < 1:
            msg = f"calibration: min_reliability must be in [0, 1), got {self.min_reliability}"
            raise ConfigError(msg)
        if not 0 < self.min_support < 1:
            msg = f"calibration: min_support must be in (0, 1), got {self.min_support}"
            raise ConfigError(msg)
        if not (np.isfinite(self.covariance_scale) and self.covariance_scale > 0):
            msg = f"calibration: covariance_scale must be positive, got {self.covariance_scale}"
            raise ConfigError(msg)


@dataclass(frozen=True)
class SceneMap:
    """One mapped place."""

    name: str
    frame_id: str  # of the poses that come out: the map frame of the robot
    head: CoordinateHead  # on the CPU, float32
    camera: Camera  # of the training images
    bounds: NDArray[np.float64]  # 2 x 3: corners of the box around the training cameras' scene
    calibration: Calibration
    map_T_scene: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    training: dict[str, Any] = field(default_factory=dict)  # how it was made, for people

    @classmethod
    def load(cls, name_or_path: str | Path) -> SceneMap:
        """Load a scene map by path, or by name from the folders of ``search_folders``.

        Raises:
            SceneMapError: There is none (the message lists those found), it is damaged, or a newer
                version wrote it.
        """
        folder = locate_scene(name_or_path)
        header = _read_header(folder / HEADER_FILE)
        try:
            config = HeadConfig(**header["head"])
            if config.in_channels != FEATURE_CHANNELS:
                msg = f"head.in_channels is {config.in_channels}, the encoder's {FEATURE_CHANNELS}"
                raise SceneMapError(msg)
            head = CoordinateHead(config)
            _load_weights(head, folder / WEIGHTS_FILE)
            return cls(
                name=str(header["name"]),
                frame_id=str(header["frame_id"]),
                head=head.eval().requires_grad_(requires_grad=False),
                camera=_camera_from(header["camera"]),
                bounds=_bounds_from(header["bounds"]),
                calibration=Calibration(**header["calibration"]),
                map_T_scene=_pose_from(header["map_T_scene"]),
                training=dict(header["training"]),
            )
        except SceneMapError:
            raise
        except (KeyError, TypeError, ValueError, DsacError) as error:
            problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            msg = f"{folder / HEADER_FILE} is damaged ({problem}): map the scene again"
            raise SceneMapError(msg) from error

    def save(self, folder: Path) -> None:
        """Write the map as ``folder``, whole or not at all; an older map there is replaced.

        Raises:
            SceneMapError: The folder holds something that is not a scene map.
        """
        check_replaceable(folder)
        header = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "frame_id": self.frame_id,
            "encoder": ENCODER_NAME,
            "head": asdict(self.head.config),
            "camera": asdict(self.camera),
            "bounds": {"min": self.bounds[0].tolist(), "max": self.bounds[1].tolist()},
            "map_T_scene": self.map_T_scene.tolist(),
            "calibration": asdict(self.calibration),
            "training": self.training,
        }
        with replacing_directory(folder) as unfinished:
            save_file(_stored_weights(self.head), unfinished / WEIGHTS_FILE)
            write_json(unfinished / HEADER_FILE, header)


def check_replaceable(folder: Path) -> None:
    """Raise SceneMapError where a scene map cannot be written, or would destroy something else."""
    parent = next(path for path in folder.resolve().parents if path.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        msg = f"{folder} cannot be written: {parent} is not a folder that you may write to"
        raise SceneMapError(msg)
    if not folder.exists() or (folder / HEADER_FILE).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        msg = f"{folder} exists and is not a scene map: choose another --out, or remove it"
        raise SceneMapError(msg)


def _read_header(file: Path) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        msg = f"{file} is not readable as JSON ({error}): map the scene again"
        raise SceneMapError(msg) from error
    version = header.get("format_version") if isinstance(header, dict) else None
    if not isinstance(version, int):
        msg = f"{file} is no scene map: it has no format_version"
        raise SceneMapError(msg)
    if version > FORMAT_VERSION:
        msg = (
            f"{file} has format version {version}, this software reads up to {FORMAT_VERSION}:"
            " update dsac_ros, or map the scene again"
        )
        raise SceneMapError(msg)
    if header.get("encoder") != ENCODER_NAME:
        msg = f"{file} needs encoder '{header.get('encoder')}', this software has '{ENCODER_NAME}'"
        raise SceneMapError(msg)
    return header


def _load_weights(head: CoordinateHead, file: Path) -> None:
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        msg = f"{file} is missing or truncated ({error}): map the scene again, or copy it again"
        raise SceneMapError(msg) from error
    expected = head.state_dict()
    for name, tensor in expected.items():
        got = tuple(weights[name].shape) if name in weights else None
        if got != tuple(tensor.shape):
            msg = (
                f"{file} does not fit its {HEADER_FILE}: {name} should be {tuple(tensor.shape)},"
                f" is {got or 'missing'}"
            )
            raise SceneMapError(msg)
    head.load_state_dict({name: weights[name].float() for name in expected})


def _stored_weights(head: CoordinateHead) -> dict[str, torch.Tensor]:
    return {
        name: tensor.detach()
        .cpu()
        .to(torch.float32 if name in _SINGLE_PRECISION else torch.float16)
        .contiguous()
        for name, tensor in head.state_dict().items()
    }


def _camera_from(fields: dict[str, Any]) -> Camera:
    return Camera(**{**fields, "distortion": tuple(fields["distortion"])})


def _bounds_from(fields: dict[str, Any]) -> NDArray[np.float64]:
    bounds = np.array([fields["min"], fields["max"]], dtype=np.float64)
    if bounds.shape != (2, 3) or not np.isfinite(bounds).all():
        msg = "bounds are not two corners of a box"
        raise ValueError(msg)
    return bounds


def _pose_from(rows: Any) -> NDArray[np.float64]:
    pose = np.array(rows, dtype=np.float64)
    if not is_rigid(pose):
        msg = "map_T_scene is not a 4x4 rigid transform"
        raise ValueError(msg)
    return pose
