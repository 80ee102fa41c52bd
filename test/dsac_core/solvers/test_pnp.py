# SPDX-License-Identifier: Apache-2.0
"""Reprojection and refinement against finite differences, OpenCV, SciPy and PoseLib."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import poselib
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from views import FOCAL, Views

from dsac_core.geometry.se3 import retract
from dsac_core.solvers.least_squares import Kernel, cauchy, minimise, squares, truncated
from dsac_core.solvers.pnp import MIN_DEPTH, refine_pnp

CAMERA = np.diag([*FOCAL, 1.0])
EXACT = {"steps": 100, "tolerance": 1e-12}
KINDS: dict[str, dict[str, Any]] = {
    "many points": {"count": 60},
    "six points": {"count": 6, "noise": 2.0},
    "four points": {"count": 4},
    "huge noise": {"count": 40, "noise": 50.0},
    "points near infinity": {"count": 40, "far": 1e5},
    "all points near infinity": {"count": 40, "near": 50.0, "far": 1e6},
    "coplanar points": {"count": 20, "noise": 2.0},
    "four coplanar points": {"count": 4},
}


def views_of(kind: str, batch: int) -> Views:
    views = Views(batch, **KINDS[kind])
    if "coplanar" in kind:
        flatten(views)
    return views


def flatten(views: Views) -> None:
    """Let every image show a plane, tilted by up to 50 degrees, in the same pixels."""
    batch = len(views.points)
    normal = views.rng.uniform([-0.5, -0.5, 1.0], [0.5, 0.5, 1.0], (batch, 1, 3))
    in_camera = views.points @ views.truth[:, 0, :, :3].mT + views.truth[:, 0, :, 3][:, None]
    rays = in_camera.numpy() / in_camera[..., 2:].numpy()
    in_camera = rays * (2.0 / (rays * normal).sum(axis=2, keepdims=True))
    shifted = torch.from_numpy(in_camera) - views.truth[:, 0, :, 3][:, None]
    views.points = shifted @ views.truth[:, 0, :, :3]


def opencv_pose(points: np.ndarray, pixels: np.ndarray, start: np.ndarray) -> np.ndarray:
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 200, 1e-14)
    rvec, tvec = cv2.solvePnPRefineLM(
        points,
        pixels,
        CAMERA,
        None,
        cv2.Rodrigues(start[:, :3])[0],
        start[:, 3:].copy(),
        criteria,
    )
    return np.hstack([cv2.Rodrigues(rvec)[0], tvec])


def scipy_pose(points: np.ndarray, pixels: np.ndarray, start: np.ndarray) -> np.ndarray:
    def residual(x: np.ndarray) -> np.ndarray:
        moved = points @ (Rotation.from_rotvec(x[:3]).as_matrix() @ start[:, :3]).T + x[3:]
        return (moved[:, :2] / moved[:, 2:] * FOCAL - pixels).ravel()

    first = np.concatenate([np.zeros(3), start[:, 3]])
    best = least_squares(residual, first, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac").x
    rotation = Rotation.from_rotvec(best[:3]).as_matrix() @ start[:, :3]
    return np.hstack([rotation, best[3:, None]])


def poselib_pose(
    points: np.ndarray, pixels: np.ndarray, start: np.ndarray, **options: Any
) -> np.ndarray:
    pose = poselib.CameraPose()
    pose.R, pose.t = start[:, :3], start[:, 3]
    camera = {"model": "PINHOLE", "width": 640, "height": 480, "params": [*FOCAL, 0.0, 0.0]}
    options = {"loss_type": "TRIVIAL", "max_iterations": 300, **options}
    options |= {"gradient_tol": 1e-14, "step_tol": 1e-14}
    return poselib.refine_absolute_pose(pixels, points, pose, camera, options)[0].Rt


LIBRARIES = {
    "opencv": (opencv_pose, 100),
    "scipy": (scipy_pose, 20),
    "poselib": (poselib_pose, 200),
}


def each(views: Views, count: int) -> Any:
    given = (views.points, views.pixels, views.start[:, 0])
    return zip(*(values[:count].numpy() for values in given), strict=True)


def cost_of(views: Views, poses: torch.Tensor, kernel: Kernel = squares) -> torch.Tensor:
    return (kernel(views.at(poses).squared_BHN)[0] * views.weights).sum(dim=2)


def test_the_residual_is_that_of_cv2_project_points() -> None:
    views = Views(batch=20)
    at_start = views.at(views.start)
    for image in range(20):
        pose = views.start[image, 0].numpy()
        rvec = cv2.Rodrigues(pose[:, :3])[0]
        seen, _ = cv2.projectPoints(views.points[image].numpy(), rvec, pose[:, 3], CAMERA, None)
        expected = seen[:, 0] - views.pixels[image].numpy()
        residual = torch.stack([at_start.residual_x, at_start.residual_y], -1)[image, 0]
        np.testing.assert_allclose(residual.numpy(), expected, atol=1e-9)
        errors = at_start.squared_BHN.sqrt()[image, 0]
        np.testing.assert_allclose(errors.numpy(), np.linalg.norm(expected, axis=1), atol=1e-9)


def test_the_jacobian_agrees_with_finite_differences() -> None:
    views = Views(batch=2, hypotheses=3)

    def residual(poses: torch.Tensor) -> torch.Tensor:
        at = views.at(poses)
        return torch.stack([at.residual_x, at.residual_y], dim=2)

    jacobian = views.at(views.start).jacobian()
    assert jacobian.shape == (2, 3, 2, 6, 60)
    size = 1e-6
    for axis in range(6):
        step = torch.zeros(2, 3, 6, dtype=torch.float64)
        step[..., axis] = size
        slope = (residual(retract(views.start, step)) - residual(retract(views.start, -step))) / (
            2 * size
        )
        torch.testing.assert_close(jacobian[:, :, :, axis], slope, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("focal", [FOCAL, (100.0, 700.0)])
def test_the_normal_equations_are_the_sums_written_out(focal: tuple[float, float]) -> None:
    views = Views(batch=2, hypotheses=2, count=20)
    views.focal = torch.tensor([FOCAL, focal], dtype=torch.float64)
    views.weights = torch.from_numpy(views.rng.uniform(size=(2, 2, 20)))
    at = views.at(views.start)
    hessian, gradient = at.normal_equations(views.weights)
    residual = torch.stack([at.residual_x, at.residual_y], dim=2)
    jacobian = at.jacobian()
    for image in range(2):
        for hypothesis in range(2):
            here = (image, hypothesis)
            expected, expected_gradient = torch.zeros(6, 6).double(), torch.zeros(6).double()
            for n in range(20):
                for component in range(2):
                    row = jacobian[here][component, :, n]
                    weight = views.weights[here][n]
                    expected += weight * torch.outer(row, row)
                    expected_gradient += weight * row * residual[here][component, n]
            torch.testing.assert_close(hessian[here], expected)
            torch.testing.assert_close(gradient[here], expected_gradient)


def test_the_normal_equations_in_single_precision_come_near() -> None:
    views = Views(batch=3, count=2000)
    exact = views.at(views.start).normal_equations(views.weights)
    single = views.at(views.start, torch.float32).normal_equations(views.weights.float())
    for found, expected in zip(single, exact, strict=True):
        assert found.dtype == torch.float64
        size = exact[0].diagonal(dim1=-2, dim2=-1).sqrt()
        if found.dim() == 4:
            units = size[..., :, None] * size[..., None, :]
        else:
            units = size * views.at(views.start).squared_BHN.sum(dim=2, keepdim=True).sqrt()
        assert ((found - expected) / units).abs().max() < 1e-5


def test_the_gradient_of_the_normal_equations_is_that_of_the_cost() -> None:
    """Where some points are behind the camera: those pull nowhere."""
    views = Views(hypotheses=4, outliers=0.5)
    views.move_start(0.1)
    at = views.at(views.start)
    assert (~at.in_front).sum() > 10
    views.weights = views.weights * (at.squared_BHN < 1e3**2) + ~at.in_front
    _, gradient = at.normal_equations(views.weights)
    slope = torch.zeros_like(gradient)
    size = 1e-7
    for axis in range(6):
        step = torch.zeros(1, 4, 6, dtype=torch.float64)
        step[..., axis] = size
        ahead = cost_of(views, retract(views.start, step))
        slope[..., axis] = (ahead - cost_of(views, retract(views.start, -step))) / (2 * size)
    error = (2.0 * gradient - slope).norm(dim=2) / slope.norm(dim=2)
    assert error.max() < 1e-4


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", KINDS)
def test_refinement_ends_where_the_libraries_end(kind: str, library: str) -> None:
    pose_of, count = LIBRARIES[library]
    views = views_of(kind, count)
    found = views.refine(**EXACT)
    expected = torch.from_numpy(np.array([pose_of(*given) for given in each(views, count)]))
    cost, least = cost_of(views, found), cost_of(views, expected[:, None])
    assert (cost <= least * (1.0 + 1e-9)).all()
    # With four points of a plane OpenCV ends higher in some.
    same = (cost > least * (1.0 - 1e-9))[:, 0]
    known = (kind, library) == ("four coplanar points", "opencv")
    assert same.double().mean() >= (0.9 if known else 1.0)
    difference = (found[:, 0] - expected)[same].abs()
    assert difference[..., :3].max() < 1e-6
    # A camera that sees only what is hundreds of metres away does not know where it is.
    assert difference[..., 3].max() < (1e-5 if kind.startswith("all") else 1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "coplanar" not in kind])
def test_from_further_away_it_ends_where_poselib_does_or_better(kind: str) -> None:
    views = views_of(kind, 200)
    views.move_start(0.3)
    found = views.refine(**EXACT)
    expected = torch.from_numpy(np.array([poselib_pose(*given) for given in each(views, 200)]))
    cost, least = cost_of(views, found), cost_of(views, expected[:, None])
    assert (cost <= least * (1.0 + 1e-9)).double().mean() > 0.98


@pytest.mark.parametrize(
    ("loss", "kernel"),
    [("CAUCHY", cauchy(5.0, reach=torch.inf)), ("TRUNCATED", truncated(20.0))],
    ids=["cauchy", "truncated"],
)
def test_robust_refinement_ends_where_poselib_ends(loss: str, kernel: Kernel) -> None:
    views = Views(batch=200)
    views.move_start(0.01)
    wrong = views.rng.uniform(size=(200, 60, 1)) < 0.3
    anywhere = views.rng.uniform([-320, -240], [320, 240], (200, 60, 2))
    views.pixels = torch.where(torch.from_numpy(wrong), torch.from_numpy(anywhere), views.pixels)
    found = minimise(views.start, views.at, views.weights, kernel, **EXACT)
    scale = {"CAUCHY": 5.0, "TRUNCATED": 20.0}[loss]
    options = {"loss_type": loss, "loss_scale": scale}
    several = [poselib_pose(*given, **options) for given in each(views, 200)]
    expected = torch.from_numpy(np.array(several))[:, None]
    assert (cost_of(views, found, kernel) <= cost_of(views, expected, kernel) * (1 + 1e-9)).all()
    assert ((found - expected).abs().amax(dim=(1, 2, 3)) < 1e-6).double().mean() > 0.99


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
    assert views.errors(views.truth).max() < 1e-6
    views.points = (rotation.T @ (-in_camera - translation)).T[None]
    assert (views.errors(views.truth) == 1e4).all()
    assert not views.at(views.truth).in_front.any()
    at_centre = -rotation.T @ translation
    views.points = at_centre.T[None].expand(1, 60, 3)
    assert (views.errors(views.truth) == 1e4).all()


def test_points_at_the_least_depth_are_neither_behind_nor_infinitely_wrong() -> None:
    views = Views(count=4)
    views.truth = torch.eye(3, 4, dtype=torch.float64)[None, None]
    views.points[0] = 0.0
    views.points[0, :, 0] = torch.tensor([0.0, 0.0, 1e3, 0.0])
    views.points[0, :, 2] = torch.tensor([0.99, 1.01, 1.01, 1e12]) * MIN_DEPTH
    views.pixels[:] = torch.tensor([3.0, 4.0])
    errors = views.errors(views.truth)[0, 0].tolist()
    assert errors == pytest.approx([1e4, 5.0, 1e4, 5.0])


def test_a_batch_is_its_members_one_by_one() -> None:
    views = Views(batch=3, hypotheses=4)
    views.weights = torch.from_numpy(views.rng.uniform(size=views.weights.shape) > 0.3).double()
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_the_scale_of_the_weights_is_none(scale: float, dtype: torch.dtype) -> None:
    views = Views(batch=2, hypotheses=20, count=200)
    given = (each.to(dtype) for each in (views.start, views.points, views.pixels))
    weights, focal = scale * views.weights.to(dtype), views.focal.to(dtype)
    found = refine_pnp(*given, weights, focal, steps=30).double()
    atol = 5e-5 if dtype == torch.float32 else 1e-8
    torch.testing.assert_close(found, views.refine(**EXACT), rtol=0, atol=atol)


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
    views.move_start(0.3)

    def cost(poses: torch.Tensor) -> torch.Tensor:
        return views.at(poses).squared_BHN.sum(dim=-1)

    assert (cost(views.refine()) <= cost(views.start) * (1 + 1e-9)).all()


def test_reprojection_errors_have_the_gradient_of_finite_differences() -> None:
    views = Views(batch=2, hypotheses=2, count=5, outliers=0.4)

    def squared(points: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
        views.points = points
        return views.at(poses).squared_BHN

    given = (views.points.requires_grad_(), views.start.clone().requires_grad_())
    assert torch.autograd.gradcheck(squared, given, rtol=1e-4, atol=1e-2)
