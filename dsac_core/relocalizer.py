# SPDX-License-Identifier: Apache-2.0
"""Image in, pose out: the one door through which everything else comes."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from dsac_core.errors import CameraError, ConfigError
from dsac_core.geometry.pose import invert, rotate_covariance
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import RansacResult, estimate_poses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.image_encoder import EncodedImage
    from dsac_core.scene.scene_map import SceneMap

DEFAULT_RANSAC = RansacConfig(robust_scale=3.0)
_LEAST_SHARE_OF_CELLS = 0.1  # of an image: as if so many were usable, when fewer are
_SAME_FOCAL_LENGTH = 0.05  # relative difference up to which an image is not resized


@dataclass(frozen=True)
class PoseEstimate:
    """Where the camera is, and how far to believe it."""

    world_T_cam: NDArray[np.float64] | None  # 4 x 4, optical frame in the map; None if none found
    covariance: NDArray[np.float64] | None  # 6 x 6, REP-103 order, fixed axes of the map
    localized: bool  # the map's own judgement
    inliers: int
    correspondences: int
    score: float  # soft inlier count over correspondences, in [0, 1]
    reason: str  # in words
    support: float = 0.0  # share of the cells that agree: what "localized" is decided by
    timings: dict[str, float] = field(default_factory=dict)  # seconds by stage


class Relocalizer:
    """Relocalizes single images in one scene map.

    The same image gives the same pose: RANSAC starts from the same seed for each image.
    """

    def __init__(
        self,
        scene: SceneMap,
        *,
        device: str = "cpu",
        ransac: RansacConfig | None = None,
        max_cells: int = 3000,
    ) -> None:
        """Load the networks.

        Args:
            scene: The map.
            device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for CUDA where it works.
            ransac: Settings; by default those of DSAC*, with robust weights at the end.
            max_cells: Of an image, at most so many are used: the most reliable ones. Of the 4800
                cells of a 640x480 image the other third costs a quarter of the time and adds
                nothing to the pose.

        Raises:
            ConfigError: The device is not to be had.
        """
        self.scene = scene
        self.device = choose_device(device)
        self._ransac = ransac or DEFAULT_RANSAC
        self._max_cells = max_cells
        self._encoder = ImageEncoder(self.device)
        self._head = copy.deepcopy(scene.head).to(self.device)  # the map itself stays on the CPU

    def __call__(self, image: NDArray[np.uint8], camera: Camera) -> PoseEstimate:
        """Estimate the pose of the camera that took ``image``.

        Args:
            image: H x W x 3 (RGB) or H x W (gray), uint8.
            camera: Its calibration, for exactly this image size.

        Raises:
            CameraError: The calibration is for another image size.
        """
        if image.shape[:2] != (camera.height, camera.width):
            msg = (
                f"the image is {image.shape[1]}x{image.shape[0]}, its calibration is for"
                f" {camera.width}x{camera.height}"
            )
            raise CameraError(msg)
        started = time.perf_counter()
        image, camera = resize_to_focal_length(image, camera, self.scene.camera)
        encoded = self._encoder(torch.from_numpy(to_gray(image)).to(self.device))
        encoded_at = time.perf_counter()
        correspondences = self._regress(encoded, camera)
        regressed_at = time.perf_counter()
        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            result = estimate_poses(correspondences, self._ransac, generator)
        timings = {
            "encode": encoded_at - started,
            "regress": regressed_at - encoded_at,
            "ransac": time.perf_counter() - regressed_at,
        }
        cells = min(len(encoded.reliability_N), self._max_cells)
        return self._judge(result, int(correspondences.count_B[0]), cells, timings)

    @torch.inference_mode()
    def _regress(self, encoded: EncodedImage, camera: Camera) -> Correspondences:
        """Scene points of the reliable cells, with their undistorted pixels."""
        usable = encoded.reliability_N >= self.scene.calibration.min_reliability
        order = encoded.reliability_N.argsort(descending=True, stable=True)
        reliable = order[: min(self._max_cells, int(usable.sum()))]
        low_precision = self._encoder.dtype != torch.float32
        with torch.autocast(self.device.type, self._encoder.dtype, enabled=low_precision):
            points = self._head(encoded.features_NC[reliable])
        pixels = camera.undistort(encoded.pixels_N2[reliable].cpu().double().numpy())
        ideal = torch.from_numpy(pixels).to(points)
        return Correspondences.of_image(ideal, points, camera)

    def _judge(
        self, result: RansacResult, count: int, cells: int, timings: dict[str, float]
    ) -> PoseEstimate:
        if not result.found_B[0]:
            reason = f"no consistent pose among {count} usable cells"
            return PoseEstimate(None, None, False, 0, count, 0.0, reason, timings=timings)
        inliers = int(result.inliers_BN[0].sum())
        # A few cells soon agree by chance, so an image of little texture does not gain by it.
        support = inliers / max(count, _LEAST_SHARE_OF_CELLS * cells)
        needed = self.scene.calibration.min_support
        covariance = result.covariance_B66[0].cpu().numpy()
        covariance = covariance * self.scene.calibration.covariance_scale
        reason = f"{inliers} of {count} usable cells agree"
        if support < needed:
            reason += f": support {support:.0%}, the map asks for {needed:.0%}"
        cam_T_scene = np.eye(4)
        cam_T_scene[:3] = result.cam_T_world_B34[0].double().cpu().numpy()
        map_T_scene = self.scene.map_T_scene
        return PoseEstimate(
            world_T_cam=map_T_scene @ invert(cam_T_scene),
            covariance=rotate_covariance(covariance, map_T_scene[:3, :3]),
            localized=support >= needed,
            inliers=inliers,
            correspondences=count,
            score=float(result.score_B[0]) / count,
            reason=reason,
            support=support,
            timings=timings,
        )


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes CUDA where it works, else the CPU.

    Raises:
        ConfigError: The name is unknown, or the device is not to be had.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"unknown device '{name}': use cpu, cuda, cuda:N or auto"
        raise ConfigError(msg) from error
    if device.type not in ("cpu", "cuda"):
        msg = f"device '{name}' is not supported: use cpu, cuda, cuda:N or auto"
        raise ConfigError(msg)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        msg = f"device '{name}' is not available on this machine: use cpu or auto"
        raise ConfigError(msg)
    return device


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """H x W gray of an RGB or gray image."""
    if image.ndim == 2:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def resize_to_focal_length(
    image: NDArray[np.uint8], camera: Camera, reference: Camera
) -> tuple[NDArray[np.uint8], Camera]:
    """The image as a camera with the focal length of ``reference`` would have taken it.

    The network learned how the scene looks at that focal length; an image that is already within
    five percent stays as it is.
    """
    factor = (reference.fx + reference.fy) / (camera.fx + camera.fy)
    if abs(factor - 1.0) <= _SAME_FOCAL_LENGTH:
        return image, camera
    width, height = max(32, round(camera.width * factor)), max(32, round(camera.height * factor))
    method = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=method)
    return np.asarray(resized, dtype=np.uint8), camera.scaled(width, height)
