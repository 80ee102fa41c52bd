# SPDX-License-Identifier: Apache-2.0
"""The same code on a GPU, or on a pretended one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from grids import Grid, stacked
from pretend_cuda import some_cuda

from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.ransac.expected_loss import hypothesis_losses


@pytest.fixture(autouse=True)
def cuda() -> Iterator[torch.device]:
    with some_cuda() as device:
        yield device


DEPTH = pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])


def batch(*, depth: bool) -> tuple[Correspondences, torch.Tensor, RansacConfig]:
    grids = [Grid(0.5, seed, depth=depth) for seed in range(8)]
    given = stacked([grid.correspondences() for grid in grids])
    truth = torch.cat([grid.truth_B34 for grid in grids]).float()
    return given, truth, RansacConfig(inlier_threshold=grids[0].threshold)


@DEPTH
def test_poses_are_those_of_the_cpu(depth: bool) -> None:
    given, truth, config = batch(depth=depth)
    result = estimate_poses(given.to("cuda"), config, torch.Generator().manual_seed(0))
    assert result.found_B.all()
    assert (result.cam_T_world_B34.cpu() - truth).abs().max() < 0.01
    on_cpu = estimate_poses(given, config, torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        result.cam_T_world_B34.cpu(), on_cpu.cam_T_world_B34, atol=1e-3, rtol=0
    )


@DEPTH
def test_gradients_are_those_of_the_cpu(depth: bool) -> None:
    given, truth, config = batch(depth=depth)
    gradients, rows = [], None
    for device in ("cpu", "cuda"):
        points = given.points_BN3.to(device).requires_grad_()
        moved = Correspondences(**{**vars(given.to(device)), "points_BN3": points})
        generator = torch.Generator().manual_seed(0)
        losses = hypothesis_losses(moved, truth.to(device), config, generator, rows_BHn=rows)
        (gradient,) = torch.autograd.grad(losses.expected_B().sum(), points)
        gradients.append(gradient.cpu().flatten())
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99
