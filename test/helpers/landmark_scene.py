# SPDX-License-Identifier: Apache-2.0
"""An image of noise before the bumpy scene, and a map that knows its cells and its keypoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from stand_in import CAMERA, depth_along, depth_image, planar, pose_near

from dsac_core.geometry.camera import Camera
from dsac_core.landmarks.landmark_map import LandmarkMap, quantised
from dsac_core.landmarks.places import describe_place, learn_words
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.networks.keypoint_detector import KeypointDetector, Keypoints
from dsac_core.scene.scene_map import Calibration, SceneMap

LANDMARK_CAMERA = CAMERA.scaled(320, 240)
_CPU = torch.device("cpu")


class RecallingHead(CoordinateHead):
    """Says of each cell the point that goes with the most similar features it knows."""

    def __init__(self, features_NC: torch.Tensor, points_N3: torch.Tensor) -> None:
        with torch.random.fork_rng(devices=[]):
            super().__init__(HeadConfig(width=8, blocks=1))
        self.register_buffer("known", features_NC.float())
        self.register_buffer("points", points_N3.float())

    def forward(self, features_NC: torch.Tensor) -> torch.Tensor:
        known, points = self.get_buffer("known"), self.get_buffer("points")
        return points[torch.cdist(features_NC.float(), known).argmin(dim=1)]


@dataclass(frozen=True)
class KnownView:
    """One image, whose truth is known at every pixel."""

    image: np.ndarray  # gray
    camera: Camera
    world_T_cam: np.ndarray
    keypoints: Keypoints
    head: RecallingHead  # knows the cells of the image

    def points_at(self, pixels_N2: np.ndarray) -> np.ndarray:
        """Scene points [N x 3] at pixels of the image, with distortion as the camera has it."""
        depth = depth_along(self.camera, pixels_N2)[:, None]
        in_camera = np.hstack([planar(self.camera, pixels_N2) * depth, depth])
        pose = self.world_T_cam
        return np.asarray(in_camera @ pose[:3, :3].T + pose[:3, 3])

    @property
    def depth(self) -> np.ndarray:
        """Of all pixels [H x W]."""
        return depth_image(self.camera)

    def landmarks(self, rows: slice = slice(None)) -> LandmarkMap:
        """Of the keypoints at ``rows``."""
        points = self.points_at(self.keypoints.pixels_K2.double().numpy())
        return hand_made(self.keypoints.descriptors_KC[rows], torch.from_numpy(points)[rows])


def known_view(camera: Camera = LANDMARK_CAMERA, seed: int = 0) -> KnownView:
    """An image of noise of two sizes, seen by a camera some decimetres from the origin."""
    rng = np.random.default_rng(seed)
    gray = np.zeros((camera.height, camera.width))
    for blob, contrast in ((24, 50.0), (6, 40.0)):
        coarse = rng.normal(scale=contrast, size=(camera.height // blob, camera.width // blob))
        size = (camera.width, camera.height)
        gray += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    image = np.clip(gray + 127.0, 0, 255).astype(np.uint8)
    encoder = ImageEncoder(_CPU)
    encoded = encoder(torch.from_numpy(image))
    found = KeypointDetector(_CPU, encoder.dtype)(torch.from_numpy(image), encoded, 1000)
    unknowing = RecallingHead(torch.zeros(1, 1), torch.zeros(1, 3))
    view = KnownView(image, camera, pose_near(seed), found, unknowing)
    points = torch.from_numpy(view.points_at(encoded.pixels_N2.double().numpy()))
    head = RecallingHead(encoded.features_NC, points)
    return KnownView(image, camera, view.world_T_cam, found, head)


def hand_made(descriptors_LC: torch.Tensor, points_L3: torch.Tensor) -> LandmarkMap:
    """Landmarks that one view sees, all of them."""
    words = learn_words([descriptors_LC], torch.Generator().manual_seed(0))
    count = len(points_L3)
    return LandmarkMap(
        points_L3=points_L3.float(),
        descriptors_LC=quantised(descriptors_LC),
        words_WC=words,
        places_VP=quantised(describe_place(descriptors_LC, words))[None],
        first_V=torch.tensor([0, count], dtype=torch.int32),
        sighted_O=torch.arange(count, dtype=torch.int32),
    )


def landmark_scene(view: KnownView, **fields: Any) -> SceneMap:
    """A map of the view: its cells and its landmarks are right, where ``fields`` do not differ."""
    usual: dict[str, Any] = {
        "name": "known",
        "frame_id": "map",
        "regressor": view.head,
        "camera": view.camera,
        "bounds": np.array([[-1.0, -1.0, 0.0], [1.0, 1.0, 3.0]]),
        "calibration": Calibration(0.0, min_support=0.3, covariance_scale=1.0),
        "landmarks": view.landmarks(),
    }
    return SceneMap(**{**usual, **fields})


def lost(head: RecallingHead) -> RecallingHead:
    """A head that knows as many cells, all of them anywhere."""
    generator = torch.Generator().manual_seed(0)
    anywhere = torch.randn(head.get_buffer("points").shape, generator=generator)
    return RecallingHead(head.get_buffer("known"), 3.0 * anywhere)
