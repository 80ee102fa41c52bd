# SPDX-License-Identifier: Apache-2.0
"""The reported covariance against that of repeated estimates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_core.geometry.pose import invert
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.covariance import pose_covariance
from dsac_core.ransac.kabsch_estimator import KabschEstimator
from dsac_core.ransac.pnp_estimator import PnpEstimator
from dsac_core.solvers.kabsch import solve_kabsch
from dsac_core.solvers.pnp import refine_pnp

FOCAL = np.array([525.0, 470.0])
SIGMA = 2.0  # px
PNP = PnpEstimator()


class Scene:
    def __init__(self, count: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.world_T_cam = np.eye(4)
        self.world_T_cam[:3, :3] = Rotation.from_rotvec([0.4, -1.1, 0.6]).as_matrix()
        self.world_T_cam[:3, 3] = [2.0, -1.0, 0.5]
        # Off to one side, so that no two directions are equally uncertain.
        self.pixels = self.rng.uniform([-320, -60], [200, 240], (count, 2))
        rays = np.column_stack([self.pixels / FOCAL, np.ones(count)])
        in_camera = rays * self.rng.uniform(1.5, 3.0, (count, 1))
        self.points = in_camera @ self.world_T_cam[:3, :3].T + self.world_T_cam[:3, 3]

    def batch(self, size: int) -> Correspondences:
        noise = self.rng.normal(scale=SIGMA, size=(size, *self.pixels.shape))
        return Correspondences(
            torch.from_numpy(self.pixels + noise),
            torch.from_numpy(self.points).expand(size, -1, -1),
            torch.ones(size, len(self.pixels), dtype=torch.float64),
            torch.from_numpy(FOCAL).expand(size, 2),
        )

    def solve(self, given: Correspondences) -> torch.Tensor:
        size = len(given.weights_BN)
        start = torch.from_numpy(invert(self.world_T_cam)[:3]).expand(size, 1, 3, 4)
        return refine_pnp(
            start,
            given.points_BN3,
            given.pixels_BN2,
            given.weights_BN[:, None],
            given.focal_B2,
            tolerance=1e-10,
        )[:, 0]

    def error(self, cam_T_world_34: torch.Tensor) -> np.ndarray:
        """REP-103: translation apart, rotation about the fixed axes of the world."""
        cam_T_world = np.eye(4)
        cam_T_world[:3] = cam_T_world_34.numpy()
        estimate = invert(cam_T_world)
        turn = Rotation.from_matrix(estimate[:3, :3] @ self.world_T_cam[:3, :3].T).as_rotvec()
        return np.concatenate([estimate[:3, 3] - self.world_T_cam[:3, 3], turn])


def assert_is_covariance_of(reported: torch.Tensor, errors: np.ndarray) -> None:
    sampled = np.cov(errors.T)
    deviation = np.sqrt(np.diag(sampled))
    scale = np.outer(deviation, deviation)
    np.testing.assert_allclose(reported.numpy() / scale, sampled / scale, atol=0.08)


def test_it_is_the_covariance_of_repeated_estimates() -> None:
    scene = Scene(60)
    given = scene.batch(4000)
    poses = scene.solve(given)
    reported = pose_covariance(PNP, given, poses, torch.ones(4000, 60, dtype=torch.bool)).mean(
        dim=0
    )
    errors = np.array([scene.error(pose) for pose in poses])
    assert np.abs(errors.mean(axis=0)).max() < 0.1 * errors.std(axis=0).min() + 1e-3
    assert_is_covariance_of(reported, errors)
    deviation = errors.std(axis=0)
    # It would not pass with axes or order mixed up: the directions differ.
    assert deviation[:3].max() > 1.3 * deviation[:3].min()


def test_normalised_errors_are_chi_square_of_six_degrees() -> None:
    scene = Scene(40, seed=1)
    given = scene.batch(2000)
    poses = scene.solve(given)
    reported = pose_covariance(PNP, given, poses, torch.ones(2000, 40, dtype=torch.bool)).numpy()
    errors = np.array([scene.error(pose) for pose in poses])
    nees = np.einsum("bi,bi->b", errors, np.linalg.solve(reported, errors[..., None])[..., 0])
    # With sigma^2 estimated from 74 degrees of freedom the mean is 6 * 74 / 72.
    assert nees.mean() == pytest.approx(6.17, abs=0.35)


def test_with_depth_it_is_the_covariance_of_repeated_estimates() -> None:
    scene = Scene(60)
    size, noise = 4000, 0.02
    cam_T_world = invert(scene.world_T_cam)
    in_camera = scene.points @ cam_T_world[:3, :3].T + cam_T_world[:3, 3]
    measured = in_camera + scene.rng.normal(scale=noise, size=(size, 60, 3))
    given = Correspondences(
        torch.from_numpy(scene.pixels).expand(size, -1, -1),
        torch.from_numpy(scene.points).expand(size, -1, -1),
        torch.ones(size, 60, dtype=torch.float64),
        torch.from_numpy(FOCAL).expand(size, 2),
        torch.from_numpy(measured),
    )
    poses = solve_kabsch(given.camera_points_BN3, given.points_BN3, given.weights_BN[:, None])[:, 0]
    everything = torch.ones(size, 60, dtype=torch.bool)
    reported = pose_covariance(KabschEstimator(), given, poses, everything).mean(dim=0)
    assert_is_covariance_of(reported, np.array([scene.error(pose) for pose in poses]))


def test_weights_count_as_certainty() -> None:
    """Of two kinds of measurements the better one weighs by its inverse variance."""
    scene = Scene(60)
    size = 4000
    given = scene.batch(size)
    pixels = given.pixels_BN2.clone()
    exact = torch.from_numpy(scene.pixels)
    pixels[:, ::2] = exact[::2] + 0.25 * (pixels[:, ::2] - exact[::2])
    weights = given.weights_BN.clone()
    weights[:, ::2] = 16.0
    given = Correspondences(pixels, given.points_BN3, weights, given.focal_B2)
    poses = scene.solve(given)
    everything = torch.ones(size, 60, dtype=torch.bool)
    reported = pose_covariance(PNP, given, poses, everything).mean(dim=0)
    assert_is_covariance_of(reported, np.array([scene.error(pose) for pose in poses]))


def test_outliers_do_not_count() -> None:
    scene = Scene(80)
    given = scene.batch(1)
    poses = scene.solve(given)
    inliers = torch.arange(80)[None] < 60
    alone = Correspondences(
        given.pixels_BN2[:, :60], given.points_BN3[:, :60], given.weights_BN[:, :60], given.focal_B2
    )
    torch.testing.assert_close(
        pose_covariance(PNP, given, poses, inliers),
        pose_covariance(PNP, alone, poses, torch.ones(1, 60, dtype=torch.bool)),
    )


def test_symmetric_and_positive_definite_in_single_precision() -> None:
    scene = Scene(500)
    given = scene.batch(3)
    single = given.to(torch.float32)
    poses = scene.solve(given)
    inliers = torch.ones(3, 500, dtype=torch.bool)
    covariance = pose_covariance(PNP, single, poses.float(), inliers)
    torch.testing.assert_close(covariance, covariance.transpose(1, 2), rtol=0, atol=0)
    assert (torch.linalg.eigvalsh(covariance) > 0).all()
    torch.testing.assert_close(
        covariance, pose_covariance(PNP, given, poses, inliers), rtol=0.01, atol=1e-9
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "kind", ["no inlier", "three inliers", "one point", "two points", "a line"]
)
def test_what_the_inliers_leave_open_is_infinite(kind: str, dtype: torch.dtype) -> None:
    scene = Scene(30)
    inliers = torch.ones(1, 30, dtype=torch.bool)
    if kind == "one point":
        scene.points[:], scene.pixels[:] = scene.points[0], scene.pixels[0]
    elif kind == "two points":
        scene.points[1::2], scene.pixels[1::2] = scene.points[1], scene.pixels[1]
        scene.points[::2], scene.pixels[::2] = scene.points[0], scene.pixels[0]
    elif kind == "a line":
        along = scene.rng.uniform(0, 1, (30, 1))
        scene.points = scene.points[0] * along + scene.points[1] * (1 - along)
        in_camera = (scene.points - scene.world_T_cam[:3, 3]) @ scene.world_T_cam[:3, :3]
        scene.pixels = in_camera[:, :2] / in_camera[:, 2:] * FOCAL
    else:
        inliers[0, {"no inlier": 0, "three inliers": 3}[kind] :] = False
    given = scene.batch(1)
    pose = torch.from_numpy(invert(scene.world_T_cam)[:3])[None]
    single = given.to(dtype)
    covariance = pose_covariance(PNP, single, pose.to(dtype), inliers)[0]
    assert covariance.diagonal().isinf().any()
    assert not covariance.isnan().any()
