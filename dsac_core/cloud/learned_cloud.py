# SPDX-License-Identifier: Apache-2.0
"""The point cloud that a scene map has learned, coloured by images of the place.

A map knows no colours, and has no list of points: it says for an image which scene point each cell
shows. So it is asked about images with known poses, and a point is kept where it projects to where
it was seen, at a plausible depth (Eq. 15 of DSAC*), where other views agree, and among others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from dsac_core.cloud.agreement import SeenPoints, confirmed
from dsac_core.cloud.point_cloud import PointCloud, joined
from dsac_core.data.frame import spread_indices
from dsac_core.errors import ConfigError, DatasetError
from dsac_core.geometry.grid import STRIDE
from dsac_core.geometry.pose import invert
from dsac_core.progress import silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.progress import Progress
    from dsac_core.regression import Regressed, Regressor
    from dsac_core.scene.scene_map import SceneMap

    FloatArray = NDArray[np.float64]

_FOOTPRINT_SHARE = 0.25  # of the median cell's width in the scene: the default voxel
_MOST_COLUMNS = 30_000  # of an image that OpenCV makes


@dataclass(frozen=True)
class CloudConfig:
    """Which points are kept."""

    images: int = 100  # at most, spread over the recording
    max_error: float = 3.0  # px, of the reprojection into the image that a point comes from
    min_depth: float = 0.1  # metres in front of that camera
    voxel: float | None = None  # metres: one point in each; None: a quarter of a cell's footprint

    def __post_init__(self) -> None:
        """Refuse what leaves nothing."""
        for name in ("images", "max_error", "min_depth", "voxel"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                msg = f"cloud: {name} must be above zero, got {value}"
                raise ConfigError(msg)


@dataclass(frozen=True)
class LearnedCloud:
    """A cloud in the scene's frame, and how it came about."""

    cloud: PointCloud
    poses: list[FloatArray]  # world_T_cam [4 x 4] of the images that were asked about
    predicted: int  # points of all images
    kept: int  # of these, before there was one in each voxel
    voxel: float  # metres


def learned_cloud(
    scene: SceneMap,
    regressor: Regressor,
    dataset: Dataset,
    split: str,
    config: CloudConfig,
    progress: Progress = silent,
) -> LearnedCloud:
    """Ask the map about images of a recording, and keep what fits together.

    Args:
        scene: The map.
        regressor: Its network.
        dataset: A recording in the scene's frame: the one it was made from, or another.
        split: Of the recording.
        config: Which points are kept.
        progress: Is told how far it is.

    Raises:
        DatasetError: The map knows nothing of what the recording shows.
    """
    chosen = spread_indices(dataset.count(split), config.images)
    low, high = scene.bounds
    farthest = float(np.linalg.norm(high - low))
    clouds: list[PointCloud] = []
    views: list[SeenPoints] = []
    predicted = 0
    for number, frame in enumerate(dataset.frames(split, indices=chosen)):
        regressed = regressor(frame.image, frame.camera, None)
        cloud, error, depth = _seen_in(frame, regressed)
        good = (error <= config.max_error) & (depth >= config.min_depth) & (depth <= farthest)
        predicted += len(cloud)
        clouds.append(cloud[good])
        views.append(SeenPoints(cloud.points_N3[good], frame.world_T_cam, regressed.camera))
        progress("looking", (number + 1) / len(chosen), f"image {number + 1}/{len(chosen)}")
    masks = confirmed(views)
    together = joined([cloud[mask] for cloud, mask in zip(clouds, masks, strict=True)])
    if len(together) == 0:
        msg = (
            f"of {predicted:,} points that '{scene.name}' sees in {dataset.name} none is where the"
            " images show it: name the recording that it was made from with --recording"
        )
        raise DatasetError(msg)
    voxel = config.voxel or _FOOTPRINT_SHARE * _cell_width(together, views[0].camera)
    thinned = together.thinned(voxel).without_outliers()
    return LearnedCloud(
        thinned, [view.world_T_cam for view in views], predicted, len(together), voxel
    )


def _seen_in(frame: Frame, regressed: Regressed) -> tuple[PointCloud, FloatArray, FloatArray]:
    """The points of one image, their reprojection errors [N], px, and their depths [N], metres."""
    pixels, points = [regressed.pixels_N2], [regressed.points_N3]
    if regressed.landmarks is not None:
        pixels.append(regressed.landmarks.pixels_M2)
        points.append(regressed.landmarks.points_M3)
    pixels_N2 = torch.cat(pixels).double().cpu().numpy()
    points_N3 = torch.cat(points).double().cpu().numpy()
    finite = np.isfinite(points_N3).all(axis=1) & np.isfinite(pixels_N2).all(axis=1)
    pixels_N2, points_N3 = pixels_N2[finite], points_N3[finite]
    cam_T_world, camera = invert(frame.world_T_cam), regressed.camera
    in_camera = points_N3 @ cam_T_world[:3, :3].T + cam_T_world[:3, 3]
    depth = in_camera[:, 2]
    ahead = np.where(depth > 0, depth, np.inf)[:, None]
    projected = in_camera[:, :2] / ahead * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    position = np.broadcast_to(frame.world_T_cam[:3, 3], points_N3.shape)
    cloud = PointCloud(points_N3, _colours(frame, camera, pixels_N2), position)
    return cloud, np.linalg.norm(projected - pixels_N2, axis=1), depth


def _colours(frame: Frame, camera: Camera, pixels_N2: FloatArray) -> NDArray[np.uint8]:
    """RGB [N x 3] at undistorted pixels of the camera as the network saw the image, resized."""
    lens = frame.camera.scaled(camera.width, camera.height)
    scale = np.array([frame.camera.width / lens.width, frame.camera.height / lens.height])
    in_image = ((lens.distort(pixels_N2) + 0.5) * scale - 0.5).astype(np.float32)
    image = frame.image if frame.image.ndim == 3 else np.repeat(frame.image[..., None], 3, axis=2)
    pieces = 1 + len(in_image) // _MOST_COLUMNS
    parts = [
        cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        for x, y in (part.T[:, None].copy() for part in np.array_split(in_image, pieces))
        if x.size
    ]
    return np.concatenate([np.zeros((0, 3), np.uint8), *parts])


def _cell_width(cloud: PointCloud, camera: Camera) -> float:
    """Metres that a cell covers, in the median."""
    distance = np.linalg.norm(cloud.points_N3 - cloud.cameras_N3, axis=1)
    return float(np.median(distance)) * STRIDE / camera.fx
