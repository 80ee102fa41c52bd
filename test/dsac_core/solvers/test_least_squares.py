# SPDX-License-Identifier: Apache-2.0
"""Robust least squares over poses, with reprojection errors and with distances in space."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from views import Views

import dsac_core.solvers.least_squares as module
from dsac_core.geometry.se3 import retract
from dsac_core.solvers.kabsch import rigid_residuals, solve_kabsch
from dsac_core.solvers.least_squares import (
    Kernel,
    Residuals,
    cauchy,
    geman_mcclure,
    is_definite,
    minimise,
    squares,
    truncated,
)

KERNELS: dict[str, Callable[[float], Kernel]] = {
    "squares": lambda _: squares,
    "truncated": truncated,
    "geman_mcclure": geman_mcclure,
    "cauchy": cauchy,
    "cauchy in reach": lambda scale: cauchy(scale, reach=3.0),
}


class Problem:
    """Poses of B images from correspondences, a third of them wrong; H starts each."""

    def __init__(
        self, *, depth: bool, batch: int = 2, hypotheses: int = 8, count: int = 50
    ) -> None:
        self.views = Views(batch, hypotheses, count, outliers=0.3)
        self.points = self.views.points
        self.begin(0.1)
        rng = np.random.default_rng(1)
        truth = self.views.truth[:, 0]
        moved = self.points @ truth[..., :3].mT + truth[..., 3][:, None]
        moved = moved + 0.02 * torch.from_numpy(rng.normal(size=moved.shape))
        wrong = torch.from_numpy(rng.uniform(size=(batch, count, 1)) < 0.3)
        self.measured = torch.where(wrong, moved + 3.0, moved) if depth else None
        self.weights = torch.from_numpy(rng.uniform(0.5, 1.5, (batch, hypotheses, count)))
        self.scale = 0.1 if depth else 10.0

    def begin(self, size: float) -> None:
        """So many metres and radians from the truth."""
        self.views.move_start(size)
        self.start = self.views.start

    def to(self, dtype: torch.dtype) -> Problem:
        for name in ("start", "points", "measured", "weights"):
            value = getattr(self, name)
            setattr(self, name, None if value is None else value.to(dtype))
        return self

    def residuals(self, poses: torch.Tensor) -> Residuals:
        if self.measured is None:
            return self.views.at(poses, self.points.dtype)
        return rigid_residuals(poses, self.points, self.measured)

    def cost(self, poses: torch.Tensor, kernel: Kernel) -> torch.Tensor:
        return (kernel(self.residuals(poses).squared_BHN)[0] * self.weights).sum(dim=2)

    def minimise(self, kernel: Kernel, steps: int = 100, **options: float) -> torch.Tensor:
        return minimise(self.start, self.residuals, self.weights, kernel, steps=steps, **options)


@pytest.fixture(params=[False, True], ids=["pixels", "depth"])
def depth(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_the_weight_is_the_derivative_of_the_cost_by_the_squared_residual(
    name: str, scale: float
) -> None:
    kernel = KERNELS[name](scale)
    ratio = torch.linspace(0.003, 12.0, 400, dtype=torch.float64)  # steers clear of the edges
    squared = (ratio * scale) ** 2
    size = 1e-5 * squared
    slope = (kernel(squared + size)[0] - kernel(squared - size)[0]) / (2 * size)
    torch.testing.assert_close(kernel(squared)[1], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_kernel_starts_as_the_square_and_never_falls(name: str, dtype: torch.dtype) -> None:
    kernel = KERNELS[name](10.0)
    squared = torch.cat([torch.zeros(1), torch.logspace(-8, 8, 2000)]).to(dtype)
    cost, weight = kernel(squared)
    assert cost.dtype == weight.dtype == dtype
    assert (cost[0], weight[0]) == (0.0, 1.0)
    near = squared < 1e-2
    torch.testing.assert_close(cost[near], squared[near], rtol=1e-3, atol=2e-5)
    # 1 - 1 / (1 + x) is known to the last digits of 1.
    assert (cost.diff() >= -4 * torch.finfo(dtype).eps * cost[1:].clamp_min(100.0)).all()
    assert ((weight >= 0) & (weight <= 1)).all()
    assert (weight.diff() <= 0).all()


def test_truncation_is_at_the_threshold() -> None:
    cost, weight = truncated(10.0)(torch.tensor([0.0, 99.0, 100.0, 101.0, 1e8]))
    assert cost.tolist() == [0.0, 99.0, 100.0, 100.0, 100.0]
    assert weight.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_cauchy_weights_end_at_the_reach() -> None:
    cost, weight = cauchy(2.0, reach=5.0)(torch.tensor([4.0, 99.0, 101.0, 1e8]))
    assert weight.tolist() == pytest.approx([0.5, 1 / 25.75, 0.0, 0.0])
    assert cost[2] == cost[3]
    assert cost[2].item() == pytest.approx(4.0 * np.log(26.0))
    assert cauchy(2.0)(torch.tensor([399.0]))[1] > 0 == cauchy(2.0)(torch.tensor([401.0]))[1]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_robust_cost_never_rises(name: str, dtype: torch.dtype, depth: bool) -> None:
    """Not after any number of steps, and from anywhere, with points behind the camera."""
    problem = Problem(depth=depth, hypotheses=16)
    problem.begin(0.5)
    problem.to(dtype)
    kernel = KERNELS[name](10.0 * problem.scale)
    before = problem.cost(problem.start, kernel)
    slack = 1.0 + 100 * torch.finfo(dtype).eps
    fell = []
    for steps in (1, 5, 30):
        after = problem.cost(problem.minimise(kernel, steps), kernel)
        assert (after <= before * slack).all()
        fell.append((after < 0.999 * before).double().mean())
        before = after
    assert fell[0] > 0.2  # it does something


@pytest.mark.parametrize("name", ["geman_mcclure", "cauchy", "squares"])
def test_the_robust_cost_has_no_slope_at_the_end(name: str, depth: bool) -> None:
    problem = Problem(depth=depth)
    kernel = KERNELS[name](problem.scale)
    problem.begin(0.01)
    if name == "squares":
        errors = problem.residuals(problem.views.truth).squared_BHN.sqrt()
        problem.weights = problem.weights * (errors < 3 * problem.scale)
    found = problem.minimise(kernel, steps=200)

    def slope(poses: torch.Tensor) -> torch.Tensor:
        size = 1e-5
        slopes = []
        for axis in torch.eye(6, dtype=torch.float64):
            step = (size * axis).expand(2, 8, 6)
            ahead = problem.cost(retract(poses, step), kernel)
            slopes.append((ahead - problem.cost(retract(poses, -step), kernel)) / (2 * size))
        return torch.stack(slopes, dim=-1).abs().amax(dim=-1)

    assert (slope(found) < 1e-4 * slope(problem.start)).all()


def test_truncated_refinement_ends_at_the_least_squares_of_its_own_inliers(depth: bool) -> None:
    problem = Problem(depth=depth, hypotheses=20)
    problem.begin(0.01)
    kernel = truncated(problem.scale)
    found = problem.minimise(kernel)
    inliers = kernel(problem.residuals(found).squared_BHN)[1]
    assert inliers.mean() > 0.5
    assert (inliers.mean(dim=2) < 0.9).any()
    weights = inliers * problem.weights
    again = minimise(found, problem.residuals, weights, squares, steps=100)
    torch.testing.assert_close(again, found, rtol=0, atol=1e-7)
    if problem.measured is not None:
        closed = solve_kabsch(problem.measured, problem.points, weights)
        torch.testing.assert_close(closed, found, rtol=0, atol=1e-7)


def test_outliers_do_not_move_a_truncated_fit(depth: bool) -> None:
    """From near, all starts end at one pose, and wrong points anywhere else would not change it."""
    problem = Problem(depth=depth)
    problem.begin(0.01)
    kernel = truncated(problem.scale)
    found = problem.minimise(kernel)
    outliers = (problem.residuals(found).squared_BHN > 4 * problem.scale**2).all(dim=1)
    assert 5 < outliers.sum() < 50
    problem.points = torch.where(outliers[..., None], problem.points + 7.0, problem.points)
    problem.views.points = problem.points
    problem.start = found
    stays = (problem.residuals(found).squared_BHN > 4 * problem.scale**2).all(dim=1)
    assert torch.equal(stays, outliers)
    torch.testing.assert_close(problem.minimise(kernel), found, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_poses_without_weights_stay_and_disturb_nobody(dtype: torch.dtype, depth: bool) -> None:
    problem = Problem(depth=depth).to(dtype)
    kernel = truncated(problem.scale)
    before = problem.minimise(kernel)
    problem.weights[0, 3] = 0.0
    problem.weights[1] = 0.0
    after = problem.minimise(kernel)
    assert torch.equal(after[0, 3], problem.start[0, 3])
    assert torch.equal(after[1], problem.start[1])
    others = [0, 1, 2, 4, 5, 6, 7]
    torch.testing.assert_close(after[0, others], before[0, others], rtol=0, atol=1e-6)


def test_a_pose_of_nan_stays_one_and_disturbs_nobody(depth: bool) -> None:
    problem = Problem(depth=depth)
    before = problem.minimise(squares)
    problem.start = problem.start.clone()
    problem.start[0, 2] = torch.nan
    after = problem.minimise(squares)
    assert after[0, 2].isnan().all()
    assert torch.equal(after[1], before[1])
    assert torch.equal(after[0, 3:], before[0, 3:])


def test_what_has_no_weight_may_be_anywhere(depth: bool) -> None:
    problem = Problem(depth=depth).to(torch.float32)
    problem.weights[:, :, 30:] = 0.0
    before = problem.minimise(squares)
    problem.points = problem.points.clone()
    problem.points[:, 30:40], problem.points[:, 40:] = 9e8, -1e7
    problem.views.points = problem.points
    after = problem.minimise(squares)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)


def test_no_steps_are_no_change(depth: bool) -> None:
    problem = Problem(depth=depth)
    assert torch.equal(problem.minimise(squares, steps=0), problem.start)


@pytest.mark.parametrize("name", KERNELS)
def test_a_batch_is_its_members_one_by_one(name: str, depth: bool) -> None:
    problem = Problem(depth=depth, hypotheses=3)
    kernel = KERNELS[name](problem.scale)
    together = problem.minimise(kernel)
    for image, hypothesis in product(range(2), range(3)):
        one = Problem(depth=depth, hypotheses=3)
        one.points = one.views.points = problem.points[image][None]
        one.views.pixels = problem.views.pixels[image][None]
        one.views.focal = problem.views.focal[image][None]
        one.measured = None if problem.measured is None else problem.measured[image][None]
        one.start = problem.start[image, hypothesis][None, None]
        one.weights = problem.weights[image, hypothesis][None, None]
        alone = one.minimise(kernel)[0, 0]
        torch.testing.assert_close(alone, together[image, hypothesis], rtol=0, atol=1e-6)


def test_weights_of_an_image_serve_all_its_poses(depth: bool) -> None:
    problem = Problem(depth=depth)
    problem.weights = problem.weights[:, :1]
    shared = problem.minimise(truncated(problem.scale))
    problem.weights = problem.weights.expand(-1, 8, -1)
    each = problem.minimise(truncated(problem.scale))
    torch.testing.assert_close(shared, each, rtol=0, atol=1e-9)


def test_poses_stay_rigid(depth: bool) -> None:
    problem = Problem(depth=depth)
    rotation = problem.minimise(geman_mcclure(problem.scale))[..., :3]
    identity = torch.eye(3, dtype=torch.float64).expand(2, 8, 3, 3)
    torch.testing.assert_close(rotation @ rotation.mT, identity, rtol=0, atol=1e-12)


def standard_deviations(
    views: Views, found: torch.Tensor, best: torch.Tensor, kernel: Kernel
) -> np.ndarray:
    """How far poses [B x 1] are from the best, in those of the best: sqrt(d^T H d / sigma^2)."""
    turn = found[..., :3] @ best[..., :3].mT
    shift = (found[..., 3:] - turn @ best[..., 3:])[:, 0, :, 0]
    step = np.hstack([shift.numpy(), Rotation.from_matrix(turn[:, 0].numpy()).as_rotvec()])
    residuals = views.at(best)
    weights = kernel(residuals.squared_BHN)[1]
    hessian = residuals.normal_equations(weights)[0][:, 0].numpy()
    variance = (residuals.squared_BHN * weights).sum(dim=2)[:, 0] / weights.sum(dim=2)[:, 0]
    return np.sqrt(np.einsum("bi,bij,bj->b", step, hessian, step) / variance.numpy())


@pytest.mark.parametrize("kernel", [squares, cauchy(3.0), truncated(6.0)])
def test_a_pose_rests_within_so_many_standard_deviations(kernel: Kernel) -> None:
    views = Views(batch=10, count=500)
    views.move_start(0.002)
    best = minimise(views.start, views.at, views.weights, kernel, steps=200, tolerance=1e-12)
    calls: list[int] = []
    for tolerance in (0.1, 1e-3, 1e-6):
        count = 0

        def residuals(poses: torch.Tensor) -> Residuals:
            nonlocal count
            count += 1
            return views.at(poses)

        found = minimise(
            views.start, residuals, views.weights, kernel, steps=1000, tolerance=tolerance
        )
        assert standard_deviations(views, found, best, kernel).max() < tolerance
        calls.append(count)
    assert calls[0] < calls[2] < 30


def test_steps_are_lengthened_where_a_tight_cut_makes_them_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    views = Views(batch=10, count=2000)
    views.move_start(0.002)
    kernel = truncated(1.25)
    calls, found = [], []
    for _ in range(2):
        count = 0

        def residuals(poses: torch.Tensor) -> Residuals:
            nonlocal count
            count += 1
            return views.at(poses)

        found.append(minimise(views.start, residuals, views.weights, kernel, steps=200))
        calls.append(count)
        monkeypatch.setattr(module, "_lengthening", lambda step, *_: torch.ones_like(step[..., :1]))
    assert calls[0] < calls[1]
    cost = [kernel(views.at(poses).squared_BHN)[0].sum(dim=2) for poses in found]
    torch.testing.assert_close(cost[0], cost[1], rtol=1e-3, atol=0)


def test_it_takes_no_gradient(depth: bool) -> None:
    problem = Problem(depth=depth)
    problem.points.requires_grad_()
    assert not problem.minimise(geman_mcclure(problem.scale)).requires_grad


def random_definite(count: int = 20) -> torch.Tensor:
    root = torch.from_numpy(np.random.default_rng(0).normal(size=(count, 6, 8)))
    return root @ root.mT


def test_what_is_summed_up_in_single_precision_has_fewer_digits_to_be_definite_by() -> None:
    matrix = torch.eye(6, dtype=torch.float64)
    matrix[0, 1] = matrix[1, 0] = 1.0 - 3e-7
    assert is_definite(matrix)
    assert not is_definite(matrix, torch.float32)
    matrix[0, 1] = matrix[1, 0] = 1.0 - 3e-6
    assert is_definite(matrix, torch.float32)


def test_definite_matrices_are_so_in_any_units() -> None:
    matrices = random_definite()
    assert is_definite(matrices).shape == (20,)
    for metre, radian in product([1e-5, 1.0, 1e5], repeat=2):
        units = torch.tensor([metre] * 3 + [radian] * 3, dtype=torch.float64)
        assert is_definite(units[:, None] * matrices * units).all()


def test_a_matrix_with_an_open_direction_is_not_definite_in_any_units() -> None:
    matrices = random_definite()
    open_direction = torch.from_numpy(np.random.default_rng(1).normal(size=(20, 6, 1)))
    open_direction = open_direction / open_direction.norm(dim=1, keepdim=True)
    project = torch.eye(6, dtype=torch.float64) - open_direction @ open_direction.mT
    singular = project @ matrices @ project
    for metre, radian in product([1e-3, 1.0, 1e3], repeat=2):
        units = torch.tensor([metre] * 3 + [radian] * 3, dtype=torch.float64)
        scaled = units[:, None] * singular * units
        assert not is_definite(scaled).any()
        # Even where rounding makes the open direction's eigenvalue positive.
        lift = 1e-13 * torch.diag_embed(scaled.diagonal(dim1=1, dim2=2))
        assert not is_definite(scaled + lift).any()


@pytest.mark.parametrize(
    "diagonal",
    [
        [1.0, 1.0, 1.0, 1.0, 1.0, -1.0],
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0] * 6,
        [-1.0] * 6,
        [torch.nan] * 6,
        [torch.inf] * 6,
    ],
)
def test_what_is_no_definite_matrix_at_all(diagonal: list[float]) -> None:
    good = torch.eye(6, dtype=torch.float64)
    both = torch.stack([torch.diag(torch.tensor(diagonal, dtype=torch.float64)), good])
    assert is_definite(both).tolist() == [False, True]


def test_a_saddle_is_not_definite() -> None:
    turn = torch.from_numpy(np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0])
    saddle = turn @ torch.diag(torch.tensor([5.0, 4, 3, 2, 1, -0.1]).double()) @ turn.T
    assert (saddle.diagonal() > 0).all()
    assert not is_definite(saddle)


def test_the_normal_matrix_of_two_points_is_not_definite_and_of_three_is(depth: bool) -> None:
    problem = Problem(depth=depth, batch=20, hypotheses=1)
    poses = problem.views.truth
    problem.weights[:, :, 3:] = 0.0
    residuals = problem.residuals(poses)
    assert is_definite(residuals.normal_equations(problem.weights)[0]).double().mean() > 0.5
    problem.weights[:, :, 2:] = 0.0
    assert not is_definite(residuals.normal_equations(problem.weights)[0]).any()


def test_a_rotation_about_a_line_of_points_stays_open() -> None:
    """All directions but one are determined, and refinement neither fails nor turns about it."""
    along = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None]
    points = (along * torch.tensor([0.3, 0.5, 0.1]) + torch.tensor([0.0, 0.1, 3.0]))[None]
    truth = torch.eye(3, 4, dtype=torch.float64)[None, None]
    step = torch.tensor([[[0.05, -0.1, 0.2, 0.1, 0.2, -0.1]]], dtype=torch.float64)
    start = retract(truth, step)
    found = minimise(
        start,
        lambda poses: rigid_residuals(poses, points, points),
        torch.ones(1, 1, 30, dtype=torch.float64),
        steps=50,
    )
    residuals = rigid_residuals(found, points, points)
    assert residuals.squared_BHN.max() < 1e-18
    assert not is_definite(residuals.normal_equations(torch.ones(1, 1, 30).double())[0]).any()
    turned = Rotation.from_matrix(found[0, 0, :, :3].numpy()).magnitude()
    assert turned < 0.3
