# SPDX-License-Identifier: Apache-2.0
"""A scene that is known at each ray of one camera, and a network that knows it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.grid import cell_centres
from dsac_core.networks.coordinate_network import CoordinateNetwork, output_grid
from dsac_core.networks.score_net import ScoreNet
from dsac_core.scene.scene_map import Calibration, SceneMap

CAMERA = Camera(64, 48, 60.0, 62.0, 30.0, 25.0)
CALIBRATION = Calibration(0.0, min_support=0.5, covariance_scale=1.0)


def pose_near(seed: int, size: float = 0.3) -> np.ndarray:
    """world_T_cam so many metres and radians from the origin."""
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rng.normal(scale=size, size=3)).as_matrix()
    pose[:3, 3] = rng.normal(scale=size, size=3)
    return pose


def depth_along(camera: Camera, pixels_N2: np.ndarray) -> np.ndarray:
    """Depth [N] of the bumpy scene at pixels of a camera, with or without distortion."""
    u, v = planar(camera, pixels_N2).T
    return np.asarray(2.0 + 0.4 * np.sin(5.0 * u) + 0.3 * np.cos(7.0 * v))


def depth_image(camera: Camera) -> np.ndarray:
    """The same for all pixels [H x W]."""
    y, x = np.mgrid[0 : camera.height, 0 : camera.width]
    pixels = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    depth = depth_along(camera, pixels).astype(np.float32)
    return np.asarray(depth.reshape(camera.height, camera.width))


def planar(camera: Camera, pixels_N2: np.ndarray) -> np.ndarray:
    """Ray directions (x / z, y / z) [N x 2]."""
    ideal = camera.undistort(pixels_N2)
    return np.asarray((ideal - [camera.cx, camera.cy]) / [camera.fx, camera.fy])


class KnowingNetwork(CoordinateNetwork):
    """Says the true scene point of each cell of the one view that it knows.

    Its features are the points in the camera's frame, its last layer is the pose: training can
    change it.
    """

    def __init__(self, camera: Camera = CAMERA, world_T_cam: np.ndarray | None = None) -> None:
        super().__init__("stand-in", 3)
        self.camera = camera
        pose = np.eye(4) if world_T_cam is None else world_T_cam
        with torch.no_grad():
            self.leave.weight.copy_(torch.from_numpy(pose[:3, :3])[..., None, None])
            assert self.leave.bias is not None
            self.leave.bias.copy_(torch.from_numpy(pose[:3, 3]))

    def features_BCHW(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = gray_B1HW.shape
        rows, columns = output_grid(height, width)
        camera = self.camera.scaled(width, height)
        pixels = cell_centres(rows, columns).double().numpy()
        depth = depth_along(camera, pixels)[:, None]
        points = np.hstack([planar(camera, pixels) * depth, depth])
        image = torch.from_numpy(points.T.reshape(1, 3, rows, columns)).float()
        return image.to(gray_B1HW.device).expand(batch, -1, -1, -1)


def known_scene(
    network: CoordinateNetwork,
    camera: Camera = CAMERA,
    *,
    scorer: ScoreNet | None = None,
    depth_calibration: Calibration | None = None,
    map_T_scene: np.ndarray | None = None,
) -> SceneMap:
    """A map of a network; it believes poses that half of the cells agree with."""
    return SceneMap(
        name="known",
        frame_id="map",
        regressor=network.eval().requires_grad_(requires_grad=False),
        camera=camera,
        bounds=np.array([[-1.0, -1.0, 0.0], [1.0, 1.0, 3.0]]),
        calibration=CALIBRATION,
        map_T_scene=np.eye(4) if map_T_scene is None else map_T_scene,
        scorer=scorer,
        depth_calibration=depth_calibration,
    )
