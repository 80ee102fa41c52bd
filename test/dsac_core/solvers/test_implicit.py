# SPDX-License-Identifier: Apache-2.0
"""The derivative of solved PnP poses against central differences of the solver."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from views import Views

import dsac_core.solvers.implicit as module
from dsac_core.geometry.se3 import retract
from dsac_core.solvers.implicit import attach_pnp
from dsac_core.solvers.pnp import refine_pnp, reproject

SIZE = 1e-5  # metres
TINY = 1e-7  # where poses bend more: sets of three near their danger cylinder


class Problem:
    """Weighted correspondences of B images, and the minima of H sets of weights."""

    def __init__(self, views: Views) -> None:
        self.views, self.points = views, views.points
        self.poses = self.solve(self.points, views.truth)

    def solve(self, points: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """To the last digit: refinement, and Gauss-Newton steps that nothing stops."""
        copies = len(points) // len(self.points)
        pixels, weights, focal = (
            each.repeat_interleave(copies, dim=0)
            for each in (self.views.pixels, self.views.weights, self.views.focal)
        )
        start = start.repeat_interleave(len(points) // len(start), dim=0)
        start = start.expand(-1, weights.shape[1], -1, -1)
        poses = refine_pnp(start, points, pixels, weights, focal, steps=50)
        for _ in range(25):
            hessian, gradient = reproject(poses, points, pixels, focal).normal_equations(weights)
            poses = retract(poses, -torch.linalg.solve(hessian, gradient[..., None])[..., 0])
        return poses

    def attach(self, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
        """The poses with their derivative, and the points it is in."""
        points = self.points.detach().to(dtype).requires_grad_()
        views = self.views
        rest = (each.to(dtype) for each in (views.pixels, views.weights, views.focal))
        return attach_pnp(self.poses.to(dtype), points, *rest), points

    def directions(self) -> torch.Tensor:
        """What to weigh the entries of the poses by, to have one number of each image."""
        generator = torch.Generator().manual_seed(5)
        return torch.randn(self.poses.shape, generator=generator, dtype=torch.float64)

    def gradient(self, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        poses, points = self.attach(dtype)
        (slope,) = torch.autograd.grad((poses * self.directions().to(dtype)).sum(), points)
        return slope.double()

    def numeric(self, size: float = SIZE) -> torch.Tensor:
        """The same by central differences of the solver."""
        batch, count, _ = self.points.shape
        steps = size * torch.eye(3 * count, dtype=torch.float64).view(-1, count, 3)
        value = []
        for sign in (1.0, -1.0):
            moved = (self.points[:, None] + sign * steps).flatten(0, 1)
            poses = self.solve(moved, self.poses).unflatten(0, (batch, -1))
            value.append((poses * self.directions()[:, None]).sum(dim=(2, 3, 4)))
        return ((value[0] - value[1]) / (2.0 * size)).view(batch, count, 3)


class Agreement(NamedTuple):
    cosine: float
    length: float  # ratio
    error: float  # relative


def compare(found: torch.Tensor, expected: torch.Tensor) -> Agreement:
    """Of the image where they agree least."""
    found, expected = found.flatten(1), expected.flatten(1)
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    worst = int(error.argmax())
    return Agreement(
        torch.cosine_similarity(found, expected, dim=1)[worst].item(),
        (found[worst].norm() / expected[worst].norm()).item(),
        error[worst].item(),
    )


def weighted(noise: float, batch: int = 2, hypotheses: int = 3, count: int = 12) -> Problem:
    """Each hypothesis with weights of its own, a third of them zero; two focal lengths."""
    views = Views(batch, hypotheses, count, noise=noise)
    weights = torch.from_numpy(views.rng.uniform(0.2, 2.0, (batch, hypotheses, count)))
    order = torch.from_numpy(views.rng.uniform(size=(batch, hypotheses, count))).argsort(dim=2)
    views.weights = weights * (order >= count // 3)
    scale = torch.linspace(1.0, 0.6, batch, dtype=torch.float64)[:, None]
    views.focal, views.pixels = views.focal * scale, views.pixels * scale[..., None]
    return Problem(views)


def minimal(batch: int = 50) -> Problem:
    """Sets of three points, which fit exactly."""
    return Problem(Views(batch, count=3, noise=0.0, seed=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_poses_are_the_very_same(dtype: torch.dtype) -> None:
    for problem in (weighted(2.0), minimal()):
        poses, _ = problem.attach(dtype)
        assert poses.requires_grad
        assert torch.equal(poses, problem.poses.to(dtype))


def test_where_nothing_is_wanted_nothing_is_kept() -> None:
    problem = weighted(2.0)
    views = problem.views
    poses = attach_pnp(problem.poses, views.points, views.pixels, views.weights, views.focal)
    assert not poses.requires_grad
    assert torch.equal(poses, problem.poses)


@pytest.mark.parametrize("noise", [0.0, 2.0, 20.0])
def test_the_derivative_is_that_of_the_solver(noise: float) -> None:
    problem = weighted(noise)
    agreement = compare(problem.gradient(), problem.numeric())
    assert agreement.cosine > 0.999
    assert agreement.length == pytest.approx(1.0, abs=0.01)
    assert agreement.error < 1e-5  # and to all digits that the differences have


@pytest.mark.parametrize("noise", [0.0, 2.0, 20.0])
def test_single_precision_has_the_derivative_too(noise: float) -> None:
    problem = weighted(noise)
    agreement = compare(problem.gradient(torch.float32), problem.gradient())
    assert agreement.cosine > 0.99999
    assert agreement.error < 1e-3


def test_the_derivative_of_minimal_sets() -> None:
    problem = minimal()
    agreement = compare(problem.gradient(), problem.numeric(TINY))
    assert agreement.cosine > 0.999
    assert agreement.length == pytest.approx(1.0, abs=0.01)
    assert agreement.error < 1e-4


def test_each_entry_of_a_pose_has_its_derivative() -> None:
    problem = weighted(5.0, batch=1, hypotheses=1, count=5)
    poses, points = problem.attach()
    count = points.numel()
    steps = SIZE * torch.eye(count, dtype=torch.float64).view(-1, *points.shape[1:])
    ahead, behind = (
        problem.solve(points.detach() + sign * steps, problem.poses)[:, 0] for sign in (1.0, -1.0)
    )
    expected = (ahead - behind) / (2.0 * SIZE)
    for row in range(3):
        for column in range(4):
            (slope,) = torch.autograd.grad(poses[0, 0, row, column], points, retain_graph=True)
            torch.testing.assert_close(
                slope.flatten(), expected[:, row, column], rtol=1e-6, atol=1e-7
            )


def test_without_the_curvature_of_projection_it_is_visibly_wrong_at_much_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gauss-Newton's matrix alone, as a record of why the other term is there."""
    expected = {noise: weighted(noise).numeric() for noise in (0.0, 2.0, 20.0)}
    monkeypatch.setattr(module, "_reprojection_curvature", lambda *_: torch.zeros(6, 6).double())
    errors = {
        noise: compare(weighted(noise).gradient(), expected[noise]).error for noise in expected
    }
    assert errors[0.0] < 1e-5
    assert 1e-3 < errors[2.0] < 0.05
    assert errors[20.0] > 0.02


