# SPDX-License-Identifier: Apache-2.0
"""The methods side by side, each in two parts: inputs in its own types, and the timed call.

All have one thread, the inlier threshold of ours, and its confidence of having drawn a good set;
else the others have their own defaults, but for what is said here. A call gives world_T_cam or
None.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from bench.frames import CAMERA, INPUTS, PIXELS, RGB, RGBD, THRESHOLDS, Frame
from dsac_core.geometry.pose import invert
from dsac_core.ransac.config import RGB_RANSAC, RGBD_RANSAC, RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.solvers.kabsch import solve_kabsch
from dsac_core.solvers.pnp import refine_pnp

CONFIGS: dict[str, RansacConfig] = {RGB: RGB_RANSAC, RGBD: RGBD_RANSAC}
CONFIDENCE = 0.99
LEAST_DRAWS = 100  # COLMAP's default with RGB; others' 1000 would decide the time
Call = Callable[[], "np.ndarray | None"]


@dataclass(frozen=True)
class Method:
    """How one row of the table comes about."""

    prepare: Callable[[Frame], Call]
    inputs: tuple[str, ...]
    module: str | None = None  # that must be there
    timed: bool = True

    def missing(self) -> str | None:
        """Why it cannot run here, None if it can."""
        try:
            if self.module is not None:
                importlib.import_module(self.module)
        except ImportError as error:
            return str(error)
        return None


def correspondences_of(frame: Frame, points: torch.Tensor) -> Correspondences:
    """Ours, of a frame with the given scene points, in their type."""
    pixels = torch.from_numpy(PIXELS).to(points)
    depth = None
    if frame.camera_points is not None:
        depth = torch.from_numpy(frame.camera_points[:, 2]).to(points)
    return Correspondences.of_image(pixels, points, CAMERA, depth_N=depth)


def _ours(frame: Frame) -> Call:
    correspondences = correspondences_of(frame, torch.from_numpy(frame.points).float())
    generator = torch.Generator().manual_seed(frame.seed)

    def call() -> np.ndarray | None:
        with torch.inference_mode():
            result = estimate_poses(correspondences, CONFIGS[frame.input], generator)
        if not result.found_B[0]:
            return None
        return _world_T_cam(result.cam_T_world_B34[0].double().numpy())

    return call


def _floor(frame: Frame) -> Call:
    """The fit on the true inliers: as good as a method can be that does not know the truth."""
    points = torch.from_numpy(frame.points[frame.inliers])
    correspondences = correspondences_of(frame, torch.from_numpy(frame.points))
    centred = correspondences.pixels_BN2[:, frame.inliers]
    truth = torch.from_numpy(invert(frame.world_T_cam)[:3])
    weights = points.new_ones(1, 1, len(points))

    def call() -> np.ndarray:
        if frame.camera_points is None:
            focal = correspondences.focal_B2
            poses = refine_pnp(truth[None, None], points[None], centred, weights, focal, steps=100)
        else:
            measured = torch.from_numpy(frame.camera_points[frame.inliers])
            poses = solve_kabsch(measured[None], points[None], weights)
        return _world_T_cam(poses[0, 0].numpy())

    return call


def _opencv(frame: Frame) -> Call:
    """MAGSAC, then two rounds of Levenberg-Marquardt on the inliers of the moment."""
    points, threshold = frame.points, THRESHOLDS[frame.input]

    def call() -> np.ndarray | None:
        found, turn, shift, inliers = cv2.solvePnPRansac(
            points,
            PIXELS,
            CAMERA.matrix,
            None,
            iterationsCount=10_000,
            reprojectionError=threshold,
            confidence=CONFIDENCE,
            flags=cv2.USAC_MAGSAC,
        )
        if not found or inliers is None:
            return None
        for _ in range(2):
            projected, _ = cv2.projectPoints(points, turn, shift, CAMERA.matrix, None)
            chosen = np.linalg.norm(projected[:, 0] - PIXELS, axis=1) < threshold
            if chosen.sum() < 4:
                return None
            turn, shift = cv2.solvePnPRefineLM(
                points[chosen], PIXELS[chosen], CAMERA.matrix, None, turn, shift
            )
        return _world_T_cam(np.column_stack([cv2.Rodrigues(turn)[0], shift]))

    return call


def _poselib(frame: Frame) -> Call:
    """LO-RANSAC and refinement."""
    import poselib

    params = [CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]
    camera = {"model": "PINHOLE", "width": 640, "height": 480, "params": params}
    options = {
        "max_reproj_error": THRESHOLDS[frame.input],
        "min_iterations": LEAST_DRAWS,
        "success_prob": CONFIDENCE,
        "seed": frame.seed,
    }

    def call() -> np.ndarray:
        pose, _ = poselib.estimate_absolute_pose(PIXELS, frame.points, camera, options, {})
        return _world_T_cam(np.asarray(pose.Rt))

    return call


def _pycolmap(frame: Frame) -> Call:
    """LO-RANSAC, with RGB followed by its refinement."""
    import pycolmap

    # COLMAP's first pixel has its centre at (0.5, 0.5).
    pixels = PIXELS + 0.5
    params = [CAMERA.fx, CAMERA.fy, CAMERA.cx + 0.5, CAMERA.cy + 0.5]
    camera = pycolmap.Camera(model="PINHOLE", width=640, height=480, params=params)
    options = {
        "max_error": THRESHOLDS[frame.input],
        "min_num_trials": LEAST_DRAWS,
        "confidence": CONFIDENCE,
        "random_seed": frame.seed,
        "num_threads": 1,
    }
    estimation = pycolmap.AbsolutePoseEstimationOptions()
    estimation.ransac.mergedict(options)
    rigid = pycolmap.RANSACOptions(options)

    def call_rgb() -> np.ndarray | None:
        found = pycolmap.estimate_and_refine_absolute_pose(pixels, frame.points, camera, estimation)
        return None if found is None else _world_T_cam(found["cam_from_world"].matrix())

    def call_rgbd() -> np.ndarray | None:
        found = pycolmap.estimate_rigid3d_robust(frame.points, frame.camera_points, rigid)
        return None if found is None else _world_T_cam(found["tgt_from_src"].matrix())

    return call_rgb if frame.camera_points is None else call_rgbd


METHODS: dict[str, Method] = {
    "dsac_ros": Method(_ours, INPUTS),
    "opencv_magsac_lm": Method(_opencv, (RGB,)),
    "poselib": Method(_poselib, (RGB,), module="poselib"),  # 2.0.5 has nothing for 3D-3D
    "pycolmap": Method(_pycolmap, INPUTS, module="pycolmap"),
    "floor": Method(_floor, INPUTS, timed=False),
}


def _world_T_cam(cam_T_world: np.ndarray) -> np.ndarray:
    full = np.eye(4)
    full[:3] = cam_T_world[:3]
    return invert(full)
