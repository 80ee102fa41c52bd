# SPDX-License-Identifier: Apache-2.0
"""The loss against a loop over cells and finite differences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_core.errors import ConfigError
from dsac_core.training.cell_buffer import CellBatch
from dsac_core.training.coordinate_loss import (
    CoordinateLossConfig,
    coordinate_loss,
)

CONFIG = CoordinateLossConfig()


def cells(count: int = 200, *, depth: bool = True) -> tuple[torch.Tensor, CellBatch]:
    """Predictions good, bad, behind and far, with and without measured depth."""
    rng = np.random.default_rng(0)
    rotation = Rotation.random(count, random_state=0).as_matrix()
    translation = rng.normal(size=(count, 3, 1))
    pixels = rng.uniform([0, 0], [640, 480], (count, 2))
    intrinsics = np.tile([525.0, 510.0, 320.0, 240.0], (count, 1))
    z = rng.uniform(0.5, 4, (count, 1))
    z[::7] *= -1
    z[3::11] = 2000
    z[5::13] = 0.05
    rays = np.column_stack([(pixels - [320, 240]) / [525, 510], np.ones(count)])
    in_camera = rays * z + rng.normal(scale=0.02, size=(count, 3))
    in_camera[::17] += 30.0
    points = np.einsum("nji,njk->nik", rotation, in_camera[..., None] - translation)[..., 0]
    measured = np.where(rng.random(count) < 0.5, z[:, 0] * rng.choice([1.0, 1.5], count), 0.0)
    batch = CellBatch(
        torch.empty(count, 0),
        torch.from_numpy(pixels),
        torch.from_numpy(measured.clip(0) if depth else np.zeros(count)),
        torch.from_numpy(rng.choice([0.1, 0.25], count)),
        torch.from_numpy(intrinsics),
        torch.from_numpy(np.concatenate([rotation, translation], axis=2)),
    )
    return torch.from_numpy(points), batch


def clamped(error: float, width: float) -> float:
    return error if error < width else 2 * math.sqrt(width * error) - width


def loss_of_one_cell(
    point: np.ndarray, batch: CellBatch, n: int, width: float
) -> tuple[float, bool]:
    pose = batch.cam_T_world_B34[n].numpy()
    fx, fy, cx, cy = batch.intrinsics_B4[n].tolist()
    u, v = batch.pixels_B2[n].tolist()
    measured = float(batch.depth_B[n])
    x, y, z = pose[:, :3] @ point + pose[:, 3]
    target = measured if measured > 0 else CONFIG.heuristic_depth
    on_ray = np.array([(u - cx) / fx * target, (v - cy) / fy * target, target])
    offset = np.array([x, y, z]) - on_ray
    valid = CONFIG.min_depth < z < CONFIG.max_depth
    error = math.inf
    if valid:
        error = math.sqrt((fx * x / z + cx - u) ** 2 + (fy * y / z + cy - v) ** 2 + 1e-6)
        valid = error < CONFIG.max_reprojection_error
    if measured > 0:
        valid = valid and np.linalg.norm(offset) < float(batch.depth_tolerance_B[n]) * measured
    if valid:
        exact = measured > 0 and float(batch.depth_tolerance_B[n]) < CONFIG.measured_tolerance
        along = CONFIG.depth * abs(z - measured) / measured * fx if exact else 0.0
        return clamped(error, width) + clamped(along, width), True
    return CONFIG.pull * math.sqrt(offset @ offset + 1e-12) * fx / target, False


@pytest.mark.parametrize("progress", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("depth", [True, False])
def test_it_is_the_mean_over_a_loop(progress: float, depth: bool) -> None:
    points, batch = cells(depth=depth)
    loss, share = coordinate_loss(points, batch, CONFIG, progress)
    width = CONFIG.clamp_at(progress)
    each = [loss_of_one_cell(point, batch, n, width) for n, point in enumerate(points.numpy())]
    assert float(loss) == pytest.approx(np.mean([value for value, _ in each]), rel=1e-9)
    assert float(share) == pytest.approx(np.mean([valid for _, valid in each]))


def test_the_gradient_agrees_with_finite_differences() -> None:
    points, batch = cells(40)
    points.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: coordinate_loss(p, batch, CONFIG, 0.5)[0], points, eps=1e-7, atol=1e-4, rtol=1e-3
    )


def test_the_gradient_is_finite_everywhere() -> None:
    """Exactly on the pixel, in the camera centre, behind it."""
    _, batch = cells(3)
    batch = batch._replace(cam_T_world_B34=torch.eye(3, 4).double().expand(3, 3, 4))
    ray = (batch.pixels_B2[0] - batch.intrinsics_B4[0, 2:]) / batch.intrinsics_B4[0, :2]
    exact = torch.cat([ray, ray.new_ones(1)])
    points = torch.stack([exact, torch.zeros(3).double(), -exact]).requires_grad_()
    coordinate_loss(points, batch, CONFIG, 1.0)[0].backward()
    assert points.grad is not None
    assert points.grad.isfinite().all()


def test_the_clamp_tightens_from_start_to_end() -> None:
    widths = [CONFIG.clamp_at(progress) for progress in np.linspace(0, 1, 11)]
    assert (widths[0], widths[-1]) == (50.0, 1.0)
    assert all(before > after for before, after in itertools.pairwise(widths))
    assert CONFIG.clamp_at(1.5) == 1.0
    assert CONFIG.clamp_at(0.6) == pytest.approx(1 + 49 * 0.8)


@pytest.mark.parametrize(
    "change", [{"min_depth": 0.0}, {"heuristic_depth": 0.05}, {"clamp_end": 60.0}, {"clamp_end": 0}]
)
def test_what_cannot_work_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        CoordinateLossConfig(**change)