def test_the_hessian_is_the_second_derivative_of_the_cost() -> None:
    """Of half the weighted sum of squares as a pose moves, everywhere and not at minima only."""
    problem = weighted(20.0)
    views = problem.views
    step = torch.from_numpy(views.rng.normal(scale=0.1, size=(2, 3, 6)))
    poses = retract(problem.poses, step)

    def slope(step_6: torch.Tensor) -> torch.Tensor:
        step = step_6.expand(2, 3, 6).clone().requires_grad_()
        squared = views.at(retract(poses, step)).squared_BHN
        return torch.autograd.grad(0.5 * (squared * views.weights).sum(), step)[0]

    at = views.at(poses)
    hessian, gradient = at.normal_equations(views.weights)
    hessian = hessian + module._reprojection_curvature(at, views.weights)
    torch.testing.assert_close(module._reprojection_gradient(at, views.weights), gradient)
    torch.testing.assert_close(slope(torch.zeros(6).double()), gradient)
    size = 1e-5
    several = [slope(size * axis) - slope(-size * axis) for axis in torch.eye(6).double()]
    numeric = torch.stack(several, dim=-1) / (2 * size)
    scale = at.normal_equations(views.weights)[0].diagonal(dim1=-2, dim2=-1).sqrt()
    units = scale[..., :, None] * scale[..., None, :]
    torch.testing.assert_close(hessian / units, numeric / units, rtol=0, atol=1e-6)


