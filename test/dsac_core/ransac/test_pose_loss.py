# SPDX-License-Identifier: Apache-2.0
"""The pose loss against SciPy's angles, its gradient against central differences."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_core.errors import ConfigError
from dsac_core.geometry.se3 import retract
from dsac_core.ransac.pose_loss import PoseLossConfig, pose_loss

CONFIG = PoseLossConfig()
UNCLAMPED = PoseLossConfig(soft_clamp=1e9)


def truths(count: int, seed: int = 0) -> torch.Tensor:
    rotation = Rotation.random(count, random_state=seed).as_matrix()
    translation = np.random.default_rng(seed).normal(scale=2.0, size=(count, 3, 1))
    return torch.from_numpy(np.concatenate([rotation, translation], axis=2))


def moved(
    truth_B34: torch.Tensor, shift: torch.Tensor | float = 0.0, turn: torch.Tensor | float = 0.0
) -> torch.Tensor:
    """The camera elsewhere, by a vector in the world or along x, and turned about an own axis.

    Poses are cam_T_world: its centre is -R^T t.
    """
    rotation, translation = truth_B34[:, :, :3], truth_B34[:, :, 3:]
    centre = -rotation.mT @ translation
    if not isinstance(shift, torch.Tensor):
        shift = torch.tensor([shift, 0.0, 0.0], dtype=torch.float64)
    if not isinstance(turn, torch.Tensor):
        turn = torch.tensor([0.0, turn, 0.0], dtype=torch.float64)
    turned = torch.from_numpy(Rotation.from_rotvec(turn.numpy()).as_matrix()) @ rotation
    return torch.cat([turned, -turned @ (centre + shift[..., None])], dim=2)


def loss_of(poses: torch.Tensor, truth: torch.Tensor, config: PoseLossConfig = CONFIG) -> float:
    return pose_loss(poses[:, None], truth, config)[0, 0].item()


def test_the_loss_is_centimetres_of_the_centre_and_degrees_of_the_turn() -> None:
    truth = truths(3)
    rng = np.random.default_rng(1)
    poses = retract(
        truth[:, None].expand(-1, 50, -1, -1), torch.from_numpy(rng.normal(size=(3, 50, 6)))
    )
    found = pose_loss(poses, truth, UNCLAMPED)
    assert found.shape == (3, 50)
    for image in range(3):
        right = truth[image].numpy()
        for hypothesis in range(50):
            pose = poses[image, hypothesis].numpy()
            relative = Rotation.from_matrix(pose[:, :3] @ right[:, :3].T)
            centres = [-each[:, :3].T @ each[:, 3] for each in (pose, right)]
            expected = 100.0 * np.linalg.norm(centres[0] - centres[1])
            expected += np.rad2deg(relative.magnitude())
            assert found[image, hypothesis].item() == pytest.approx(expected, rel=1e-9)


def test_one_centimetre_and_one_degree_cost_one_each() -> None:
    truth = truths(1)
    assert loss_of(moved(truth, shift=0.01), truth) == pytest.approx(1.0)
    assert loss_of(moved(truth, turn=math.radians(1.0)), truth) == pytest.approx(1.0)
    both = moved(truth, shift=0.05, turn=math.radians(7.0))
    assert loss_of(both, truth) == pytest.approx(12.0)
    config = PoseLossConfig(translation_weight=10.0, rotation_weight=3.0)
    assert loss_of(both, truth, config) == pytest.approx(0.5 + 21.0)


@pytest.mark.parametrize("degrees", [0.001, 1.0, 60.0, 89.99, 90.01, 179.0, 179.999])
def test_angles_from_small_to_half_a_turn(degrees: float) -> None:
    truth = truths(1)
    pose = moved(truth, turn=math.radians(degrees))
    assert loss_of(pose, truth, UNCLAMPED) == pytest.approx(degrees, rel=1e-8)


def test_half_a_turn_is_180_degrees_and_has_a_finite_gradient() -> None:
    truth = truths(1)
    poses = moved(truth, turn=math.pi)[:, None].requires_grad_()
    loss = pose_loss(poses, truth, UNCLAMPED)
    assert loss.item() == pytest.approx(180.0)
    (slope,) = torch.autograd.grad(loss.sum(), poses)
    assert slope.isfinite().all()


@pytest.mark.parametrize("degrees", [0.003, 0.01, 0.1, 1.0])
def test_single_precision_resolves_small_angles(degrees: float) -> None:
    """The arc cosine of the trace would know nothing below 0.03 degrees."""
    truth = truths(20)
    poses = moved(truth, turn=math.radians(degrees))
    found = pose_loss(poses[:, None].float(), truth.float(), PoseLossConfig(1e-9))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), degrees, atol=3e-5)


def test_the_clamp_in_numbers() -> None:
    truth = truths(1)
    assert loss_of(moved(truth, shift=0.98), truth) == pytest.approx(98.0)
    assert loss_of(moved(truth, shift=1.02), truth) == pytest.approx(math.sqrt(100.0 * 102.0))
    assert loss_of(moved(truth, shift=100.0), truth) == pytest.approx(1000.0)
    small = PoseLossConfig(soft_clamp=4.0)
    assert loss_of(moved(truth, shift=0.09), truth, small) == pytest.approx(6.0)


def test_the_loss_is_continuous_at_the_clamp_and_always_grows() -> None:
    truth = truths(1)
    shifts = torch.linspace(0.0, 3.0, 601, dtype=torch.float64)
    axis = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    poses = torch.stack([moved(truth, shift * axis)[0] for shift in shifts])
    losses = pose_loss(poses[None], truth, CONFIG)[0]
    steps = losses.diff()
    assert (steps > 0).all()
    assert steps.max() < 0.5 + 1e-9  # 5 mm each


@pytest.mark.parametrize(
    ("shift", "slope"),
    [(0.5, 100.0), (0.98, 100.0), (1.02, 50.0 * math.sqrt(100 / 102)), (4.0, 25.0)],
)
def test_the_slope_on_both_sides_of_the_clamp(shift: float, slope: float) -> None:
    """The derivative of sqrt(100 l) is half that of l at 100."""
    truth = truths(1)
    distance = torch.tensor(shift, dtype=torch.float64, requires_grad=True)
    axis = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    loss = pose_loss(moved(truth, distance * axis)[:, None], truth, CONFIG).sum()
    (found,) = torch.autograd.grad(loss, distance)
    assert found.item() == pytest.approx(slope)
    size = 1e-6
    ahead, behind = (
        loss_of(moved(truth, (shift + sign * size) * axis), truth) for sign in (1.0, -1.0)
    )
    assert (ahead - behind) / (2 * size) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("size", [0.01, 0.3, 3.0])
@pytest.mark.parametrize("config", [CONFIG, PoseLossConfig(30.0, 4.0, 50.0)])
def test_the_gradient_in_the_poses(size: float, config: PoseLossConfig) -> None:
    """Small ones, such on both sides of the clamp, and clamped ones."""
    truth = truths(2)
    steps = torch.from_numpy(np.random.default_rng(2).normal(scale=size, size=(2, 6, 6)))
    start = truth[:, None].expand(-1, 6, -1, -1)
    losses = pose_loss(retract(start, steps), truth, config)
    assert losses.min() < config.soft_clamp or size == 3.0
    assert losses.max() > config.soft_clamp or size == 0.01
    assert torch.autograd.gradcheck(
        lambda step: pose_loss(retract(start, step), truth, config), steps.requires_grad_()
    )
    assert torch.autograd.gradcheck(
        lambda poses: pose_loss(poses, truth, config),
        retract(start, steps).detach().requires_grad_(),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_truth_costs_nothing_and_has_no_gradient(dtype: torch.dtype) -> None:
    truth = truths(5).to(dtype)
    truth[0] = torch.eye(3, 4)
    steps = torch.zeros(5, 1, 6, dtype=dtype, requires_grad=True)
    poses = retract(truth[:, None], steps)
    losses = pose_loss(poses, truth, CONFIG)
    assert losses.max() < (1e-3 if dtype == torch.float32 else 1e-12)
    assert losses[0] < 1e-12
    (slope,) = torch.autograd.grad(losses[0].sum(), steps, retain_graph=True)
    assert (slope == 0).all()
    (slope,) = torch.autograd.grad(losses.sum(), steps)
    assert slope.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e-10])
def test_gradients_next_to_the_truth_are_finite(size: float, dtype: torch.dtype) -> None:
    truth = torch.eye(3, 4, dtype=dtype)[None]
    steps = torch.full((1, 1, 6), size, dtype=dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(pose_loss(retract(truth, steps), truth, CONFIG).sum(), steps)
    assert slope.isfinite().all()
    # One per centimetre and per degree, in each of the axes together.
    bound = 100.0 + 180.0 / math.pi
    assert slope.abs().max() < 1.01 * bound


def test_far_poses_and_near_ones_share_a_batch() -> None:
    truth = truths(1)
    poses = torch.stack([truth[0], moved(truth, shift=1e6)[0], moved(truth, shift=0.5)[0]])[None]
    poses.requires_grad_()
    losses = pose_loss(poses, truth, CONFIG)
    assert losses[0].tolist() == pytest.approx([0.0, 1e5, 50.0], abs=1e-4)
    (slope,) = torch.autograd.grad(losses.sum(), poses)
    assert slope.isfinite().all()


@pytest.mark.parametrize("name", ["translation_weight", "rotation_weight", "soft_clamp"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_values_that_cannot_work_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"pose_loss.{name} must be positive, got"):
        PoseLossConfig(**{name: value})
    with pytest.raises(ConfigError):
        replace(CONFIG, **{name: value})


def test_the_defaults_are_those_of_dsac_star() -> None:
    assert (CONFIG.translation_weight, CONFIG.rotation_weight, CONFIG.soft_clamp) == (100, 1, 100)
