# SPDX-License-Identifier: Apache-2.0
"""Landmarks of a recording that is being mapped: found once, they also say how deep its cells are.

They are the sparse 3D model of DSAC*'s setting "RGB + 3D model" (Eq. 15): where a cell shows a
landmark, its depth is known.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from scipy.spatial import cKDTree

from dsac_core.geometry.grid import STRIDE
from dsac_core.training.landmark_choice import build_landmark_map
from dsac_core.training.landmark_tracks import find_tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dsac_core.landmarks.landmark_map import LandmarkMap
    from dsac_core.progress import Progress
    from dsac_core.training.cell_buffer import CellBuffer
    from dsac_core.training.keypoint_view import KeypointView
    from dsac_core.training.landmark_config import LandmarkConfig
    from dsac_core.training.landmark_tracks import Tracks
    from dsac_core.training.workers import Workers

# Of the depth, to which predictions must agree with it. It decides what is valid, and is not
# learned itself: views of a cell from elsewhere know the depth better than one triangulation.
_DEPTH_TOLERANCE = 0.13


@dataclass(frozen=True)
class FoundLandmarks:
    """What came of a recording."""

    map: LandmarkMap | None  # None: too little was found
    pairs: int  # of images that were matched
    tracks: int  # of which some became landmarks
    seconds: float


def find_landmarks(
    keypoints: Sequence[KeypointView],
    cells: CellBuffer,
    typical_depth: float,
    config: LandmarkConfig,
    workers: Workers,
    *,
    depth_scale: float,
    seed: int,
    enough: Callable[[int], bool],
    progress: Progress,
) -> FoundLandmarks:
    """Find them, and say how deep the cells are that show them, where it was not measured.

    Args:
        keypoints: Of this worker's images, as they were taken.
        cells: Of the same images; depths are set.
        typical_depth: Of the scene, metres.
        config: The settings.
        workers: The first one finds the landmarks, for all.
        depth_scale: What measured depth is to be multiplied by.
        seed: Of what is chosen at random.
        enough: As `find_tracks` asks it.
        progress: Is told how far it is.
    """
    started = time.perf_counter()
    scaled = [view.with_depth_scaled(depth_scale) for view in keypoints]
    shared = workers.gather(scaled)
    views = [view for part in shared for view in part]
    found = None
    if workers.rank == 0:
        baseline = config.parallax * typical_depth
        tracks = find_tracks(views, baseline, config, enough=enough, progress=progress)
        generator = torch.Generator().manual_seed(seed)
        found = tracks, build_landmark_map(tracks, views, config, generator)
    tracks, landmarks = next(each for each in workers.gather(found) if each is not None)
    before = sum(map(len, shared[: workers.rank]))
    for number, image in enumerate(cells.taken):
        _set_depth(cells, image, tracks, before + number, views[before + number])
    seconds = time.perf_counter() - started
    kept = landmarks if len(landmarks) else None
    return FoundLandmarks(kept, tracks.pairs, len(tracks.points_T3), seconds)


def _set_depth(
    cells: CellBuffer, image: int, tracks: Tracks, view: int, keypoints: KeypointView
) -> None:
    """Give the cells around an image's sighted keypoints the depth of what they show."""
    sighted = tracks.view_O == view
    own = cells.image(image)
    if not bool(sighted.any()) or len(own.pixels_N2) == 0:
        return
    pose = keypoints.cam_T_world_34.double()
    points = tracks.points_T3[tracks.track_O[sighted]]
    depth = (points @ pose[2, :3] + pose[2, 3]).float()
    pixels = keypoints.pixels_K2[tracks.keypoint_O[sighted]] + keypoints.intrinsics_4[2:]
    tree = cKDTree(own.pixels_N2.cpu().numpy())
    distance, nearest = tree.query(pixels.numpy(), distance_upper_bound=STRIDE / 2)
    near = torch.from_numpy(distance).isfinite() & (depth > 0)
    cell = torch.from_numpy(nearest)[near]
    known = own.depth_N.cpu()[cell] > 0
    better = ~known | (own.depth_tolerance_N.cpu()[cell] > _DEPTH_TOLERANCE)
    cells.set_depth(image, cell[better], depth[near][better], _DEPTH_TOLERANCE)
