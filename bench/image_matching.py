# SPDX-License-Identifier: Apache-2.0
"""Relocalization as one would build it without a network for the scene: out of training images.

Retrieve the training images that look most like the query, by VLAD of XFeat's descriptors; take the
pose of the first, or match keypoints with several of them and solve PnP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from bench.splits import Part
from dsac_core.data.frame import ALL, Frame
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.images import to_gray
from dsac_core.geometry.pose import invert
from dsac_core.landmarks.mutual_nearest import mutual_nearest
from dsac_core.landmarks.places import describe_place, learn_words
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.networks.keypoint_detector import KeypointDetector
from dsac_core.training.keypoint_view import KeypointView
from dsac_core.training.landmark_config import LandmarkConfig
from dsac_core.training.landmark_tracks import find_tracks

KEYPOINTS = 1000  # of an image
_MOST_SIMILAR = 10  # training images that a query is matched with
_LEAST_SIMILARITY = 0.82  # cosine of the descriptors of a match: XFeat's own threshold
_THRESHOLD = 10.0  # px, of an inlier: as ours
_BASELINE = 0.3  # metres, wanted between images from which points are triangulated
_HALF, _SINGLE = 2, 4  # bytes


class Describer:
    """Keypoints of images, as a fast map sees them too."""

    def __init__(self) -> None:
        cpu = torch.device("cpu")
        self._encoder = ImageEncoder(cpu)
        self._detector = KeypointDetector(cpu, self._encoder.dtype)

    def __call__(self, frame: Frame) -> KeypointView:
        gray = torch.from_numpy(to_gray(frame.image))
        found = self._detector(gray, self._encoder(gray), KEYPOINTS)
        pose = frame.world_T_cam
        return KeypointView.of(found, frame.camera, pose, frame.depth, torch.float32)


@dataclass(frozen=True)
class Retrieval:
    """Training images by how they look as a whole."""

    views: Sequence[KeypointView]
    words_WC: torch.Tensor
    places_VP: torch.Tensor

    @classmethod
    def of(cls, views: Sequence[KeypointView]) -> Retrieval:
        words = learn_words([view.descriptors_KC for view in views], torch.Generator())
        places = [describe_place(view.descriptors_KC, words) for view in views]
        return cls(views, words, torch.stack(places))

    def nearest(self, query: KeypointView, most: int) -> list[int]:
        """The most similar training images, best first."""
        similarity = self.places_VP @ describe_place(query.descriptors_KC, self.words_WC)
        return similarity.topk(min(most, len(similarity))).indices.tolist()

    @property
    def bytes(self) -> int:
        """Of place descriptors and words in half precision, and of poses."""
        pose = 7 * _SINGLE
        return _HALF * (self.places_VP.numel() + self.words_WC.numel()) + pose * len(self.views)


class NearestImage:
    """Says the pose of the training image that looks most like the query."""

    def __init__(self, mapped: Part) -> None:
        self._describe = Describer()
        self._retrieval = Retrieval.of([self._describe(frame) for frame in mapped.frames(ALL)])
        self.bytes = self._retrieval.bytes

    def __call__(self, frame: Frame) -> np.ndarray | None:
        (best,) = self._retrieval.nearest(self._describe(frame), 1)
        return _world_T_cam(self._retrieval.views[best].cam_T_world_34.numpy())


class Matching:
    """Matches keypoints with similar training images, whose keypoints are known in 3D."""

    def __init__(self, mapped: Part, *, with_depth: bool) -> None:
        """Know the keypoints in 3D by the recording's depth, or triangulate them."""
        self._describe = Describer()
        frames = mapped.frames(ALL, with_depth=with_depth)
        views = [self._describe(frame) for frame in frames]
        self._retrieval = Retrieval.of(views)
        self._points = _lifted(views) if with_depth else _triangulated(views)
        self._known = [torch.from_numpy(np.isfinite(each).all(axis=1)) for each in self._points]
        known = sum(int(each.sum()) for each in self._known)
        each = _HALF * views[0].descriptors_KC.shape[1] + 3 * _SINGLE
        self.bytes = self._retrieval.bytes + known * each

    def __call__(self, frame: Frame) -> np.ndarray | None:
        query = self._describe(frame)
        pixels, points = [np.zeros((0, 2))], [np.zeros((0, 3))]
        for number in self._retrieval.nearest(query, _MOST_SIMILAR):
            known = self._known[number]
            descriptors = self._retrieval.views[number].descriptors_KC[known]
            rows, columns = mutual_nearest(query.descriptors_KC, descriptors, _LEAST_SIMILARITY)
            pixels.append(query.pixels_K2[rows].double().numpy())
            points.append(self._points[number][known.numpy()][columns.numpy()])
        return solve_pnp(np.concatenate(points), np.concatenate(pixels), frame.camera)


def solve_pnp(points_N3: np.ndarray, pixels_N2: np.ndarray, camera: Camera) -> np.ndarray | None:
    """OpenCV's MAGSAC and Levenberg-Marquardt on its inliers; pixels from the principal point."""
    if len(points_N3) < 4:
        return None
    focal = np.diag([camera.fx, camera.fy, 1.0])
    found, turn, shift, inliers = cv2.solvePnPRansac(
        points_N3,
        pixels_N2,
        focal,
        None,
        iterationsCount=10_000,
        reprojectionError=_THRESHOLD,
        confidence=0.99,
        flags=cv2.USAC_MAGSAC,
    )
    if not found or inliers is None or len(inliers) < 4:
        return None
    chosen = inliers[:, 0]
    turn, shift = cv2.solvePnPRefineLM(
        points_N3[chosen], pixels_N2[chosen], focal, None, turn, shift
    )
    return _world_T_cam(np.column_stack([cv2.Rodrigues(turn)[0], shift]))


def _lifted(views: Sequence[KeypointView]) -> list[np.ndarray]:
    """Scene points [K x 3] of each view's keypoints by depth, NaN where there is none."""
    lifted = []
    for view in views:
        depth = view.depth_K.double().numpy()[:, None]
        rays = view.pixels_K2.double().numpy() / view.intrinsics_4[:2].double().numpy()
        in_camera = np.hstack([rays * depth, depth])
        pose = _world_T_cam(view.cam_T_world_34.numpy())
        points = in_camera @ pose[:3, :3].T + pose[:3, 3]
        lifted.append(np.where(depth > 0, points, np.nan))
    return lifted


def _triangulated(views: Sequence[KeypointView]) -> list[np.ndarray]:
    """The same, from the matches of neighbouring views."""
    tracks = find_tracks(views, _BASELINE, LandmarkConfig())
    lifted = [np.full((len(view.depth_K), 3), np.nan) for view in views]
    points = tracks.points_T3[tracks.track_O].numpy()
    for number, each in enumerate(lifted):
        mine = tracks.view_O == number
        each[tracks.keypoint_O[mine].numpy()] = points[mine.numpy()]
    return lifted


def _world_T_cam(cam_T_world_34: np.ndarray) -> np.ndarray:
    full = np.eye(4)
    full[:3] = cam_T_world_34
    return invert(full)
