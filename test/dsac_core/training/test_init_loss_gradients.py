# SPDX-License-Identifier: Apache-2.0
"""The derivatives of the initial losses, which cells have one, and that none is NaN."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cells import cell_batch, image_of, predictions, rays, straight, to_world

from dsac_core.training.augmentation import ImageBatch
from dsac_core.training.init_loss import SETTINGS, InitLossConfig, Setting, init_loss
from dsac_core.training.projection import project

CONFIG = InitLossConfig()
FLOATS = {"pixels", "depth", "focal", "cam"}


@pytest.mark.parametrize("setting", SETTINGS)
def test_gradients_agree_with_finite_differences(setting: Setting) -> None:
    """No cell is nearer to a bound, or to an error of zero, than the differences reach."""
    batch = cell_batch(grid=(4, 5), unknown=0.2)
    points = predictions(batch)
    points += 1e-3 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    points.requires_grad_()
    shares = init_loss(points, batch, setting, CONFIG).valid
    assert 0.0 < float(shares) < 1.0
    assert torch.autograd.gradcheck(
        lambda given: init_loss(given, batch, setting, CONFIG).mean,
        points,
        eps=1e-7,
        atol=1e-5,
        rtol=1e-5,
    )


def gradient(
    points: torch.Tensor, batch: ImageBatch, setting: Setting
) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = points.detach().clone().requires_grad_()
    loss = init_loss(leaf, batch, setting, CONFIG).mean
    loss.backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


@pytest.mark.parametrize("setting", SETTINGS)
def test_cells_outside_have_no_say(setting: Setting) -> None:
    batch = cell_batch(unknown=0.3)
    points = predictions(batch)
    loss, slope = gradient(points, batch, setting)
    assert not slope[~batch.inside_BN].any()
    counted = batch.known_BN if setting == "rgbd" else batch.inside_BN
    if setting != "rgb-model":  # where an unknown cell with an invalid point has no slope either
        # A point on its cell's ray has no reprojection error, and whether it is exact is chance.
        _, pixels = project(points, batch.cam_T_world_B34, batch.focal_B2, CONFIG.min_depth)
        on_ray = (pixels - batch.pixels_BN2).norm(dim=-1) < 1e-9
        may_rest = on_ray if setting == "rgb" else torch.zeros_like(on_ray)
        assert slope[counted & ~may_rest].abs().sum(dim=-1).min() > 0
        assert on_ray.any()
        assert not on_ray.all()
    wild = torch.where(batch.inside_BN[..., None], points, torch.nan)
    elsewhere, slope_there = gradient(wild, batch, setting)
    assert torch.equal(loss, elsewhere)
    assert torch.equal(slope[batch.inside_BN], slope_there[batch.inside_BN])


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_batch_is_the_mean_of_its_cells(setting: Setting) -> None:
    """The public code sees the first image of a batch alone."""
    batch = cell_batch(unknown=0.3)
    batch.inside_BN[0, ::2] = False
    batch.depth_BN[0, ::2] = 0.0
    points = predictions(batch)
    both = init_loss(points, batch, setting, CONFIG)
    counts = (batch.known_BN if setting == "rgbd" else batch.inside_BN).sum(dim=1).double()
    each = [init_loss(points[b : b + 1], image_of(batch, b), setting, CONFIG) for b in (0, 1)]
    for name in ("mean", "valid"):
        alone = torch.stack([getattr(one, name).double() for one in each])
        expected_mean = (alone * counts).sum() / counts.sum()
        assert float(getattr(both, name)) == pytest.approx(float(expected_mean))
    assert float(each[0].mean) != pytest.approx(float(each[1].mean), rel=0.01)


@pytest.mark.parametrize("setting", SETTINGS)
def test_without_any_known_depth_nothing_is_nan(setting: Setting) -> None:
    batch = cell_batch()
    batch.depth_BN.zero_()
    behind = to_world(batch, -rays(batch))
    loss, slope = gradient(behind, batch, setting)
    assert slope.isfinite().all()
    if setting != "rgb":
        assert float(loss) == 0.0
        assert not slope.any()
    batch.inside_BN.zero_()
    loss, slope = gradient(behind, batch, setting)
    assert float(loss) == 0.0
    assert not slope.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("setting", SETTINGS)
def test_nothing_is_nan_at_the_camera_or_out_of_this_world(
    setting: Setting, dtype: torch.dtype
) -> None:
    """Exactly true, in the camera's centre and plane, and so far that squares overflow."""
    ends = [[0.0, 0.0, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1e-30]]
    ends += [[1e25, 0.0, 2.0], [0.0, -1e25, -2.0], [0.0, 0.0, 1e25], [1e25, 1e25, 1e25]]
    for depth in (2.0, 0.0):
        points, batch = straight(ends, [depth] * len(ends))
        cast = {n: v.to(dtype) for n, v in vars(batch).items() if n.split("_")[0] in FLOATS}
        loss, slope = gradient(points.to(dtype), replace(batch, **cast), setting)
        assert slope.isfinite().all()
        assert not loss.isnan()
        alone, _ = gradient(points[:, :1].to(dtype), _first_cell(batch, cast), setting)
        assert float(alone) == 0.0


def _first_cell(batch: ImageBatch, cast: dict[str, torch.Tensor]) -> ImageBatch:
    first = {n: v[:, :1] if n.endswith(("BN", "BN2")) else v for n, v in cast.items()}
    return replace(batch, **first, inside_BN=batch.inside_BN[:, :1], grid=(1, 1))
