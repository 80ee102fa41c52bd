# SPDX-License-Identifier: Apache-2.0
"""A room of random points that posed views see as keypoints: which point each shows is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert
from dsac_core.training.cell_buffer import CellBuffer
from dsac_core.training.keypoint_view import KeypointView
from dsac_core.training.landmark_tracks import Tracks

ROOM_CAMERA = Camera(320, 240, 260.0, 255.0, 161.0, 118.0)
CHANNELS = 64
BASELINE = 0.45  # metres: about what landmarks want at the depth of the room


@dataclass(frozen=True)
class LandmarkRoom:
    """Points, and views of them."""

    points_P3: torch.Tensor  # metres, float64
    views: list[KeypointView]
    shown: list[torch.Tensor]  # for each view the point [K] that a keypoint shows, -1 for none
    poses: list[np.ndarray]  # world_T_cam

    def with_view_empty(self, number: int) -> LandmarkRoom:
        """The same, where a view has no keypoints."""
        old = self.views[number]
        none = torch.zeros(0, dtype=torch.long)
        emptied = replace(
            old,
            pixels_K2=old.pixels_K2[:0],
            descriptors_KC=old.descriptors_KC[:0],
            depth_K=old.depth_K[:0],
        )
        views, shown = list(self.views), list(self.shown)
        views[number], shown[number] = emptied, none
        return replace(self, views=views, shown=shown)

    def true_points(self, tracks: Tracks) -> tuple[torch.Tensor, torch.Tensor]:
        """The point of each track that its first sighting shows, and which sightings show it."""
        point_O = torch.tensor(
            [
                int(self.shown[view][keypoint])
                for view, keypoint in zip(
                    tracks.view_O.tolist(), tracks.keypoint_O.tolist(), strict=True
                )
            ]
        )
        point_T = torch.full((len(tracks.points_T3),), -1)
        point_T[tracks.track_O.flip(0)] = point_O.flip(0)
        return point_T, point_O == point_T[tracks.track_O]

    def cells(self, depth_of: int | None = None) -> CellBuffer:
        """All cells of the views' images; those of one image have measured depth, of 9 m."""
        rows, columns = ROOM_CAMERA.height // 8, ROOM_CAMERA.width // 8
        y, x = np.mgrid[0:rows, 0:columns]
        pixels = torch.from_numpy(np.column_stack([8.0 * x.ravel(), 8.0 * y.ravel()]) + 3.5)
        count = len(pixels)
        made = CellBuffer(count * len(self.views), 2, torch.float32, torch.device("cpu"))
        for number, pose in enumerate(self.poses):
            depth = torch.full((count,), 9.0) if number == depth_of else None
            made.add_image(torch.zeros(count, 2), pixels.float(), depth, ROOM_CAMERA, pose)
        return made


def landmark_room(
    views: int = 8,
    points: int = 250,
    *,
    clutter: int = 30,
    repeated: int = 20,
    noise: float = 0.3,
    with_depth: bool = False,
    seed: int = 0,
) -> LandmarkRoom:
    """Cameras 20 cm apart look at points two to four metres away.

    Args:
        views: Cameras.
        points: Of the room.
        clutter: Keypoints of each view that no other has.
        repeated: Points that look like another one.
        noise: Of the pixels, px; descriptors of one point are alike by about 0.9.
        with_depth: Whether keypoints have measured depth: exact, for two thirds of them.
        seed: Of everything.
    """
    rng = np.random.default_rng(seed)
    world = rng.uniform([-2.0, -1.5, 2.0], [3.5, 1.5, 4.0], (points, 3))
    looks = rng.normal(size=(points, CHANNELS))
    looks[:repeated] = looks[repeated : 2 * repeated]
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    made, shown, poses = [], [], []
    for number in range(views):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_rotvec(rng.normal(scale=0.05, size=3)).as_matrix()
        pose[:3, 3] = [0.2 * number, 0.1 * (number % 2), 0.05 * (number % 3)]
        cam_T_world = invert(pose)
        in_camera = world @ cam_T_world[:3, :3].T + cam_T_world[:3, 3]
        focal = np.array([ROOM_CAMERA.fx, ROOM_CAMERA.fy])
        centre = np.array([ROOM_CAMERA.cx, ROOM_CAMERA.cy])
        pixels = in_camera[:, :2] / in_camera[:, 2:] * focal
        size = np.array([ROOM_CAMERA.width, ROOM_CAMERA.height])
        inside = ((pixels + centre > 4) & (pixels + centre < size - 4)).all(axis=1)
        seen = rng.permutation(np.flatnonzero(inside))
        low, high = 4 - centre, size - 4 - centre
        where = np.vstack([pixels[seen], rng.uniform(low, high, (clutter, 2))])
        where[: len(seen)] += rng.normal(scale=noise, size=(len(seen), 2))
        look = np.vstack([looks[seen], 9.0 * rng.normal(size=(clutter, CHANNELS))])
        look += 0.04 * rng.normal(size=look.shape)
        depth = np.append(in_camera[seen, 2], rng.uniform(2.0, 6.0, clutter))
        depth[rng.random(len(depth)) < (1 / 3 if with_depth else 1.0)] = 0.0
        intrinsics = torch.tensor([*focal, *centre], dtype=torch.float32)
        made.append(
            KeypointView(
                torch.from_numpy(where).float(),
                functional.normalize(torch.from_numpy(look), dim=1).half(),
                torch.from_numpy(depth).float(),
                intrinsics,
                torch.from_numpy(cam_T_world[:3]),
            )
        )
        shown.append(torch.from_numpy(np.append(seen, np.full(clutter, -1))))
        poses.append(pose)
    return LandmarkRoom(torch.from_numpy(world), made, shown, poses)
