# SPDX-License-Identifier: Apache-2.0
"""How well a head under training localizes some held-out frames, for people to watch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from dsac_core.data.frame import spread_indices
from dsac_core.geometry.images import resize_to_focal_length, to_gray
from dsac_core.geometry.pose import invert, pose_error
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.relocalizer import DEFAULT_RANSAC, Relocalizer
from dsac_core.scene.confidence import USABLE_ROTATION, USABLE_TRANSLATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.data.frame import Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.networks.image_encoder import ImageEncoder
    from dsac_core.scene.scene_map import SceneMap

_FRAMES = 8
_CHECKS = 8  # in the course of the training
_SHARE = 0.03  # of the time spent on the map so far
_MAX_CELLS = 3000  # as a relocalizer uses
_SECONDS_PER_FRAME = 0.1  # to encode it and estimate its pose, as long as that was not measured


class _View(NamedTuple):
    features_NC: torch.Tensor
    pixels_N2: torch.Tensor  # without distortion
    camera: Camera
    world_T_cam: NDArray[np.float64]


class LiveRecall:
    """Tries the head now and then, as often as it costs little; the weights stay as they are."""

    def __init__(
        self, frames: Sequence[Frame], reference: Camera, encoder: ImageEncoder, least: float
    ) -> None:
        """Take held-out frames; they are encoded when they are first needed.

        Args:
            frames: Some of them are used.
            reference: The camera to whose focal length the map resizes images.
            encoder: Of the map.
            least: Reliability of the cells that are used.
        """
        self._frames = [frames[index] for index in sorted(spread_indices(len(frames), _FRAMES))]
        self._reference, self._encoder, self._least = reference, encoder, least
        self._views: list[_View] = []
        self._next_mark = 1.0 / _CHECKS
        self._spent = 0.0
        self._expected = _SECONDS_PER_FRAME * len(self._frames)
        self.words = ""  # what the last check found

    def watch(self, head: CoordinateHead, done: float, elapsed: float) -> None:
        """Check the head if it is time, and if there is time.

        Args:
            head: Under training.
            done: How far training is, in [0, 1].
            elapsed: Seconds that were spent on the map so far.
        """
        affordable = self._spent + self._expected <= _SHARE * elapsed
        if not self._frames or done < self._next_mark or not affordable:
            return
        self._next_mark = (int(done * _CHECKS) + 1) / _CHECKS
        started = time.perf_counter()
        good = self.check(head)
        self.words = f"held-out {good} of {len(self._frames)} within 10 cm/5 deg"
        taken = time.perf_counter() - started
        # The first check encoded the frames, which is most of what it took.
        self._expected = 0.5 * taken if self._spent == 0.0 else taken
        self._spent += taken

    @torch.inference_mode()
    def check(self, head: CoordinateHead) -> int:
        """How many of the frames are localized within 10 cm and 5 degrees."""
        self._views = self._views or [self._encoded(frame) for frame in self._frames]
        training = head.training
        head.eval()
        good = sum(self._is_localized(head, view) for view in self._views)
        head.train(training)
        return good

    def _encoded(self, frame: Frame) -> _View:
        image, camera = resize_to_focal_length(frame.image, frame.camera, self._reference)
        device = next(self._encoder.parameters()).device
        encoded = self._encoder(torch.from_numpy(to_gray(image)).to(device))
        order = encoded.reliability_N.argsort(descending=True, stable=True)
        usable = int((encoded.reliability_N >= self._least).sum())
        cells = order[: min(_MAX_CELLS, usable)]
        pixels = camera.undistort(encoded.pixels_N2[cells].cpu().double().numpy())
        ideal = torch.from_numpy(pixels).float().to(device)
        return _View(encoded.features_NC[cells], ideal, camera, frame.world_T_cam)

    def _is_localized(self, head: CoordinateHead, view: _View) -> bool:
        low = self._encoder.dtype != torch.float32
        with torch.autocast(view.pixels_N2.device.type, self._encoder.dtype, enabled=low):
            points = head(view.features_NC)
        correspondences = Correspondences.of_image(view.pixels_N2, points, view.camera)
        generator = torch.Generator().manual_seed(0)
        result = estimate_poses(correspondences, DEFAULT_RANSAC, generator)
        if not result.found_B[0]:
            return False
        cam_T_world = np.eye(4)
        cam_T_world[:3] = result.cam_T_world_B34[0].double().cpu().numpy()
        return _is_near(invert(cam_T_world), view.world_T_cam)


def localized_well(scene: SceneMap, frames: Sequence[Frame], device: torch.device) -> int:
    """How many of the frames a map localizes within 10 cm and 5 degrees, from colour alone."""
    relocalizer = Relocalizer(scene, device=str(device))
    poses = [(relocalizer(frame.image, frame.camera).world_T_cam, frame) for frame in frames]
    return sum(pose is not None and _is_near(pose, frame.world_T_cam) for pose, frame in poses)


def _is_near(pose: NDArray[np.float64], truth: NDArray[np.float64]) -> bool:
    distance, angle = pose_error(pose, truth)
    return distance < USABLE_TRANSLATION and angle < USABLE_ROTATION
