# SPDX-License-Identifier: Apache-2.0
"""The keypoints of one posed image of a recording."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from dsac_core.geometry.images import depth_at
from dsac_core.geometry.pose import invert
from dsac_core.solvers.triangulation import Views

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.keypoint_detector import Keypoints


@dataclass(frozen=True)
class KeypointView:
    """On the CPU."""

    pixels_K2: torch.Tensor  # px from the principal point, undistorted
    descriptors_KC: torch.Tensor  # unit vectors, half precision
    depth_K: torch.Tensor  # metres along the optical axis, 0 where not measured
    intrinsics_4: torch.Tensor  # fx, fy, cx, cy
    cam_T_world_34: torch.Tensor  # float64

    @classmethod
    def of(
        cls,
        keypoints: Keypoints,
        camera: Camera,
        world_T_cam: NDArray[np.float64],
        depth_HW: NDArray[np.float32] | None,
        precision: torch.dtype,
    ) -> KeypointView:
        """Undistort the keypoints of an image of ``camera``; those that have no place go."""
        pixels = keypoints.pixels_K2.cpu().double().numpy()
        ideal = torch.from_numpy(camera.undistort(pixels)).float()
        seen = ideal.isfinite().all(dim=1)
        depth = torch.zeros(len(ideal))
        if depth_HW is not None:
            depth = torch.from_numpy(depth_at(depth_HW, pixels, camera))
            depth = torch.where(depth.isfinite() & (depth > 0), depth, 0.0)
        intrinsics = torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy])
        return cls(
            (ideal - intrinsics[2:])[seen],
            keypoints.descriptors_KC.cpu().to(precision)[seen],
            depth[seen],
            intrinsics,
            torch.from_numpy(invert(world_T_cam)[:3]),
        )

    def with_depth_scaled(self, factor: float) -> KeypointView:
        """The same, with measured depth multiplied."""
        return replace(self, depth_K=self.depth_K * factor)


def poses_of(keypoint_views: Sequence[KeypointView]) -> Views:
    """Their poses and intrinsics, in float64."""
    return Views.of(
        torch.stack([view.cam_T_world_34 for view in keypoint_views]).double(),
        torch.stack([view.intrinsics_4 for view in keypoint_views]).double(),
    )
