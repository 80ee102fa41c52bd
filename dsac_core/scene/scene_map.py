# SPDX-License-Identifier: Apache-2.0
"""The scene map and its two files: ``scene.json`` (readable) and ``map.safetensors`` (weights)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from safetensors.torch import save_file
from torch import nn

from dsac_core.errors import ConfigError, DsacError, SceneMapError
from dsac_core.files import replacing_directory, write_json
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import is_rigid
from dsac_core.landmarks.landmark_map import LandmarkMap
from dsac_core.networks.coordinate_head import CoordinateHead
from dsac_core.scene.confidence import Confidence, Evidence, by_support
from dsac_core.scene.locate import HEADER_FILE, locate_scene
from dsac_core.scene.stored_networks import (
    describe_networks,
    load_weights,
    networks_of,
    stored_weights,
)

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from dsac_core.networks.score_net import ScoreNet
    from dsac_core.scene.stored_networks import Regressor

FORMAT_VERSION = 5  # 4: landmarks; older ones (3: confidence, 2: networks of DSAC*) are read too
WEIGHTS_FILE = "map.safetensors"
_LANDMARKS = "landmarks."

_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True)
class Calibration:
    """What frames held out of training taught about the map's own poses."""

    min_reliability: float  # cells below it are not used, as in training
    min_support: float  # share of agreeing cells; below it a pose is "not localized"
    covariance_scale: float  # of the inliers' covariance
    translation_floor: float = 0.0  # metres, along each axis: no position is surer than this
    rotation_floor: float = 0.0  # radians, about each axis
    confidence: Confidence | None = None  # None: not learned, support alone decides
    min_confidence: float = 0.5  # below it a pose is "not localized"
    landmark_weight: float = 3.0  # of a landmark beside a cell, in views near the walk
    landmark_lead: float | None = None  # there: share of landmarks that agree over that of cells

    def __post_init__(self) -> None:
        """Refuse what would make the map lie."""
        if not 0 < self.min_confidence < 1:
            msg = f"calibration: min_confidence must be in (0, 1), got {self.min_confidence}"
            raise ConfigError(msg)
        for name in ("translation_floor", "rotation_floor"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                msg = f"calibration: {name} must be zero or positive, got {value}"
                raise ConfigError(msg)
        if not 0 <= self.min_reliability < 1:
            msg = f"calibration: min_reliability must be in [0, 1), got {self.min_reliability}"
            raise ConfigError(msg)
        if not (np.isfinite(self.landmark_weight) and self.landmark_weight > 0):
            msg = f"calibration: landmark_weight must be positive, got {self.landmark_weight}"
            raise ConfigError(msg)
        lead = self.landmark_lead
        if lead is not None and not (np.isfinite(lead) and lead > 0):
            msg = f"calibration: landmark_lead must be positive, got {lead}"
            raise ConfigError(msg)
        if not 0 < self.min_support < 1:
            msg = f"calibration: min_support must be in (0, 1), got {self.min_support}"
            raise ConfigError(msg)
        if not (np.isfinite(self.covariance_scale) and self.covariance_scale > 0):
            msg = f"calibration: covariance_scale must be positive, got {self.covariance_scale}"
            raise ConfigError(msg)

    def honest(self, covariance_66: NDArray[np.float64]) -> NDArray[np.float64]:
        """Covariances [... x 6 x 6] (REP-103) of poses, from those that their inliers have."""
        floor = np.repeat([self.translation_floor**2, self.rotation_floor**2], 3)
        return self.covariance_scale * covariance_66 + np.diag(floor)

    def localizes(self, evidence: Evidence) -> bool:
        """Whether a pose is to be called localized."""
        enough = evidence.support >= self.min_support
        return enough and self.confidence_in(evidence) >= self.min_confidence

    def confidence_in(self, evidence: Evidence) -> float:
        """Probability that a pose is within 10 cm and 5 degrees."""
        return (self.confidence or by_support(self.min_support))(evidence)


@dataclass(frozen=True)
class SceneMap:
    """One mapped place."""

    name: str
    frame_id: str  # of the poses that come out: the map frame of the robot
    regressor: Regressor  # on the CPU, float32: the head of a fast map, or a network of DSAC*
    camera: Camera  # of the training images
    bounds: NDArray[np.float64]  # 2 x 3: corners of the box around the training cameras' scene
    calibration: Calibration
    map_T_scene: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    training: dict[str, Any] = field(default_factory=dict)  # how it was made, for people
    scorer: ScoreNet | None = None  # on the CPU; chooses among hypotheses instead of soft inliers
    depth_calibration: Calibration | None = None  # of poses from RGB-D images; None: never checked
    depth_scale: float = 1.0  # what the sensor's depth is to be multiplied by
    landmarks: LandmarkMap | None = None
    regression: bool = True  # False: the regressor learned nothing, landmarks are all there is

    @property
    def method(self) -> str:
        """What ``dsac train --method`` made it with: fast, or the name of its network."""
        if isinstance(self.regressor, CoordinateHead):
            return "fast"
        return self.regressor.name

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
            regressor, scorer = networks_of(header, folder / HEADER_FILE)
            stored = load_weights(regressor, scorer, folder / WEIGHTS_FILE)
            depth_calibration = header.get("depth_calibration")
            return cls(
                name=str(header["name"]),
                frame_id=str(header["frame_id"]),
                regressor=_frozen(regressor),
                camera=_camera_from(header["camera"]),
                bounds=_bounds_from(header["bounds"]),
                calibration=_calibration_from(header["calibration"]),
                map_T_scene=_pose_from(header["map_T_scene"]),
                depth_scale=_scale_from(header.get("depth_scale", 1.0)),
                training=dict(header["training"]),
                scorer=None if scorer is None else _frozen(scorer),
                landmarks=_landmarks_from(header, stored),
                regression=bool(header.get("regression", True)),
                depth_calibration=None
                if depth_calibration is None
                else _calibration_from(depth_calibration),
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
            **describe_networks(self.regressor, self.scorer),
            "camera": asdict(self.camera),
            "bounds": {"min": self.bounds[0].tolist(), "max": self.bounds[1].tolist()},
            "map_T_scene": self.map_T_scene.tolist(),
            "depth_scale": self.depth_scale,
            "regression": self.regression,
            "landmarks": 0 if self.landmarks is None else len(self.landmarks),
            "calibration": asdict(self.calibration),
            "training": self.training,
        }
        if self.depth_calibration is not None:
            header["depth_calibration"] = asdict(self.depth_calibration)
        with replacing_directory(folder) as unfinished:
            tensors = stored_weights(self.regressor, self.scorer)
            if self.landmarks is not None:
                stored = self.landmarks.tensors().items()
                tensors |= {_LANDMARKS + name: each.contiguous() for name, each in stored}
            save_file(tensors, unfinished / WEIGHTS_FILE)
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
    return header


def _frozen(network: _Network) -> _Network:
    return network.eval().requires_grad_(requires_grad=False)


def _camera_from(fields: dict[str, Any]) -> Camera:
    return Camera(**{**fields, "distortion": tuple(fields["distortion"])})


def _calibration_from(fields: dict[str, Any]) -> Calibration:
    """Maps of before format version 3 know neither floors nor confidence: the defaults."""
    known = dict(fields)
    if known.get("confidence") is not None:
        known["confidence"] = Confidence(**known["confidence"])
    return Calibration(**known)


def _landmarks_from(header: dict[str, Any], stored: dict[str, torch.Tensor]) -> LandmarkMap | None:
    """Maps of before format version 4 have none."""
    if not header.get("landmarks", 0):
        return None
    tensors = {
        name.removeprefix(_LANDMARKS): tensor
        for name, tensor in stored.items()
        if name.startswith(_LANDMARKS)
    }
    landmarks = LandmarkMap.from_tensors(tensors)
    if len(landmarks) != header["landmarks"]:
        msg = f"it counts {header['landmarks']} landmarks, there are {len(landmarks)}"
        raise ValueError(msg)
    return landmarks


def _bounds_from(fields: dict[str, Any]) -> NDArray[np.float64]:
    bounds = np.array([fields["min"], fields["max"]], dtype=np.float64)
    if bounds.shape != (2, 3) or not np.isfinite(bounds).all():
        msg = "bounds are not two corners of a box"
        raise ValueError(msg)
    return bounds


def _scale_from(value: Any) -> float:
    scale = float(value)
    if not 0.5 < scale < 2.0:
        msg = f"depth_scale must be between 0.5 and 2, got {value}"
        raise ValueError(msg)
    return scale


def _pose_from(rows: Any) -> NDArray[np.float64]:
    pose = np.array(rows, dtype=np.float64)
    if not is_rigid(pose):
        msg = "map_T_scene is not a 4x4 rigid transform"
        raise ValueError(msg)
    return pose
