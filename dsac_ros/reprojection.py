# SPDX-License-Identifier: Apache-2.0
"""What the relocalizer saw in one image, beside where its pose says that it should be seen.

The common part of the debug image and of the cloud of scene points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.geometry.pose import invert

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from dsac_core import Correspondences, Relocalizer
    from dsac_core.geometry.camera import Camera

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

INLIER_THRESHOLD = 10.0  # px, tau of DSAC*
_NEAREST = 0.05  # m in front of the camera; what is nearer projects anywhere


@dataclass(frozen=True)
class Reprojection:
    """The usable correspondences of one image.

    Pixels are those of the image as the camera took it, with its distortion.
    """

    pixels_N2: FloatArray  # where a point is seen
    points_N3: FloatArray  # the scene point, m, in the frame of the map
    landmarks_N: BoolArray  # a matched landmark; else a regressed cell
    projected_N2: FloatArray  # where the pose puts the point; NaN behind the camera or without pose
    errors_N: FloatArray  # px between both, undistorted; infinite where NaN
    threshold: float  # px, of an inlier

    @property
    def inliers_N(self) -> BoolArray:
        """Which of them agree with the pose."""
        return np.asarray(self.errors_N < self.threshold)


def reproject(
    correspondences: Correspondences,
    camera: Camera,
    map_T_cam: FloatArray | None,
    map_T_scene: FloatArray | None = None,
    threshold: float = INLIER_THRESHOLD,
) -> Reprojection:
    """Project scene points by an estimated pose.

    Args:
        correspondences: Of one image, in the frame of the scene.
        camera: The calibration of that image.
        map_T_cam: The estimate [4 x 4]; None where no pose was found.
        map_T_scene: [4 x 4], by default the identity.
        threshold: px up to which a correspondence is an inlier, under ``focal_B2``.
    """
    resized = np.array([camera.fx, camera.fy]) / _array(correspondences.focal_B2)
    threshold = threshold * float(resized.mean())
    usable = (correspondences.weights_BN[0] > 0).cpu().numpy()
    centred = _array(correspondences.pixels_BN2)[usable] * resized
    points = _array(correspondences.points_BN3)[usable]
    source = correspondences.source_BN
    landmarks = np.zeros(len(points), bool) if source is None else source[0].cpu().numpy()[usable]
    if map_T_scene is not None:
        points = points @ map_T_scene[:3, :3].T + map_T_scene[:3, 3]

    principal = np.array([camera.cx, camera.cy])
    projected = np.full((len(points), 2), np.nan)
    errors = np.full(len(points), np.inf)
    if map_T_cam is not None:
        cam_T_map = invert(map_T_cam)
        seen_N3 = points @ cam_T_map[:3, :3].T + cam_T_map[:3, 3]
        ahead = seen_N3[:, 2] > _NEAREST
        ideal = seen_N3[ahead, :2] / seen_N3[ahead, 2:] * [camera.fx, camera.fy]
        errors[ahead] = np.linalg.norm(ideal - centred[ahead], axis=1)
        projected[ahead] = ideal + principal
        # The polynomials of lenses mean nothing far outside of the image.
        near = errors < 4 * threshold
        projected[~near] = np.nan
        projected[near] = camera.distort(projected[near])
    pixels = camera.distort(centred + principal)
    return Reprojection(pixels, points, landmarks, projected, errors, threshold)


def explain(
    relocalizer: Relocalizer,
    image: NDArray[np.uint8],
    camera: Camera,
    map_T_cam: FloatArray | None,
) -> Reprojection:
    """What a relocalizer sees in an image, beside a pose that was estimated from it.

    The head runs again for it. Depth is left out: where it is measured, pixels agree as well.

    Raises:
        CameraError: The calibration is for another image size.
    """
    found = relocalizer.correspondences(image, camera)
    return reproject(found, camera, map_T_cam, relocalizer.scene.map_T_scene)


def _array(values_BND: torch.Tensor) -> FloatArray:
    return np.asarray(values_BND[0].double().cpu().numpy())
