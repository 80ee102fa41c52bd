# SPDX-License-Identifier: Apache-2.0
"""Pose from 4800 cells: ours, PoseLib and OpenCV side by side, on the same frames, one thread.

Frames: f = 525 px, 640x480, 80x60 cells, depth uniform in 1 to 4 m; inliers with Gaussian noise in
the image, outliers uniform in the box of the scene's points. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import poselib
import torch
from scipy.spatial.transform import Rotation

from dsac_core.files import write_json
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.grid import cell_centres
from dsac_core.geometry.pose import invert, pose_error
from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimate_poses

CAMERA = Camera(width=640, height=480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
PIXELS = cell_centres(60, 80).double().numpy()
THRESHOLD = 10.0  # px
INLIER_SHARES = (0.1, 0.3, 0.5, 0.8)
NOISES = (1.0, 5.0)  # px


def make_frame(
    rng: np.random.Generator, share: float, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """A random world_T_cam [4 x 4] and scene points [4800 x 3], a share of them right."""
    world_T_cam = np.eye(4)
    world_T_cam[:3, :3] = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    world_T_cam[:3, 3] = rng.normal(size=3)
    seen = PIXELS + rng.normal(scale=noise, size=PIXELS.shape)
    depth = rng.uniform(1.0, 4.0, (len(PIXELS), 1))
    rays = np.column_stack([(seen - [CAMERA.cx, CAMERA.cy]) / CAMERA.fx, np.ones(len(PIXELS))])
    points = rays * depth @ world_T_cam[:3, :3].T + world_T_cam[:3, 3]
    outliers = rng.random(len(PIXELS)) >= share
    low, high = points.min(axis=0), points.max(axis=0)
    points[outliers] = rng.uniform(low, high, (int(outliers.sum()), 3))
    return world_T_cam, points


def ours(points: np.ndarray) -> np.ndarray | None:
    """world_T_cam by dsac_core."""
    pixels, scene = torch.from_numpy(PIXELS).float(), torch.from_numpy(points).float()
    correspondences = Correspondences.of_image(pixels, scene, CAMERA)
    with torch.inference_mode():
        result = estimate_poses(correspondences, RansacConfig(), torch.Generator().manual_seed(0))
    if not result.found_B[0]:
        return None
    return _from_camera(result.cam_T_world_B34[0].double().numpy())


def by_poselib(points: np.ndarray) -> np.ndarray | None:
    """world_T_cam by PoseLib's LO-RANSAC."""
    params = [CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]
    camera = {"model": "PINHOLE", "width": 640, "height": 480, "params": params}
    options = {"max_reproj_error": THRESHOLD, "min_iterations": 100}
    pose, _ = poselib.estimate_absolute_pose(PIXELS, points, camera, options, {})
    return _from_camera(np.asarray(pose.Rt))


def by_opencv(points: np.ndarray) -> np.ndarray | None:
    """world_T_cam by OpenCV's MAGSAC and two rounds of Levenberg-Marquardt on its inliers."""
    found, turn, shift, inliers = cv2.solvePnPRansac(
        points,
        PIXELS,
        CAMERA.matrix,
        None,
        iterationsCount=10_000,
        reprojectionError=THRESHOLD,
        confidence=0.99,
        flags=cv2.USAC_MAGSAC,
    )
    if not found or inliers is None:
        return None
    for _ in range(2):
        projected, _ = cv2.projectPoints(points, turn, shift, CAMERA.matrix, None)
        chosen = np.linalg.norm(projected[:, 0] - PIXELS, axis=1) < THRESHOLD
        if chosen.sum() < 4:
            return None
        turn, shift = cv2.solvePnPRefineLM(
            points[chosen], PIXELS[chosen], CAMERA.matrix, None, turn, shift
        )
    return _from_camera(np.column_stack([cv2.Rodrigues(turn)[0], shift]))


METHODS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "dsac_ros": ours,
    "poselib": by_poselib,
    "opencv_magsac_lm": by_opencv,
}


def measure(method: str, share: float, noise: float, frames: int) -> dict[str, object]:
    """Figures of one method on the frames that all methods get."""
    rng = np.random.default_rng(0)
    METHODS[method](make_frame(np.random.default_rng(1), share, noise)[1])  # to warm up
    milliseconds, distances, angles = [], [], []
    for _ in range(frames):
        truth, points = make_frame(rng, share, noise)
        started = time.perf_counter()
        pose = METHODS[method](points)
        milliseconds.append(1e3 * (time.perf_counter() - started))
        distance, angle = (np.inf, np.inf) if pose is None else pose_error(pose, truth)
        distances.append(100.0 * distance)
        angles.append(np.degrees(angle))
    good = (np.array(distances) < 5.0) & (np.array(angles) < 5.0)
    return {
        "method": method,
        "input": "rgb",
        "inliers": share,
        "noise": noise,
        "ms_median": round(float(np.median(milliseconds)), 2),
        "t_median_cm": round(float(np.median(distances)), 4),
        "t_p95_cm": round(float(np.quantile(distances, 0.95)), 4),
        "r_median_deg": round(float(np.median(angles)), 4),
        "success": round(100.0 * float(good.mean()), 1),
    }


def main() -> int:
    """Print the table and write build/bench/ransac.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=30, help="per row")
    parser.add_argument("--out", type=Path, default=Path("build/bench/ransac.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    heading = ["method", "inliers", "noise", "ms_median", "t_median_cm", "t_p95_cm", "success"]
    sys.stdout.write("  ".join(f"{name:>16}" for name in heading) + "\n")
    rows = []
    for noise in NOISES:
        for share in INLIER_SHARES:
            for method in METHODS:
                row = measure(method, share, noise, args.frames)
                rows.append(row)
                sys.stdout.write("  ".join(f"{row[name]!s:>16}" for name in heading) + "\n")
                sys.stdout.flush()
    machine = {"platform": platform.platform(), "processor": _processor(), "threads": 1}
    # A method that finds no pose has infinite errors, which JSON cannot say.
    finite = json.loads(json.dumps(rows), parse_constant=lambda _: None)
    write_json(args.out, {"rows": finite, "machine": machine})
    sys.stdout.write(f"written to {args.out}\n")
    return 0


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def _from_camera(cam_T_world: np.ndarray) -> np.ndarray:
    full = np.eye(4)
    full[:3] = cam_T_world[:3]
    return invert(full)


if __name__ == "__main__":
    sys.exit(main())
