# SPDX-License-Identifier: Apache-2.0
"""Reprojection and Gauss-Newton against finite differences, SciPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from dsac_core.solvers.pnp import (
    exponential,
    normal_equations,
    pose_jacobian,
    refine_pnp,
    reproject,
    reprojection_errors,
    retract,
)

FOCAL = (525.0, 480.0)


class Views:
    """B images with N noisy correspondences each and H poses near the truth."""

    def __init__(
        self,
        batch: int = 1,
        hypotheses: int = 1,
        count: int = 60,
        seed: int = 0,
        noise: float = 1.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        rotation = Rotation.random(batch, random_state=seed).as_matrix()
        translation = rng.normal(size=(batch, 3))
        depth = rng.uniform(1, 4, (batch, count, 1))
        pixels = rng.uniform([-320, -240], [320, 240], (batch, count, 2))
        rays = np.concatenate([pixels / FOCAL, np.ones((batch, count, 1))], axis=2)
        points = np.einsum("bji,bnj->bni", rotation, rays * depth - translation[:, None])
        self.points = torch.from_numpy(points)
        self.pixels = torch.from_numpy(pixels + rng.normal(scale=noise, size=pixels.shape))
        self.focal = torch.tensor([FOCAL], dtype=torch.float64).expand(batch, 2)
        truth = torch.from_numpy(np.concatenate([rotation, translation[..., None]], axis=2))
        self.truth = truth[:, None]
        step = rng.normal(scale=0.03, size=(batch, hypotheses, 6))
        self.start = retract(truth[:, None].expand(-1, hypotheses, -1, -1), torch.from_numpy(step))
        self.weights = torch.ones(batch, hypotheses, count, dtype=torch.float64)

    def refine(self, **options: object) -> torch.Tensor:
        return refine_pnp(self.start, self.points, self.pixels, self.weights, self.focal, **options)


def test_the_residual_is_that_of_cv2_project_points() -> None:
    views = Views()
    pose = views.start[0, 0].numpy()
    seen, _ = cv2.projectPoints(
        views.points[0].numpy(),
        cv2.Rodrigues(pose[:, :3])[0],
        pose[:, 3],
        np.diag([*FOCAL, 1]),
        None,
    )
    expected = seen[:, 0] - views.pixels[0].numpy()
    (x, y), _ = reproject(views.start, views.points, views.pixels, views.focal)
    np.testing.assert_allclose(torch.stack([x, y], -1)[0, 0].numpy(), expected, atol=1e-9)
    errors = reprojection_errors(views.start, views.points, views.pixels, views.focal)
    np.testing.assert_allclose(errors[0, 0].numpy(), np.linalg.norm(expected, axis=1), atol=1e-9)


def test_the_jacobian_agrees_with_finite_differences() -> None:
    views = Views(batch=2, hypotheses=3)

    def residual(poses: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            reproject(poses, views.points, views.pixels, views.focal).residual_2HN, dim=2
        )

    at_start = reproject(views.start, views.points, views.pixels, views.focal)
    jacobian = pose_jacobian(at_start, views.focal)
    size = 1e-6
    for axis in range(6):
        step = torch.zeros(2, 3, 6, dtype=torch.float64)
        step[..., axis] = size
        slope = (residual(retract(views.start, step)) - residual(retract(views.start, -step))) / (
            2 * size
        )
        torch.testing.assert_close(jacobian[:, :, :, axis], slope, rtol=1e-6, atol=1e-4)


def test_the_normal_equations_are_the_sums_written_out() -> None:
    views = Views(count=20)
    views.weights = torch.rand(1, 1, 20, dtype=torch.float64)
    reprojection = reproject(views.start, views.points, views.pixels, views.focal)
    hessian, gradient = normal_equations(reprojection, views.weights, views.focal)
    jacobian = pose_jacobian(reprojection, views.focal)[0, 0]
    residual = torch.stack(reprojection.residual_2HN, dim=2)[0, 0]
    expected, expected_gradient = torch.zeros(6, 6).double(), torch.zeros(6).double()
    for n in range(20):
        for component in range(2):
            row = jacobian[component, :, n]
            weight = views.weights[0, 0, n]
            expected += weight * torch.outer(row, row)
            expected_gradient += weight * row * residual[component, n]
    torch.testing.assert_close(hessian[0, 0], expected)
    torch.testing.assert_close(gradient[0, 0], expected_gradient)


def test_exponential_is_that_of_scipy_down_to_zero() -> None:
    rng = np.random.default_rng(0)
    for length in (0.0, 1e-9, 1e-4, 0.5, 3.1):
        phi = rng.normal(size=3)
        phi *= length / np.linalg.norm(phi)
        expected = Rotation.from_rotvec(phi).as_matrix()
        np.testing.assert_allclose(exponential(torch.from_numpy(phi)).numpy(), expected, atol=1e-12)


def test_refinement_ends_where_opencv_and_scipy_end() -> None:
    for seed in range(5):
        views = Views(seed=seed)
        refined = views.refine(steps=50, tolerance=1e-12)[0, 0].numpy()
        points, pixels = views.points[0].numpy(), views.pixels[0].numpy()
        start = views.start[0, 0].numpy()
        criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 200, 1e-14)
        rvec, tvec = cv2.solvePnPRefineLM(
            points,
            pixels,
            np.diag([*FOCAL, 1.0]),
            None,
            cv2.Rodrigues(start[:, :3])[0],
            start[:, 3:].copy(),
            criteria,
        )
        np.testing.assert_allclose(refined[:, :3], cv2.Rodrigues(rvec)[0], atol=1e-6)
        np.testing.assert_allclose(refined[:, 3], tvec[:, 0], atol=1e-6)

        def residual(
            x: np.ndarray, points: np.ndarray = points, pixels: np.ndarray = pixels
        ) -> np.ndarray:
            moved = points @ Rotation.from_rotvec(x[:3]).as_matrix().T + x[3:]
            return (moved[:, :2] / moved[:, 2:] * FOCAL - pixels).ravel()

        first = np.concatenate([Rotation.from_matrix(start[:, :3]).as_rotvec(), start[:, 3]])
        best = least_squares(residual, first, xtol=1e-15, ftol=1e-15, gtol=1e-15).x
        np.testing.assert_allclose(refined[:, 3], best[3:], atol=1e-6)
        expected = Rotation.from_rotvec(best[:3]).as_matrix()
        np.testing.assert_allclose(refined[:, :3], expected, atol=1e-6)


def test_single_precision_comes_near() -> None:
    views = Views(count=2000)
    exact = views.refine(steps=50, tolerance=1e-12)
    single = refine_pnp(
        views.start.float(),
        views.points.float(),
        views.pixels.float(),
        views.weights.float(),
        views.focal.float(),
    )
    torch.testing.assert_close(single.double(), exact, atol=5e-5, rtol=0)


def test_a_weight_of_zero_is_a_correspondence_removed() -> None:
    views = Views()
    views.pixels[0, 40:] += 500.0
    views.points[0, 50] = 1e8
    views.weights[:, :, 40:] = 0.0
    refined = views.refine(steps=50, tolerance=1e-12)
    fewer = Views()
    fewer.points, fewer.pixels = views.points[:, :40], views.pixels[:, :40]
    fewer.weights = views.weights[:, :, :40]
    torch.testing.assert_close(refined, fewer.refine(steps=50, tolerance=1e-12), atol=1e-8, rtol=0)


def test_a_weight_of_two_is_a_correspondence_twice() -> None:
    views = Views()
    views.weights[:, :, :20] = 2.0
    twice = Views()
    twice.points = torch.cat([views.points, views.points[:, :20]], dim=1)
    twice.pixels = torch.cat([views.pixels, views.pixels[:, :20]], dim=1)
    twice.weights = torch.ones(1, 1, 80, dtype=torch.float64)
    options = {"steps": 50, "tolerance": 1e-12}
    torch.testing.assert_close(views.refine(**options), twice.refine(**options), atol=1e-8, rtol=0)


def test_points_behind_the_camera_never_fit() -> None:
    """The mirror point -X projects onto the very same pixel."""
    views = Views(noise=0.0)
    in_camera = views.truth[0, 0, :, :3] @ views.points[0].T + views.truth[0, 0, :, 3:]
    rotation, translation = views.truth[0, 0, :, :3], views.truth[0, 0, :, 3:]
    behind = (rotation.T @ (-in_camera - translation)).T[None]
    in_front = reprojection_errors(views.truth, views.points, views.pixels, views.focal)
    assert in_front.max() < 1e-6
    errors = reprojection_errors(views.truth, behind, views.pixels, views.focal)
    assert errors.min() > 1000.0
    at_centre = -rotation.T @ translation
    errors = reprojection_errors(
        views.truth, at_centre.T[None].expand(1, 60, 3), views.pixels, views.focal
    )
    assert errors.min() > 1000.0


def test_a_batch_is_its_members_one_by_one() -> None:
    views = Views(batch=3, hypotheses=4)
    views.weights = (torch.rand(views.weights.shape) > 0.3).double()
    together = views.refine()
    for image in range(3):
        for hypothesis in range(4):
            alone = refine_pnp(
                views.start[image, hypothesis][None, None],
                views.points[image][None],
                views.pixels[image][None],
                views.weights[image, hypothesis][None, None],
                views.focal[image][None],
            )
            torch.testing.assert_close(alone[0, 0], together[image, hypothesis], atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["no weights", "one point", "two points", "all behind"])
def test_what_determines_no_pose_stays_finite_and_disturbs_nobody(kind: str) -> None:
    views = Views(batch=2)
    good = views.refine()[1]
    if kind == "no weights":
        views.weights[0] = 0.0
    elif kind == "all behind":
        views.points[0] = -100.0 * views.truth[0, 0, 2, :3]
    else:
        views.weights[0, :, {"one point": 1, "two points": 2}[kind] :] = 0.0
    refined = views.refine()
    assert refined.isfinite().all()
    rotation = refined[0, 0, :, :3]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(refined[1], good, atol=1e-6, rtol=0)


def test_refinement_never_raises_the_cost() -> None:
    views = Views(hypotheses=64, seed=3)
    step = torch.randn(1, 64, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    views.start = retract(views.start, 0.3 * step)

    def cost(poses: torch.Tensor) -> torch.Tensor:
        errors = reprojection_errors(poses, views.points, views.pixels, views.focal)
        return errors.square().sum(dim=-1)

    assert (cost(views.refine()) <= cost(views.start) * (1 + 1e-9)).all()
