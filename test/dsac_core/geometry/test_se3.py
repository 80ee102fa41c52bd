# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as tensors, against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from dsac_core.geometry.se3 import exponential, inverse, retract, transform, transform_rows


def random_poses(*shape: int, seed: int = 0) -> torch.Tensor:
    count = int(np.prod(shape))
    rotation = Rotation.random(count, random_state=seed).as_matrix()
    translation = np.random.default_rng(seed).normal(scale=3.0, size=(count, 3, 1))
    return torch.from_numpy(np.concatenate([rotation, translation], axis=2)).reshape(*shape, 3, 4)


def random_points(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(*shape, 3)))


def test_transform_is_rotation_and_translation_of_each_image_under_each_of_its_poses() -> None:
    poses, points = random_poses(2, 5), random_points(2, 7)
    moved = transform(poses, points)
    assert moved.shape == (2, 5, 3, 7)
    for image in range(2):
        for hypothesis in range(5):
            pose = poses[image, hypothesis].numpy()
            rotated = Rotation.from_matrix(pose[:, :3]).apply(points[image].numpy())
            expected = rotated + pose[:, 3]
            actual = moved[image, hypothesis].numpy().T
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13)


def test_the_rows_of_a_transform_are_its_coordinates() -> None:
    poses, points = random_poses(2, 5), random_points(2, 7)
    together = transform(poses, points)
    for axis, row in enumerate(transform_rows(poses, points)):
        assert torch.equal(row, together[:, :, axis])


def test_the_gradient_of_transform_in_poses_and_points() -> None:
    poses = random_poses(2, 2).requires_grad_()
    points = random_points(2, 3).requires_grad_()
    assert torch.autograd.gradcheck(transform, (poses, points))


def test_the_inverse_is_that_of_the_whole_matrix() -> None:
    poses = random_poses(4, 3)
    square = np.zeros((4, 3, 4, 4))
    square[..., :3, :], square[..., 3, 3] = poses.numpy(), 1.0
    expected = np.linalg.inv(square)[..., :3, :]
    np.testing.assert_allclose(inverse(poses).numpy(), expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(inverse(inverse(poses)), poses, rtol=0, atol=1e-13)


def test_the_inverse_of_one_pose_alone() -> None:
    poses = random_poses(6)
    assert torch.equal(inverse(poses[2]), inverse(poses)[2])


def test_exponential_is_that_of_scipy_down_to_zero() -> None:
    rng = np.random.default_rng(0)
    for length in (0.0, 1e-9, 1e-4, 0.5, 3.1, np.pi, 5.0, 20.0):
        phi = rng.normal(size=3)
        phi *= length / np.linalg.norm(phi)
        expected = Rotation.from_rotvec(phi).as_matrix()
        np.testing.assert_allclose(exponential(torch.from_numpy(phi)).numpy(), expected, atol=1e-12)


def test_exponential_is_that_of_the_matrix() -> None:
    x, y, z = phi = np.array([0.3, -0.8, 0.5])
    expected = expm(np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]))
    actual = exponential(torch.from_numpy(phi)).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-14)


def test_exponential_in_single_precision_is_a_rotation_to_its_last_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(1000, 3, generator=generator)
    lengths = torch.logspace(-30, 1, 1000)[:, None]
    phi = directions / directions.norm(dim=1, keepdim=True) * lengths
    rotation = exponential(phi)
    expected = Rotation.from_rotvec(phi.double().numpy()).as_matrix()
    np.testing.assert_allclose(rotation.numpy(), expected, rtol=0, atol=3e-6)
    small = lengths[:, 0] < 0.1
    np.testing.assert_allclose(rotation[small].numpy(), expected[small.numpy()], rtol=0, atol=1e-7)


@pytest.mark.parametrize("length", [0.5, 3.0])
def test_the_gradient_of_exponential(length: float) -> None:
    phi = random_points(4)
    phi = (phi / phi.norm(dim=1, keepdim=True) * length).requires_grad_()
    assert torch.autograd.gradcheck(exponential, phi)


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-14, 1e-7])
def test_the_gradient_of_exponential_near_zero_is_that_of_the_cross_product(length: float) -> None:
    phi = torch.tensor([0.6, 0.0, -0.8], dtype=torch.float64) * length
    vector = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda at: exponential(at) @ vector, phi)
    expected = np.cross(np.eye(3), vector.numpy()).T  # column i is e_i x vector
    np.testing.assert_allclose(slope.numpy(), expected, rtol=0, atol=1e-6)


def test_retract_turns_about_the_origin_of_the_target_frame_and_then_shifts() -> None:
    poses, points = random_poses(2, 3), random_points(2, 4)
    steps = torch.from_numpy(np.random.default_rng(2).normal(size=(2, 3, 6)))
    moved = transform(retract(poses, steps), points)
    before = transform(poses, points)
    for image in range(2):
        for hypothesis in range(3):
            rho, phi = steps[image, hypothesis].numpy().reshape(2, 3)
            turned = Rotation.from_rotvec(phi).apply(before[image, hypothesis].numpy().T)
            actual = moved[image, hypothesis].numpy().T
            np.testing.assert_allclose(actual, turned + rho, rtol=0, atol=1e-13)


def test_retract_by_nothing_changes_no_bit() -> None:
    for dtype in (torch.float32, torch.float64):
        poses = random_poses(50).to(dtype)
        assert torch.equal(retract(poses, torch.zeros(50, 6, dtype=dtype)), poses)


def test_the_gradient_of_retract_at_zero_is_the_generator_of_the_motion() -> None:
    """By central differences, and as it is written down in the papers: [rho, phi x X]."""
    pose = random_poses(1)[0]
    zero = torch.zeros(6, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda step: retract(pose, step), zero)
    size = 1e-5
    for axis in range(6):
        step = zero.clone()
        step[axis] = size
        numeric = (retract(pose, step) - retract(pose, -step)) / (2 * size)
        torch.testing.assert_close(slope[..., axis], numeric, rtol=0, atol=1e-9)
        expected = np.zeros((3, 4))
        if axis < 3:
            expected[axis, 3] = 1.0
        else:
            expected = np.cross(np.eye(3)[axis - 3], pose.numpy().T).T
        np.testing.assert_allclose(slope[..., axis].numpy(), expected, rtol=0, atol=1e-12)


def test_the_gradient_of_retract_in_single_precision_is_finite_at_zero() -> None:
    poses = random_poses(3).float()
    step = torch.zeros(3, 6, requires_grad=True)
    (slope,) = torch.autograd.grad(retract(poses, step).square().sum(), step)
    assert slope.isfinite().all()
    # |R|^2 does not change, |t + rho|^2 does; turning keeps lengths.
    torch.testing.assert_close(slope[:, :3], 2.0 * poses[:, :, 3])
    torch.testing.assert_close(slope[:, 3:], torch.zeros(3, 3), rtol=0, atol=1e-4)
