# SPDX-License-Identifier: Apache-2.0
"""Kabsch against SciPy and OpenCV, its derivative against finite differences."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_core.geometry.se3 import exponential, retract, transform
from dsac_core.solvers.kabsch import nearest_rotation, rigid_residuals, solve_kabsch
from dsac_core.solvers.least_squares import minimise

DTYPES = [torch.float64, torch.float32]
IDENTITY = torch.eye(3, dtype=torch.float64)


class Clouds:
    """B pairs of point sets, N points each, a rigid motion and noise apart."""

    def __init__(
        self, batch: int = 1, count: int = 20, seed: int = 0, noise: float = 0.05, far: float = 0.0
    ) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.rotation = Rotation.random(batch, random_state=seed).as_matrix()
        self.translation = rng.normal(size=(batch, 3))
        scene = rng.normal(size=(batch, count, 3)) * rng.uniform(0.1, 4.0, (batch, 1, 3))
        self.scene = torch.from_numpy(scene + rng.normal(scale=1.0 + far, size=(batch, 1, 3)))
        self.measured = self.moved()
        self.measured = self.measured + noise * torch.from_numpy(rng.normal(size=scene.shape))
        self.weights = torch.ones(batch, 1, count, dtype=torch.float64)

    def moved(self) -> torch.Tensor:
        """The scene points in the camera frame, without noise."""
        rotation = torch.from_numpy(self.rotation)
        return self.scene @ rotation.mT + torch.from_numpy(self.translation)[:, None]

    def solve(self, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        poses = solve_kabsch(self.measured.to(dtype), self.scene.to(dtype), self.weights.to(dtype))
        check_form(poses, self.weights.shape[:2], dtype)
        return poses


def check_form(poses: torch.Tensor, shape: torch.Size, dtype: torch.dtype) -> None:
    """What holds for every result: it is a rotation, not a reflection."""
    assert poses.shape == (*shape, 3, 4)
    assert poses.dtype == dtype
    assert poses.isfinite().all()
    rotation = poses[..., :3].double()
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert (rotation @ rotation.mT - IDENTITY).abs().max() < tolerance
    assert (torch.linalg.det(rotation) > 0.999).all()


def scipy_pose(measured: np.ndarray, scene: np.ndarray, weights: np.ndarray) -> np.ndarray:
    centre, scene_centre = weights @ measured / weights.sum(), weights @ scene / weights.sum()
    rotation = Rotation.align_vectors(measured - centre, scene - scene_centre, weights)[0]
    translation = centre - rotation.apply(scene_centre)
    return np.concatenate([rotation.as_matrix(), translation[:, None]], axis=1)


def cost_of(poses: torch.Tensor, clouds: Clouds) -> torch.Tensor:
    squared = rigid_residuals(poses, clouds.scene, clouds.measured).squared_BHN
    return (squared * clouds.weights).sum(dim=2)


@pytest.mark.parametrize("dtype", DTYPES, ids=["double", "single"])
@pytest.mark.parametrize("count", [3, 4, 50])
def test_thousands_of_weighted_clouds_are_aligned_as_scipy_aligns_them(
    count: int, dtype: torch.dtype
) -> None:
    clouds = Clouds(batch=700, count=count)
    clouds.weights = torch.from_numpy(clouds.rng.uniform(0, 1, (700, 1, count)))
    poses = clouds.solve(dtype)[:, 0].double().numpy()
    given = (clouds.measured.numpy(), clouds.scene.numpy(), clouds.weights[:, 0].numpy())
    expected = np.array([scipy_pose(*each) for each in zip(*given, strict=True)])
    error = np.abs(poses - expected).max(axis=(1, 2))
    if dtype == torch.float64:
        # Three points almost on a line determine the turn about it less.
        assert np.quantile(error, 0.99) < 1e-12
        assert error.max() < 1e-9
    else:
        assert np.quantile(error, 0.9) < 1e-5
        assert cost_of(torch.from_numpy(poses)[:, None], clouds) == pytest.approx(
            cost_of(torch.from_numpy(expected)[:, None], clouds), rel=1e-3, abs=1e-6
        )


def test_rotations_are_those_of_opencv() -> None:
    """Its Umeyama finds a scale too, which changes the translation but not the rotation."""
    clouds = Clouds(batch=300, count=12, seed=1, noise=0.3)
    poses = clouds.solve()[:, 0]
    for index in range(300):
        scene, measured = clouds.scene[index].numpy(), clouds.measured[index].numpy()
        expected, _ = cv2.estimateAffine3D(scene, measured, force_rotation=True)
        found = poses[index].numpy()
        np.testing.assert_allclose(found[:, :3], expected[:, :3], rtol=0, atol=1e-10)
        centre = found[:, :3] @ scene.mean(axis=0) + found[:, 3]
        np.testing.assert_allclose(centre, measured.mean(axis=0), rtol=0, atol=1e-12)


def test_no_pose_nearby_costs_less() -> None:
    clouds = Clouds(batch=20, count=6, noise=0.5)
    clouds.weights = torch.from_numpy(clouds.rng.uniform(0, 1, (20, 1, 6)))
    best = clouds.solve()
    least = cost_of(best, clouds)
    for size in (1e-3, 0.1, 3.0):
        steps = size * torch.from_numpy(clouds.rng.normal(size=(20, 100, 6)))
        others = retract(best.expand(-1, 100, -1, -1), steps)
        assert (cost_of(others, clouds) > least).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=["double", "single"])
@pytest.mark.parametrize("count", [3, 30])
def test_mirror_images_are_turned_and_not_reflected(count: int, dtype: torch.dtype) -> None:
    clouds = Clouds(batch=300, count=count, noise=0.1)
    clouds.measured = clouds.measured * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    poses = clouds.solve(dtype)[:, 0].double().numpy()
    for index in range(300):
        given = (clouds.measured, clouds.scene, clouds.weights[:, 0])
        expected = scipy_pose(*(each[index].numpy() for each in given))
        cost, least = (
            cost_of(torch.from_numpy(pose)[None, None], pick(clouds, index))
            for pose in (poses[index], expected)
        )
        assert cost == pytest.approx(least, rel=1e-4, abs=1e-8)
        if count == 30 and dtype == torch.float64:
            np.testing.assert_allclose(poses[index], expected, rtol=0, atol=1e-6)


def pick(clouds: Clouds, index: int) -> Clouds:
    one = Clouds()
    one.scene, one.measured = clouds.scene[index][None], clouds.measured[index][None]
    one.weights = clouds.weights[index][None]
    return one


@pytest.mark.parametrize("dtype", DTYPES, ids=["double", "single"])
def test_points_of_a_plane_are_enough(dtype: torch.dtype) -> None:
    clouds = Clouds(batch=500, count=8)
    clouds.scene[:, :, 2] = 0.7
    clouds.measured = clouds.moved()
    poses = clouds.solve(dtype)[:, 0].double()
    error = (poses[..., :3] - torch.from_numpy(clouds.rotation)).abs().amax(dim=(1, 2))
    assert error.max() < (1e-10 if dtype == torch.float64 else 1e-3)
    assert error.median() < (1e-14 if dtype == torch.float64 else 1e-6)


def test_far_from_the_origin_single_precision_turns_as_double_does() -> None:
    clouds = Clouds(batch=200, count=30, far=1e5)
    assert clouds.scene.abs().mean() > 5e4
    assert clouds.measured.abs().mean() > 5e4
    # What the points lose by being written down is not the solver's.
    clouds.scene, clouds.measured = clouds.scene.float().double(), clouds.measured.float().double()
    exact, single = clouds.solve()[:, 0], clouds.solve(torch.float32)[:, 0].double()
    # 1e5 m times the last digit of a rotation's entries are centimetres, whoever computes it.
    torch.testing.assert_close(single[..., :3], exact[..., :3], rtol=0, atol=1e-5)
    moved = transform(single[:, None], clouds.scene)[:, 0]
    assert (moved - transform(exact[:, None], clouds.scene)[:, 0]).abs().max() < 0.3


@pytest.mark.parametrize("dtype", DTYPES, ids=["double", "single"])
def test_a_weight_of_zero_is_a_point_removed_wherever_it_is(dtype: torch.dtype) -> None:
    clouds = Clouds(batch=50, count=20)
    clouds.weights[..., 15:] = 0.0
    fewer = Clouds(batch=50, count=20)
    fewer.scene, fewer.measured = clouds.scene[:, :15], clouds.measured[:, :15]
    fewer.weights = clouds.weights[..., :15]
    expected = fewer.solve(dtype)
    clouds.scene[:, 15:], clouds.measured[:, 16:] = 1e8, -3e7
    atol = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(clouds.solve(dtype), expected, rtol=0, atol=atol)


def test_a_weight_of_two_is_a_point_twice_and_the_scale_of_weights_is_none() -> None:
    clouds = Clouds(batch=5)
    clouds.weights[..., :7] = 2.0
    twice = Clouds(batch=5)
    twice.scene = torch.cat([clouds.scene, clouds.scene[:, :7]], dim=1)
    twice.measured = torch.cat([clouds.measured, clouds.measured[:, :7]], dim=1)
    twice.weights = torch.ones(5, 1, 27, dtype=torch.float64)
    expected = twice.solve()
    for scale in (1e-12, 1.0, 1e12):
        clouds.weights = clouds.weights / clouds.weights.max() * scale
        torch.testing.assert_close(clouds.solve(), expected, rtol=0, atol=1e-12)


def test_each_hypothesis_has_its_own_weights() -> None:
    clouds = Clouds(batch=3, noise=0.3)
    clouds.weights = torch.from_numpy(clouds.rng.uniform(0, 1, (3, 5, 20)))
    clouds.weights = clouds.weights * (clouds.weights > 0.5)
    together = clouds.solve()
    for image, hypothesis in product(range(3), range(5)):
        one = pick(clouds, image)
        one.weights = clouds.weights[image, hypothesis][None, None]
        torch.testing.assert_close(
            one.solve()[0, 0], together[image, hypothesis], rtol=0, atol=1e-12
        )


OPEN = ["on a line", "on a line far away", "one place", "two places", "one point", "no weight"]


def undetermined(kind: str, count: int) -> Clouds:
    clouds = Clouds(batch=40, count=count, noise=0.0)
    along = torch.from_numpy(clouds.rng.normal(size=(40, 1, 3)))
    offset = torch.from_numpy(clouds.rng.normal(size=(40, 1, 3)))
    places = torch.linspace(-1.0, 1.0, count, dtype=torch.float64)[None, :, None]
    if kind == "one place":
        places = torch.zeros_like(places)
    elif kind == "two places":
        places = (places > 0.1).double()
    elif kind == "on a line far away":
        offset = 100.0 * offset
    elif kind in ("one point", "no weight"):
        clouds.weights[..., int(kind == "one point") :] = 0.0
    if kind not in ("one point", "no weight"):
        clouds.scene = offset + places * along
    clouds.measured = clouds.moved()
    return clouds


@pytest.mark.parametrize("dtype", DTYPES, ids=["double", "single"])
@pytest.mark.parametrize("count", [3, 20])
@pytest.mark.parametrize("kind", OPEN)
def test_what_leaves_the_rotation_open_gives_one_of_the_best_without_gradient(
    kind: str, count: int, dtype: torch.dtype
) -> None:
    clouds = undetermined(kind, count)
    cost = cost_of(clouds.solve(dtype).double(), clouds)
    far = 1e-2 if "far" in kind else 1e-8
    assert cost.max() < (1e-20 if dtype == torch.float64 else far)
    measured = clouds.measured.to(dtype).requires_grad_()
    scene = clouds.scene.to(dtype).requires_grad_()
    poses = solve_kabsch(measured, scene, clouds.weights.to(dtype))
    by = torch.randn(poses.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for slope in torch.autograd.grad((poses * by).sum(), (measured, scene)):
        assert torch.equal(slope, torch.zeros_like(slope))


def test_what_leaves_the_rotation_open_disturbs_nobody_in_the_batch() -> None:
    clouds = Clouds(batch=3)
    clouds.measured.requires_grad_()
    (alone,) = torch.autograd.grad(clouds.solve()[1].sum(), clouds.measured)
    good = clouds.solve()[1]
    clouds.weights[0] = 0.0
    clouds.scene[2] = clouds.scene[2, :1]
    poses = clouds.solve()
    assert torch.equal(poses[1], good)
    (slope,) = torch.autograd.grad(poses.sum(), clouds.measured)
    assert slope.isfinite().all()
    torch.testing.assert_close(slope[1], alone[1])


@pytest.mark.parametrize("count", [3, 5, 12])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_gradient_in_both_point_sets(count: int, noise: float) -> None:
    clouds = Clouds(batch=2, count=count, noise=noise)
    clouds.weights = torch.from_numpy(clouds.rng.uniform(0.2, 1, (2, 2, count)))
    clouds.weights[0, 1, 3:] = 0.0
    assert torch.autograd.gradcheck(
        lambda measured, scene: solve_kabsch(measured, scene, clouds.weights),
        (clouds.measured.requires_grad_(), clouds.scene.requires_grad_()),
        atol=1e-6,
    )


def cube(stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Clouds:
    """Corners of a cube: all three singular values are the same."""
    clouds = Clouds(count=8)
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    clouds.scene = (corners * torch.tensor(stretch, dtype=torch.float64))[None] + 0.3
    clouds.measured = clouds.moved()
    return clouds


@pytest.mark.parametrize("stretch", [(1.0, 1.0, 1.0), (1.0, 1.0, 2.0), (1.0, 2.0, 2.0), (1, 1, 0)])
def test_the_gradient_where_singular_values_are_equal(stretch: tuple[float, float, float]) -> None:
    clouds = cube(stretch)
    assert torch.autograd.gradcheck(
        lambda measured, scene: solve_kabsch(measured, scene, clouds.weights),
        (clouds.measured.requires_grad_(), clouds.scene.requires_grad_()),
    )


def test_the_gradient_of_a_mirror_image() -> None:
    clouds = Clouds(count=9, noise=0.1)
    clouds.measured = clouds.measured * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda measured, scene: solve_kabsch(measured, scene, clouds.weights),
        (clouds.measured.requires_grad_(), clouds.scene.requires_grad_()),
    )


def test_the_mirror_image_of_a_cube_leaves_the_rotation_open() -> None:
    clouds = cube()
    mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    measured = (clouds.measured * mirror).requires_grad_()
    poses = solve_kabsch(measured, clouds.scene, clouds.weights)
    check_form(poses, torch.Size([1, 1]), torch.float64)
    (slope,) = torch.autograd.grad(poses.square().sum(), measured)
    assert slope.isfinite().all()


@pytest.mark.parametrize("count", [3, 40])
def test_the_gradient_in_single_precision_is_near_that_in_double(count: int) -> None:
    clouds = Clouds(batch=100, count=count, noise=0.05)
    slopes = []
    for dtype in DTYPES:
        measured = clouds.measured.to(dtype).requires_grad_()
        scene = clouds.scene.to(dtype).requires_grad_()
        poses = solve_kabsch(measured, scene, clouds.weights.to(dtype))
        by = torch.randn(poses.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
        slope = torch.autograd.grad((poses * by).sum(), (measured, scene))
        slopes.append(torch.cat(slope, dim=2).flatten(1).double())
    cosine = torch.cosine_similarity(slopes[0], slopes[1], dim=1)
    length = slopes[1].norm(dim=1) / slopes[0].norm(dim=1)
    assert cosine.min() > 0.999
    assert (length - 1.0).abs().max() < 0.01


def test_a_function_of_the_fit_has_the_gradient_of_central_differences() -> None:
    """Through the pose and the points at once, as in a score of residuals."""
    clouds = Clouds(count=6, noise=0.2)

    def score(scene: torch.Tensor) -> torch.Tensor:
        poses = solve_kabsch(clouds.measured, scene, clouds.weights)
        squared = rigid_residuals(poses, scene, clouds.measured).squared_BHN
        return torch.exp(-5.0 * squared).sum()

    scene = clouds.scene.clone().requires_grad_()
    (slope,) = torch.autograd.grad(score(scene), scene)
    size = 1e-5
    for point, axis in product(range(6), range(3)):
        step = torch.zeros_like(scene)
        step[0, point, axis] = size
        numeric = (score(clouds.scene + step) - score(clouds.scene - step)) / (2 * size)
        assert slope[0, point, axis].item() == pytest.approx(numeric.item(), abs=1e-8)


def test_the_nearest_rotation_maximises_the_trace() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(200, 3, 3, generator=generator, dtype=torch.float64)
    nearest = nearest_rotation(matrices)
    check_form(torch.cat([nearest, matrices[..., :1]], -1)[:, None], (200, 1), torch.float64)
    best = (nearest * matrices).sum(dim=(1, 2))
    others = torch.from_numpy(Rotation.random(1000, random_state=0).as_matrix())
    assert (best[:, None] >= torch.einsum("nij,mij->nm", matrices, others)).all()


@pytest.mark.parametrize("length", [0.0, 1e-3, 1.0, 3.0])
def test_the_nearest_rotation_to_a_rotation_is_itself_and_its_gradient_that_of_the_turn(
    length: float,
) -> None:
    phi = torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64) * length
    rotation = exponential(phi)
    for dtype, atol in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        found = nearest_rotation(rotation.to(dtype))
        torch.testing.assert_close(found.double(), rotation, rtol=0, atol=atol)
    assert torch.autograd.gradcheck(nearest_rotation, rotation.requires_grad_())


def test_the_nearest_rotation_to_a_mean_is_the_mean_of_scipy_and_its_gradient_too() -> None:
    """The chordal mean, which is that of quaternions."""
    rng = np.random.default_rng(0)
    for spread in (0.0, 1e-3, 0.3, 1.0):
        several = Rotation.random(random_state=1) * Rotation.from_rotvec(
            spread * rng.normal(size=(7, 3))
        )
        weights = rng.uniform(0.1, 1, 7)
        mean = torch.from_numpy(np.average(several.as_matrix(), axis=0, weights=weights))
        expected = several.mean(weights).as_matrix()
        np.testing.assert_allclose(nearest_rotation(mean).numpy(), expected, rtol=0, atol=1e-12)
        assert torch.autograd.gradcheck(nearest_rotation, mean.requires_grad_())


@pytest.mark.parametrize("matrix", [torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 0.0, 0.0]))])
def test_a_matrix_that_determines_no_rotation_has_one_without_gradient(
    matrix: torch.Tensor,
) -> None:
    matrix = matrix.double().requires_grad_()
    rotation = nearest_rotation(matrix)
    torch.testing.assert_close(rotation @ rotation.mT, IDENTITY)
    (slope,) = torch.autograd.grad(rotation[0].sum(), matrix)
    assert torch.equal(slope, torch.zeros_like(slope))


def test_the_residuals_are_distances_in_the_camera_frame() -> None:
    clouds = Clouds(batch=2, count=4)
    poses = Clouds(batch=2, count=4, seed=5).solve().expand(-1, 3, -1, -1)
    poses = retract(poses, torch.from_numpy(clouds.rng.normal(size=(2, 3, 6))))
    residuals = rigid_residuals(poses, clouds.scene, clouds.measured)
    for image, hypothesis, n in product(range(2), range(3), range(4)):
        pose = poses[image, hypothesis].numpy()
        point = pose[:, :3] @ clouds.scene[image, n].numpy() + pose[:, 3]
        expected = point - clouds.measured[image, n].numpy()
        actual = residuals.residual[image, hypothesis, :, n].numpy()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13)
        squared = residuals.squared_BHN[image, hypothesis, n].item()
        assert squared == pytest.approx(expected @ expected)


def test_the_normal_equations_are_the_sums_written_out() -> None:
    clouds = Clouds(batch=2, count=7)
    poses = clouds.solve().expand(-1, 3, -1, -1)
    poses = retract(poses, 0.3 * torch.from_numpy(clouds.rng.normal(size=(2, 3, 6))))
    weights = torch.from_numpy(clouds.rng.uniform(0, 2, (2, 3, 7)))
    residuals = rigid_residuals(poses, clouds.scene, clouds.measured)
    hessian, gradient = residuals.normal_equations(weights)
    for image, hypothesis in product(range(2), range(3)):
        pose = poses[image, hypothesis].numpy()
        expected, expected_gradient = np.zeros((6, 6)), np.zeros(6)
        for n in range(7):
            x, y, z = point = pose[:, :3] @ clouds.scene[image, n].numpy() + pose[:, 3]
            skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            jacobian = np.hstack([np.eye(3), -skew])
            weight = weights[image, hypothesis, n].item()
            expected += weight * jacobian.T @ jacobian
            residual = point - clouds.measured[image, n].numpy()
            expected_gradient += weight * jacobian.T @ residual
        np.testing.assert_allclose(hessian[image, hypothesis].numpy(), expected, atol=1e-11)
        np.testing.assert_allclose(
            gradient[image, hypothesis].numpy(), expected_gradient, atol=1e-11
        )


def test_the_normal_equations_are_half_the_gradient_of_the_cost() -> None:
    clouds = Clouds(batch=2, count=7)
    clouds.weights = torch.from_numpy(clouds.rng.uniform(0, 2, (2, 1, 7)))
    poses = retract(clouds.solve(), 0.3 * torch.from_numpy(clouds.rng.normal(size=(2, 1, 6))))
    residuals = rigid_residuals(poses, clouds.scene, clouds.measured)
    _, gradient = residuals.normal_equations(clouds.weights)
    size = 1e-5
    for axis in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[axis] = size
        ahead = cost_of(retract(poses, step.expand(2, 1, 6)), clouds)
        behind = cost_of(retract(poses, -step.expand(2, 1, 6)), clouds)
        torch.testing.assert_close(2.0 * gradient[..., axis], (ahead - behind) / (2 * size))


def test_gauss_newton_ends_where_kabsch_is() -> None:
    clouds = Clouds(batch=30, count=10, noise=0.3)
    clouds.weights = torch.from_numpy(clouds.rng.uniform(0, 1, (30, 4, 10)))
    expected = clouds.solve()
    steps = torch.from_numpy(clouds.rng.normal(scale=0.5, size=(30, 4, 6)))
    found = minimise(
        retract(expected, steps),
        lambda poses: rigid_residuals(poses, clouds.scene, clouds.measured),
        clouds.weights,
        steps=50,
        tolerance=1e-12,
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