def test_points_without_weight_and_points_behind_the_camera_have_no_derivative() -> None:
    problem = weighted(2.0)
    views = problem.views
    rotation, translation = problem.poses[0, 0, :, :3], problem.poses[0, 0, :, 3]
    problem.points = views.points = views.points.clone()
    views.weights[:, :, 0] = views.weights[:, :, 1] = 0.0
    problem.poses = problem.solve(problem.points, problem.poses)
    before = problem.gradient()
    problem.points[:, 0] = (torch.tensor([0.2, 0.1, -2.0]).double() - translation) @ rotation
    problem.points[:, 1] = 1e6
    views.weights[0, 0, 0] = 1.0  # behind the camera of the first pose
    after = problem.gradient()
    assert (before[:, :2] == 0).all()
    assert after[0].isfinite().all()
    assert (after[0, :2] == 0).all()
    torch.testing.assert_close(after, before)


def open_problem(kind: str) -> Problem:
    views = Views(batch=3, hypotheses=2, count=8, noise=0.0)
    if kind == "collinear":
        ends = views.points[:1, :2]
        along = torch.linspace(0.0, 1.0, 8, dtype=torch.float64)[:, None]
        views.points[0] = ends[0, 0] + along * (ends[0, 1] - ends[0, 0])
        at = views.at(views.truth)
        seen = torch.stack([at.residual_x, at.residual_y], dim=3)[0, 0]
        views.pixels[0] = views.pixels[0] + seen
    else:
        views.weights[0, :, {"no points": 0, "one point": 1, "two points": 2}[kind] :] = 0.0
    problem = Problem.__new__(Problem)
    problem.views, problem.points = views, views.points
    problem.poses = views.truth.expand(-1, 2, -1, -1)
    return problem


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["no points", "one point", "two points", "collinear"])
def test_what_leaves_the_pose_open_has_no_derivative_and_disturbs_nobody(
    kind: str, dtype: torch.dtype
) -> None:
    problem = open_problem(kind)
    poses, points = problem.attach(dtype)
    assert torch.equal(poses, problem.poses.to(dtype))
    (slope,) = torch.autograd.grad((poses * problem.directions().to(dtype)).sum(), points)
    assert torch.equal(slope[0], torch.zeros_like(slope[0]))
    assert slope.isfinite().all()
    good = Problem(Views(batch=3, hypotheses=2, count=8, noise=0.0)).gradient()
    rtol = 1e-6 if dtype == torch.float64 else 1e-2
    torch.testing.assert_close(slope[1:].double(), good[1:], rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_two_points_determine_a_pose_by_rounding(dtype: torch.dtype) -> None:
    problem = Problem.__new__(Problem)
    problem.views = Views(batch=500, count=2, noise=0.0)
    problem.points, problem.poses = problem.views.points, problem.views.truth
    assert (problem.gradient(dtype) == 0).all()


def test_a_saddle_has_no_derivative() -> None:
    """Gauss-Newton's matrix is definite there; the Hessian knows better."""
    problem = Problem.__new__(Problem)
    problem.views = views = Views(count=20, noise=0.0)
    views.pixels = -views.pixels
    problem.points, problem.poses = views.points, views.truth
    at = views.at(problem.poses)
    hessian, _ = at.normal_equations(views.weights)
    assert torch.linalg.eigvalsh(hessian).min() > 0
    whole = hessian + module._reprojection_curvature(at, views.weights)
    assert torch.linalg.eigvalsh(whole).min() < 0
    assert (problem.gradient() == 0).all()
