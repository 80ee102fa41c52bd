# SPDX-License-Identifier: Apache-2.0
"""From an image to correspondences, by whichever network a scene map holds."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from dsac_core.errors import ConfigError
from dsac_core.geometry.grid import cell_centres
from dsac_core.geometry.images import depth_at, resize_to_focal_length, to_gray
from dsac_core.geometry.rectify import rectify
from dsac_core.landmarks.matcher import LandmarkMatcher
from dsac_core.networks.coordinate_head import CoordinateHead
from dsac_core.networks.coordinate_network import normalise_gray, output_grid
from dsac_core.networks.fused_layers import can_fuse
from dsac_core.networks.precision import inference_dtype
from dsac_core.networks.row_lookup import of_few_sizes, rows_of
from dsac_core.networks.shared_encoder import shared_encoder
from dsac_core.ransac.correspondences import Correspondences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.coordinate_network import CoordinateNetwork
    from dsac_core.networks.image_encoder import EncodedImage
    from dsac_core.networks.score_net import ScoreNet
    from dsac_core.scene.scene_map import SceneMap

Sources = Literal["both", "regression", "landmarks"]  # of correspondences; both: what there is

_KEYPOINTS = 1000  # of an image


@dataclass(frozen=True)
class SeenLandmarks:
    """Landmarks of the map that one image shows."""

    pixels_M2: torch.Tensor  # without distortion
    points_M3: torch.Tensor  # metres
    keypoints: int  # of the image, that could have shown one
    most_keypoints: int  # that an image of this size could have
    depth_M: torch.Tensor | None = None  # metres, where depth was given


@dataclass(frozen=True)
class Regressed:
    """Scene points of one image: of its cells, and of its keypoints where the map has landmarks."""

    pixels_N2: torch.Tensor  # without distortion
    points_N3: torch.Tensor  # metres
    camera: Camera  # of the pixels
    cells: int  # that could have been used
    depth_N: torch.Tensor | None = None  # metres, where depth was given
    scorer: ScoreNet | None = None  # chooses among hypotheses, where the map has one
    landmarks: SeenLandmarks | None = None
    timings: dict[str, float] = field(default_factory=dict)  # seconds by stage

    def correspondences(self, *, with_depth: bool, landmark_weight: float = 1.0) -> Correspondences:
        """2D-3D, or 3D-3D with depth: those of the cells first, then those of the landmarks."""
        depth, seen = self.depth_N if with_depth else None, self.landmarks
        if seen is None:
            return Correspondences.of_image(
                self.pixels_N2, self.points_N3, self.camera, depth_N=depth
            )
        if depth is not None and seen.depth_M is not None:
            depth = torch.cat([depth, seen.depth_M])
        is_landmark = torch.zeros(
            len(self.points_N3) + len(seen.points_M3),
            dtype=torch.bool,
            device=seen.points_M3.device,
        )
        is_landmark[len(self.points_N3) :] = True
        return Correspondences.of_image(
            torch.cat([self.pixels_N2, seen.pixels_M2]),
            torch.cat([self.points_N3, seen.points_M3]),
            self.camera,
            weights_N=torch.where(is_landmark, landmark_weight, 1.0),
            depth_N=depth,
            source_N=is_landmark,
        )

    def capacity(self, landmark_weight: float) -> float:
        """The weight of all correspondences that an image of this size could have."""
        if self.landmarks is None:
            return float(self.cells)
        return self.cells + landmark_weight * self.landmarks.most_keypoints


class Regressor(Protocol):
    """A scene map's network on one device."""

    def __call__(
        self, image: NDArray[np.uint8], camera: Camera, depth: NDArray[np.float32] | None
    ) -> Regressed:
        """Scene points of an image, H x W x 3 or H x W, and its depth [H x W], metres."""


def make_regressor(
    scene: SceneMap, device: torch.device, max_cells: int, use: Sources = "both"
) -> Regressor:
    """What the scene map needs; the map itself stays where it is.

    Raises:
        ConfigError: The map has not what is to be used.
    """
    if isinstance(scene.regressor, CoordinateHead):
        return FeatureRegressor(scene, scene.regressor, device, max_cells, use)
    if use == "landmarks":
        msg = f"scene '{scene.name}' has no landmarks: map it with --method fast"
        raise ConfigError(msg)
    return ImageRegressor(scene, scene.regressor, device)


