# SPDX-License-Identifier: Apache-2.0
"""P3P against the truth and against PoseLib, thousands of triples at once."""

from __future__ import annotations

import numpy as np
import poselib
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_core.solvers.p3p import P3PSolutions, solve_p3p


class Problems:
    """Random triples in front of random cameras, batch first."""

    def __init__(self, count: int, seed: int = 0, near: float = 0.3, far: float = 6.0) -> None:
        rng = np.random.default_rng(seed)
        self.rotation = Rotation.random(count, random_state=seed).as_matrix()
        self.translation = rng.normal(size=(count, 3))
        depth = rng.uniform(near, far, (count, 3, 1))
        rays = np.concatenate([rng.uniform(-0.6, 0.6, (count, 3, 2)), np.ones((count, 3, 1))], 2)
        in_camera = rays * depth
        self.rays = rays / np.linalg.norm(rays, axis=2, keepdims=True)
        # X_cam = R X + t
        self.points = np.einsum(
            "nji,npj->npi", self.rotation, in_camera - self.translation[:, None]
        )

    def solve(self, dtype: torch.dtype = torch.float64) -> P3PSolutions:
        return solve(self.rays, self.points, dtype)


def solve(rays_N33: np.ndarray, points_N33: np.ndarray, dtype: torch.dtype) -> P3PSolutions:
    return solve_p3p(
        torch.from_numpy(rays_N33).permute(1, 2, 0).to(dtype),
        torch.from_numpy(points_N33).permute(1, 2, 0).to(dtype),
    )


