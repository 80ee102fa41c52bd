# SPDX-License-Identifier: Apache-2.0
"""P3P against the truth, PoseLib and OpenCV, thousands of triples at once."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import poselib
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_core.solvers.p3p import P3PSolutions, solve_p3p

DTYPES = [torch.float64, torch.float32]


class Problems:
    """Triples of points given in the camera frame, seen by random cameras; batch first."""

    def __init__(self, in_camera_N33: np.ndarray, seed: int = 0) -> None:
        count = len(in_camera_N33)
        rotation = Rotation.random(count, random_state=seed).as_matrix()
        translation = np.random.default_rng(seed).normal(size=(count, 3, 1))
        self.poses_N34 = np.concatenate([rotation, translation], axis=2)  # camera from world
        self.rays = in_camera_N33 / np.linalg.norm(in_camera_N33, axis=2, keepdims=True)
        self.points = (in_camera_N33 - translation.swapaxes(1, 2)) @ rotation

    def solve(self, dtype: torch.dtype = torch.float64) -> P3PSolutions:
        return solve(self.rays, self.points, dtype)

    def errors(self, solutions: P3PSolutions) -> np.ndarray:
        """Of each triple, how far the nearest solution is from the truth; or inf."""
        poses_K34, triple = unpack(solutions)
        nearest = np.full(len(self.rays), np.inf)
        errors = np.linalg.norm(poses_K34 - self.poses_N34[triple], axis=(1, 2))
        np.minimum.at(nearest, triple, errors)
        return nearest

    def angles(self, solutions: P3PSolutions) -> np.ndarray:
        """Of each solution, the largest distance of a point from its ray on the unit sphere."""
        poses_K34, triple = unpack(solutions)
        turned = self.points[triple] @ poses_K34[:, :, :3].swapaxes(1, 2)
        in_camera = turned + poses_K34[:, None, :, 3]
        directions = in_camera / np.linalg.norm(in_camera, axis=2, keepdims=True)
        return np.linalg.norm(directions - self.rays[triple], axis=2).max(axis=1)


def random_points(
    count: int, seed: int = 0, near: float = 0.3, far: float = 6.0, field: float = 0.6
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    on_plane = rng.uniform(-field, field, (count, 3, 2))
    rays = np.concatenate([on_plane, np.ones((count, 3, 1))], axis=2)
    return rays * rng.uniform(near, far, (count, 3, 1))


def solve(rays_N33: np.ndarray, points_N33: np.ndarray, dtype: torch.dtype) -> P3PSolutions:
    solutions = solve_p3p(
        torch.from_numpy(rays_N33).permute(1, 2, 0).to(dtype),
        torch.from_numpy(points_N33).permute(1, 2, 0).to(dtype),
    )
    check_form(solutions, len(rays_N33), dtype)
    return solutions


def check_form(solutions: P3PSolutions, count: int, dtype: torch.dtype) -> None:
    """What holds for every result."""
    rotation, translation, triple = solutions
    assert rotation.shape == (3, 3, len(triple))
    assert translation.shape == (3, len(triple))
    assert rotation.dtype == translation.dtype == dtype
    assert triple.dtype == torch.int64
    assert rotation.isfinite().all()
    assert translation.isfinite().all()
    product = rotation.permute(2, 0, 1) @ rotation.permute(2, 1, 0)
    assert ((product - torch.eye(3)).abs() < 1e-5).all()
    assert (torch.linalg.det(rotation.permute(2, 0, 1)) > 0.99).all()
    assert (triple.diff() >= 0).all()
    per_triple = triple.bincount(minlength=count)
    assert len(per_triple) == count
    assert (per_triple <= 4).all()


def unpack(solutions: P3PSolutions) -> tuple[np.ndarray, np.ndarray]:
    """Poses [K x 3 x 4] in double precision, and their triples."""
    poses = torch.cat([solutions.rotation_33K, solutions.translation_3K[:, None]], dim=1)
    return poses.permute(2, 0, 1).double().numpy(), solutions.triple_K.numpy()


@pytest.mark.parametrize(
    ("dtype", "near", "median"), [(torch.float64, 1e-9, 1e-14), (torch.float32, 1e-2, 3e-6)]
)
def test_the_true_pose_is_among_the_solutions(
    dtype: torch.dtype, near: float, median: float
) -> None:
    problems = Problems(random_points(5000, seed=1))
    error = problems.errors(problems.solve(dtype))
    assert np.mean(error < near) > 0.998
    assert np.median(error) < median


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_solution_explains_its_triple(dtype: torch.dtype) -> None:
    problems = Problems(random_points(3000, seed=2))
    angles = problems.angles(problems.solve(dtype))
    assert np.mean(angles < 1e-4) > 0.995  # near double roots it takes more polishing
    assert angles.max() < 0.1


def test_bad_solutions_are_left_out_where_many_come_out() -> None:
    """Single precision, two of the points close together."""
    points = random_points(20000, seed=3)
    points[:, 1] = points[:, 0] + np.random.default_rng(3).uniform(-0.005, 0.005, (20000, 3))
    problems = Problems(points)
    angles = problems.angles(problems.solve(torch.float32))
    assert np.mean(angles > 0.1) < 0.003
    assert angles.max() < 1.5  # no point behind the camera


def by_poselib(rays_33: np.ndarray, points_33: np.ndarray) -> np.ndarray:
    poses = [pose.Rt for pose in poselib.p3p(list(rays_33), list(points_33))]
    return np.array(poses).reshape(-1, 3, 4)


def by_opencv(rays_33: np.ndarray, points_33: np.ndarray) -> np.ndarray:
    pixels = rays_33[:, :2] / rays_33[:, 2:]
    _, turns, shifts = cv2.solveP3P(points_33, pixels, np.eye(3), None, flags=cv2.SOLVEPNP_P3P)
    poses = [np.hstack([cv2.Rodrigues(r)[0], t]) for r, t in zip(turns, shifts, strict=True)]
    return np.array(poses).reshape(-1, 3, 4)


def matched(poses_A34: np.ndarray, others_B34: np.ndarray, tolerance: float) -> np.ndarray:
    """For each pose whether one of the others is it."""
    apart = np.abs(poses_A34[:, None] - others_B34).max(axis=(2, 3))
    return apart.min(axis=1, initial=np.inf) < tolerance


@pytest.mark.parametrize("reference", [by_poselib, by_opencv])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float32, 1e-2)])
def test_the_same_solutions_as_other_libraries(
    reference: Callable[[np.ndarray, np.ndarray], np.ndarray], dtype: torch.dtype, tolerance: float
) -> None:
    problems = Problems(random_points(2000, seed=3))
    poses, triple = unpack(problems.solve(dtype))
    found: list[bool] = []
    confirmed: list[bool] = []
    for index in range(2000):
        ours, theirs = (
            poses[triple == index],
            reference(problems.rays[index], problems.points[index]),
        )
        found += matched(theirs, ours, tolerance).tolist()
        confirmed += matched(ours, theirs, tolerance).tolist()
    assert len(found) > 3000
    assert np.mean(found) > 0.998
    assert np.mean(confirmed) > 0.998


def circle(angles_N3: np.ndarray) -> np.ndarray:
    zero = np.zeros_like(angles_N3)
    return np.stack([np.cos(angles_N3), np.sin(angles_N3), zero], axis=2)


def special_scenes() -> dict[str, np.ndarray]:
    """Points in the camera frame."""
    rng = np.random.default_rng(7)
    usual = random_points(1000, seed=5)
    corners = np.array([[[-2.0, -1.0, 4.0], [-2.0, 0.0, 4.0], [2.0, 0.0, 4.0]]])
    equilateral = circle(np.array([[0.0, 2.0, 4.0]]) * np.pi / 3.0)
    equilateral = equilateral * rng.uniform(0.1, 1.0, (1000, 1, 1))
    return {
        "all at one depth": random_points(1000, seed=4, near=2.0, far=2.0),
        "camera centre in the plane of the points": usual[:, :, [0, 0, 2]] * [1.0, 0.2, 1.0],
        "far and in a narrow view": random_points(1000, near=80.0, far=120.0, field=0.1),
        "one point near infinity": usual * [[1.0], [1.0], [1e4]],
        "all near infinity": np.add(usual, [0.0, 0.0, 1000.0]),
        "corners of a grid": np.tile(corners, (1000, 1, 1)),
        "equilateral, on the axis": np.add(equilateral, [0.0, 0.0, 2.0]),
    }


@pytest.mark.parametrize("name", special_scenes())
def test_special_scenes(name: str) -> None:
    problems = Problems(special_scenes()[name], seed=5)
    assert np.mean(problems.errors(problems.solve()) < 1e-4) > 0.995
    if "infinity" not in name:
        assert np.mean(problems.errors(problems.solve(torch.float32)) < 0.02) > 0.97


def test_close_rays_in_single_precision() -> None:
    """Where 1 - cos of the angle between two rays would have lost most of its digits."""
    rng = np.random.default_rng(8)
    centre = rng.uniform(-0.5, 0.5, (2000, 1, 2))
    on_plane = centre + rng.uniform(-0.01, 0.01, (2000, 3, 2))
    depth = rng.uniform(3.0, 3.2, (2000, 3, 1))
    problems = Problems(np.concatenate([on_plane, np.ones((2000, 3, 1))], axis=2) * depth)
    error = problems.errors(problems.solve(torch.float32))
    assert np.mean(error < 1e-2) > 0.995
    assert np.median(error) < 1e-4


def test_double_roots_are_found_as_often_as_by_poselib() -> None:
    """Above the circle through the points (the danger cylinder) two solutions coincide."""
    rng = np.random.default_rng(9)
    angles = rng.uniform(0.0, 2.0 * np.pi, (1000, 4))
    camera = circle(angles[:, 3:]) + rng.uniform(1.0, 3.0, (1000, 1, 1)) * [0.0, 0.0, 1.0]
    problems = Problems(circle(angles[:, :3]) - camera)
    theirs = [
        matched(problems.poses_N34[i, None], by_poselib(problems.rays[i], problems.points[i]), 1e-3)
        for i in range(1000)
    ]
    ours = problems.errors(problems.solve()) < 1e-3
    assert np.mean(ours) > 0.65
    assert np.mean(ours) > np.mean(theirs) - 0.1  # which are found is up to rounding


def test_points_far_from_the_origin() -> None:
    problems = Problems(random_points(1000, seed=4))
    offset = np.array([4e5, -5e6, 120.0])
    solutions = solve(problems.rays, problems.points + offset, torch.float64)
    back = torch.from_numpy(offset) @ solutions.rotation_33K.movedim(1, 0).flatten(1)
    translation = solutions.translation_3K + back.unflatten(0, (3, -1))
    error = problems.errors(solutions._replace(translation_3K=translation))
    assert np.mean(error < 1e-4) > 0.98


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [4.0**-12, 4.0**12])
def test_the_size_of_the_scene_does_not_matter(dtype: torch.dtype, scale: float) -> None:
    """Scaling by a power of four is exact, so that nothing else changes."""
    problems = Problems(random_points(300, seed=5))
    usual = problems.solve(dtype)
    scaled = solve(problems.rays, problems.points * scale, dtype)
    assert torch.equal(usual.triple_K, scaled.triple_K)
    torch.testing.assert_close(usual.rotation_33K, scaled.rotation_33K)
    torch.testing.assert_close(usual.translation_3K, scaled.translation_3K / scale)


def degenerate_points() -> dict[str, np.ndarray]:
    a, b = np.array([0.3, -0.2, 2.0]), np.array([-0.5, 0.4, 3.0])
    return {
        "collinear": np.array([a, b, 0.3 * a + 0.7 * b]),
        "first is second": np.array([a, a, b]),
        "first is third": np.array([a, b, a]),
        "second is third": np.array([a, b, b]),
        "one point": np.array([a, a, a]),
        "zero": np.zeros((3, 3)),
        "NaN": np.array([a, b, [np.nan, 0, 1]]),
        "infinite": np.array([a, b, [np.inf, 0, 1]]),
        "two infinite": np.array([a, [0, np.inf, 1], [np.inf, 0, 1]]),
        "huge": np.array([a, b, [1e30, 0, 1]]),
        "tiny": 1e-200 * np.array([a, b, [1.0, 0.0, 0.0]]),
    }


@pytest.mark.parametrize("name", degenerate_points())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rays", ["as seen", "others"])
def test_degenerate_points_have_no_solution(name: str, dtype: torch.dtype, rays: str) -> None:
    points = degenerate_points()[name]
    others = np.array([[0.1, -0.1, 1.0], [-0.2, 0.1, 1.0], [0.3, 0.2, 1.0]])
    seen = points if rays == "as seen" else others
    with np.errstate(invalid="ignore", divide="ignore"):
        directions = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    assert len(solve(directions[None], points[None], dtype).triple_K) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_points_on_a_line_have_no_solution_though_their_rays_fit(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(10)
    along, start = rng.normal(size=(1000, 1, 3)), rng.uniform(-1.0, 1.0, (1000, 1, 3))
    in_camera = start + [0.0, 0.0, 6.0] + rng.uniform(-1.0, 1.0, (1000, 3, 1)) * along
    # In few cases two of the points are so close that rounding bends the line.
    assert len(Problems(in_camera).solve(dtype).triple_K) < 10


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_triple_has_no_solution_and_does_not_disturb_its_neighbours(bad: float) -> None:
    problems = Problems(random_points(50, seed=6))
    alone = problems.solve()
    problems.points[7] = bad
    problems.rays[9, 1] = bad
    beside = problems.solve()
    others = (alone.triple_K != 7) & (alone.triple_K != 9)
    assert torch.equal(alone.triple_K[others], beside.triple_K)
    np.testing.assert_allclose(unpack(alone)[0][others], unpack(beside)[0], rtol=0.0, atol=1e-7)


def test_solutions_are_in_the_order_of_the_triples_and_the_same_as_one_by_one() -> None:
    problems = Problems(random_points(60, seed=11))
    together = problems.solve()
    singly = [
        solve(problems.rays[index : index + 1], problems.points[index : index + 1], torch.float64)
        for index in range(60)
    ]
    counts = torch.tensor([len(one.triple_K) for one in singly])
    assert counts.max() > 2
    assert torch.equal(together.triple_K, torch.arange(60).repeat_interleave(counts))
    poses = np.concatenate([unpack(one)[0] for one in singly])
    np.testing.assert_allclose(unpack(together)[0], poses, rtol=0.0, atol=1e-7)


def test_no_triples() -> None:
    empty = np.empty((0, 3, 3))
    assert len(solve(empty, empty, torch.float32).triple_K) == 0


def test_twice_the_same_without_gradient_and_the_arguments_left_as_they_were() -> None:
    problems = Problems(random_points(500, seed=13))
    rays = torch.from_numpy(problems.rays).permute(1, 2, 0)
    points = torch.from_numpy(problems.points).permute(1, 2, 0).requires_grad_()
    before = rays.clone(), points.detach().clone()
    for first, second in zip(solve_p3p(rays, points), solve_p3p(rays, points), strict=True):
        assert torch.equal(first, second)
        assert not first.requires_grad
    assert torch.equal(rays, before[0])
    assert torch.equal(points, before[1])