class FeatureRegressor:
    """A fast map: a frozen encoder, a head on the features of the best cells, and landmarks."""

    def __init__(
        self,
        scene: SceneMap,
        head: CoordinateHead,
        device: torch.device,
        max_cells: int,
        use: Sources = "both",
    ) -> None:
        """Copy head and landmarks to the device.

        Raises:
            ConfigError: The map has not what is to be used.
        """
        self._scene, self._device, self._max_cells = scene, device, max_cells
        self._encoder = shared_encoder(device, inference_dtype(device))
        self._detect = self._encoder.keypoints
        self._head, self._matcher = None, None
        if use != "landmarks" and scene.regression:
            self._head = copy.deepcopy(head).to(device)
            if can_fuse(device, self._encoder.dtype):
                self._head.fuse(self._encoder.dtype)
        if use != "regression" and scene.landmarks is not None:
            self._matcher = LandmarkMatcher(scene.landmarks, device, self._encoder.dtype)
        if self._head is None and self._matcher is None:
            has, lacks = ("landmarks", "regression") if use == "regression" else ("", "landmarks")
            msg = f"scene '{scene.name}' has no {lacks}" + (f", only {has}" if has else "")
            raise ConfigError(f"{msg}: map it with --{lacks} on")

    @torch.inference_mode()
    def __call__(
        self, image: NDArray[np.uint8], camera: Camera, depth: NDArray[np.float32] | None
    ) -> Regressed:
        """See ``Regressor``."""
        started = time.perf_counter()
        image, camera = resize_to_focal_length(image, camera, self._scene.camera)
        gray = torch.from_numpy(to_gray(image)).to(self._device)
        gray_at = time.perf_counter()
        encoded = self._encoder(gray)
        encoded_at = time.perf_counter()
        least = self._scene.calibration.min_reliability
        reliable = encoded.most_reliable(least, self._max_cells if self._head is not None else 0)
        points = torch.zeros(0, 3, device=self._device)
        if self._head is not None:
            low_precision = self._encoder.dtype != torch.float32
            with torch.autocast(self._device.type, self._encoder.dtype, enabled=low_precision):
                features = of_few_sizes(rows_of(encoded.features_NC, reliable))
                points = self._head(features)[: len(reliable)]
        pixels = encoded.pixels_N2[reliable].cpu().double().numpy()
        ideal = torch.from_numpy(camera.undistort(pixels)).to(points)
        timings = {
            "gray": gray_at - started,
            "encode": encoded_at - gray_at,
            "regress": time.perf_counter() - encoded_at,
        }
        return Regressed(
            ideal,
            points,
            camera,
            cells=0 if self._head is None else min(len(encoded.reliability_N), self._max_cells),
            depth_N=None if depth is None else _depth_of(depth, pixels, camera),
            landmarks=self._see_landmarks(gray, encoded, camera, depth, timings),
            timings=timings,
        )

    def _see_landmarks(
        self,
        gray: torch.Tensor,
        encoded: EncodedImage,
        camera: Camera,
        depth: NDArray[np.float32] | None,
        timings: dict[str, float],
    ) -> SeenLandmarks | None:
        if self._matcher is None:
            return None
        started = time.perf_counter()
        keypoints = self._detect(gray, encoded, _KEYPOINTS)
        detected_at = time.perf_counter()
        matches = self._matcher(keypoints)
        pixels = keypoints.pixels_K2[matches.keypoint_M].cpu().double().numpy()
        ideal = torch.from_numpy(camera.undistort(pixels)).to(matches.points_M3)
        timings["keypoints"] = detected_at - started
        timings["match"] = time.perf_counter() - detected_at
        return SeenLandmarks(
            ideal,
            matches.points_M3,
            len(keypoints.pixels_K2),
            min(_KEYPOINTS, len(encoded.reliability_N)),
            None if depth is None else _depth_of(depth, pixels, camera),
        )


class ImageRegressor:
    """A map as of DSAC*: one network from the image to the scene points of all cells."""

    def __init__(self, scene: SceneMap, network: CoordinateNetwork, device: torch.device) -> None:
        """Copy the networks to the device."""
        self._scene, self._device = scene, device
        self._network = copy.deepcopy(network).to(device)
        self._scorer = None if scene.scorer is None else copy.deepcopy(scene.scorer).to(device)
        # Coordinates in bfloat16 are off by a percent; a CPU has no other low precision.
        self._dtype = torch.float16 if device.type == "cuda" else torch.float32

    @torch.inference_mode()
    def __call__(
        self, image: NDArray[np.uint8], camera: Camera, depth: NDArray[np.float32] | None
    ) -> Regressed:
        """See ``Regressor``."""
        started = time.perf_counter()
        resized, lens = resize_to_focal_length(image, camera, self._scene.camera)
        gray, ideal, seen = rectify(to_gray(resized), lens)
        normal = normalise_gray(torch.from_numpy(np.ascontiguousarray(gray)).to(self._device))
        low_precision = self._dtype != torch.float32
        with torch.autocast(self._device.type, self._dtype, enabled=low_precision):
            points = self._network(normal[None, None])[0].flatten(1).T
        grid = output_grid(*gray.shape)
        pixels = cell_centres(*grid)
        if seen is not None:
            row, column = (pixels.flip(1).round().long()).T
            row, column = row.clamp(max=gray.shape[0] - 1), column.clamp(max=gray.shape[1] - 1)
            hidden = ~torch.from_numpy(seen)[row, column]
            points = points.masked_fill(hidden.to(points.device)[:, None], torch.nan)
        if self._scorer is not None:
            self._scorer = self._scorer.on_grid(grid)
        if depth is not None:
            in_lens = lens.distort(pixels.double().numpy())
        return Regressed(
            pixels.to(points),
            points,
            ideal,
            cells=len(pixels),
            depth_N=None if depth is None else _depth_of(depth, in_lens, lens),
            scorer=self._scorer,
            timings={"regress": time.perf_counter() - started},
        )


def _depth_of(
    depth: NDArray[np.float32], pixels_N2: NDArray[np.float64], camera: Camera
) -> torch.Tensor:
    return torch.from_numpy(depth_at(depth, pixels_N2, camera))