def nearest_errors(problems: Problems, solutions: P3PSolutions) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (Frobenius) and translation error of the valid solution nearest to the truth."""
    rotation = solutions.rotation_433N.permute(3, 0, 1, 2).double().numpy()
    translation = solutions.translation_43N.permute(2, 0, 1).double().numpy()
    valid = solutions.valid_4N.T.numpy()
    turn = np.linalg.norm(rotation - problems.rotation[:, None], axis=(2, 3))
    shift = np.linalg.norm(translation - problems.translation[:, None], axis=2)
    total = np.where(valid, turn + shift, np.inf)
    best = total.argmin(axis=1)
    rows = np.arange(len(best))
    missed = ~valid.any(axis=1)
    return (
        np.where(missed, np.inf, turn[rows, best]),
        np.where(missed, np.inf, shift[rows, best]),
    )


def test_the_true_pose_is_among_the_solutions_in_double_precision() -> None:
    problems = Problems(5000)
    turn, shift = nearest_errors(problems, problems.solve())
    assert np.mean((turn < 1e-6) & (shift < 1e-6)) > 0.995
    assert np.median(turn + shift) < 1e-11


def test_the_true_pose_is_among_the_solutions_in_single_precision() -> None:
    problems = Problems(5000, seed=1)
    turn, shift = nearest_errors(problems, problems.solve(torch.float32))
    assert np.mean((turn < 0.01) & (shift < 0.02)) > 0.98
    assert np.median(turn + shift) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_valid_solution_is_rigid_and_explains_the_triple(dtype: torch.dtype) -> None:
    problems = Problems(3000, seed=2)
    solutions = problems.solve(dtype)
    valid = solutions.valid_4N.T.numpy()
    rotation = solutions.rotation_433N.permute(3, 0, 1, 2).double().numpy()[valid]
    translation = solutions.translation_43N.permute(2, 0, 1).double().numpy()[valid]
    owner = np.nonzero(valid)[0]
    identity = np.broadcast_to(np.eye(3), rotation.shape)
    np.testing.assert_allclose(rotation @ rotation.swapaxes(1, 2), identity, atol=1e-4)
    assert (np.linalg.det(rotation) > 0.9).all()
    in_camera = problems.points[owner] @ rotation.swapaxes(1, 2) + translation[:, None]
    directions = in_camera / np.linalg.norm(in_camera, axis=2, keepdims=True)
    angle = np.linalg.norm(directions - problems.rays[owner], axis=2).max(axis=1)
    # The residual that "valid" allows is loose; what does not fit is left to the fourth point.
    assert np.mean(angle < 1e-3) > 0.99


def test_as_many_solutions_as_poselib() -> None:
    problems = Problems(500, seed=3)
    solutions = problems.solve()
    found = missing = 0
    for index in range(500):
        others = poselib.p3p(list(problems.rays[index]), list(problems.points[index]))
        mine = [
            solutions.rotation_433N[k, :, :, index].numpy()
            for k in range(4)
            if solutions.valid_4N[k, index]
        ]
        for other in others:
            near = [np.abs(rotation - other.R).max() < 1e-5 for rotation in mine]
            found += any(near)
            missing += not any(near)
    assert found > 800
    assert missing <= 0.01 * found


def test_points_far_from_the_origin_in_double_precision() -> None:
    problems = Problems(1000, seed=4)
    offset = np.array([4e5, -5e6, 120.0])
    shifted = solve(problems.rays, problems.points + offset, torch.float64)
    problems.translation = problems.translation - problems.rotation @ offset
    turn, _ = nearest_errors(problems, shifted)
    assert np.mean(turn < 1e-4) > 0.98


def test_a_far_scene_in_a_narrow_view() -> None:
    problems = Problems(1000, seed=5, near=80.0, far=120.0)
    turn, shift = nearest_errors(problems, problems.solve())
    assert np.mean((turn < 1e-4) & (shift < 1e-2)) > 0.98


def test_a_fronto_parallel_triangle() -> None:
    """All three at one depth: the conics meet specially."""
    rays = np.array([[[-0.2, -0.2, 1.0], [0.3, -0.2, 1.0], [0.0, 0.3, 1.0]]])
    unit = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    problems = Problems(1)
    problems.rotation, problems.translation = np.eye(3)[None], np.zeros((1, 3))
    problems.rays, problems.points = unit, 2.0 * rays
    turn, shift = nearest_errors(problems, problems.solve())
    assert turn[0] < 1e-5
    assert shift[0] < 1e-5


def degenerate_points() -> dict[str, np.ndarray]:
    a, b = np.array([0.3, -0.2, 2.0]), np.array([-0.5, 0.4, 3.0])
    return {
        "collinear": np.array([a, b, 0.3 * a + 0.7 * b]),
        "repeated": np.array([a, b, a]),
        "one point": np.array([a, a, a]),
        "zero": np.zeros((3, 3)),
        "NaN": np.array([a, b, [np.nan, 0, 1]]),
        "infinite": np.array([a, b, [np.inf, 0, 1]]),
        "huge": np.array([a, b, [1e30, 0, 1]]),
    }


@pytest.mark.parametrize("name", degenerate_points())
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_degenerate_triples_have_no_solution(name: str, dtype: torch.dtype) -> None:
    points = degenerate_points()[name]
    rays = np.array([[0.1, -0.1, 1.0], [-0.2, 0.1, 1.0], [0.3, 0.2, 1.0]])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    solutions = solve(rays[None], points[None], dtype)
    assert not solutions.valid_4N.any()


def test_a_degenerate_triple_does_not_disturb_its_neighbours() -> None:
    problems = Problems(50, seed=6)
    alone = problems.solve()
    problems.points[7] = np.nan
    problems.points[9] = 0.0
    beside = problems.solve()
    others = [index for index in range(50) if index not in (7, 9)]
    assert torch.equal(alone.valid_4N[:, others], beside.valid_4N[:, others])
    valid = alone.valid_4N[:, others]
    shift = (alone.translation_43N - beside.translation_43N)[:, :, others].abs().amax(dim=1)
    assert shift[valid].max() == 0


def test_no_triples() -> None:
    empty = np.empty((0, 3, 3))
    assert solve(empty, empty, torch.float32).valid_4N.shape == (4, 0)


def test_repeated_rays_give_nothing_but_finite_or_invalid() -> None:
    """Two different points on one ray: whatever comes out must not claim a reflection."""
    rays = np.array([[[0.1, 0.0, 1.0], [0.1, 0.0, 1.0], [-0.3, 0.2, 1.0]]])
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    points = rays * np.array([[[1.0], [2.0], [3.0]]])
    solutions = solve(rays, points, torch.float64)
    rotation = solutions.rotation_433N.permute(3, 0, 1, 2)[solutions.valid_4N.T]
    assert rotation.isfinite().all()
    assert (torch.linalg.det(rotation) > 0.99).all()
