# SPDX-License-Identifier: Apache-2.0
"""Eq. 13-17 of DSAC*, cell by cell, against a plain implementation of the paper's text."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from cells import cell_batch, predictions, rays, straight, to_world

from dsac_core.errors import ConfigError
from dsac_core.training.augmentation import ImageBatch
from dsac_core.training.init_loss import (
    SETTINGS,
    InitLossConfig,
    Setting,
    init_loss,
    soft_clamp_sqrt,
)
from dsac_core.training.projection import project

CONFIG = InitLossConfig()


def cell_cost(
    y: np.ndarray, batch: ImageBatch, b: int, i: int, setting: Setting
) -> tuple[float, bool, str]:
    """The loss of one cell, whether it is valid, and which branch of the paper it took."""
    h_inverse = np.eye(4)
    h_inverse[:3] = batch.cam_T_world_B34[b].numpy()
    h = np.linalg.inv(h_inverse)
    fx, fy = batch.focal_B2[b].tolist()
    u, v = batch.pixels_BN2[b, i].tolist()
    measured = float(batch.depth_BN[b, i])

    def on_ray(z: float) -> np.ndarray:
        e = np.array([u / fx * z, v / fy * z, z])
        return np.asarray((h @ [*e, 1.0])[:3])

    truth = on_ray(measured) if measured > 0 else None
    distance = math.inf if truth is None else float(np.linalg.norm(truth - y))
    if setting == "rgbd":
        assert truth is not None
        return distance, distance < 0.1, "near" if distance < 0.1 else "far"
    x, y_, z = (h_inverse @ [*y, 1.0])[:3]
    r = math.hypot(fx * x / z - u, fy * y_ / z - v)
    robust = r if r < 100 else math.sqrt(100 * r)
    clamped = "exact" if r < 100 else "root"
    if setting == "rgb-model":
        if truth is None:
            valid = z > 0.1 and r < 1000
            return (robust if valid else 0.0), valid, f"unknown {clamped if valid else 'invalid'}"
        fails = [z <= 0.1, r >= 1000, distance >= 0.1]
        branch = "known " + ("".join("zrd"[n] for n in range(3) if fails[n]) or clamped)
        return (distance if any(fails) else robust), not any(fails), branch
    fails = [z <= 0.1, z >= 1000, r >= 1000]
    heuristic = float(np.abs(on_ray(10.0) - y).sum())
    branch = "".join("nfr"[n] for n in range(3) if fails[n]) or clamped
    return (heuristic if any(fails) else robust), not any(fails), branch


def expected(
    points: torch.Tensor, batch: ImageBatch, setting: Setting
) -> tuple[float, float, Counter[str]]:
    """Mean, share of valid cells, and how often each branch was taken."""
    costs, valid, branches = [], [], Counter[str]()
    counted = batch.known_BN if setting == "rgbd" else batch.inside_BN
    for b, i in counted.nonzero().tolist():
        cost, is_valid, branch = cell_cost(points[b, i].detach().numpy(), batch, b, i, setting)
        costs.append(cost)
        valid.append(is_valid)
        branches[branch] += 1
    return float(np.mean(costs)), float(np.mean(valid)), branches


BRANCHES = {
    "rgbd": {"near", "far"},
    "rgb-model": {
        "known exact", "known d", "known zd", "known rd", "known zrd",
        "unknown exact", "unknown root", "unknown invalid",
    },
    "rgb": {"exact", "root", "n", "r", "nr", "f"},
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("setting", SETTINGS)
def test_it_is_the_mean_of_what_the_paper_says_of_each_cell(setting: Setting, seed: int) -> None:
    batch = cell_batch(seed=seed, grid=(24, 32), unknown=0.3)
    points = predictions(batch, seed)
    loss = init_loss(points, batch, setting, CONFIG)
    mean, share, branches = expected(points, batch, setting)
    assert float(loss.mean) == pytest.approx(mean, rel=1e-9)
    assert float(loss.valid) == pytest.approx(share)
    assert set(branches) >= BRANCHES[setting], branches


@pytest.mark.parametrize(
    ("setting", "point", "depth", "loss", "valid"),
    [
        # Eq. 15: valid are z > 0.125, r < 1024, |y* - y| < 0.25, each strictly.
        ("rgb-model", [0, 0, 0.125], 0, 0.0, 0),  # r = 0 either way
        ("rgb-model", [0.0625, 0, 0.125], 0, 0.0, 0),  # else r = 256, and its root
        ("rgb-model", [0.0625, 0, 0.25], 0, math.sqrt(12800), 1),
        ("rgb-model", [4, 0, 2], 0, 0.0, 0),  # r = 1024
        ("rgb-model", [0, 7.875, 2], 0, math.sqrt(100800), 1),  # r = 1008, by the other axis
        ("rgb-model", [0, 0, 2.25], 2, 0.25, 0),
        ("rgb-model", [0, 0, 2.125], 2, 0.0, 1),
        ("rgb-model", [0.125, 0, 2], 2, 32.0, 1),
        ("rgb-model", [0, 0, -2], 2, 4.0, 0),  # behind the camera, on the pixel
        ("rgb-model", [0, 0, -2], 0, 0.0, 0),
        ("rgb-model", [0.375, 0, 2], 0, 96.0, 1),  # below the soft clamp
        ("rgb-model", [0.5, 0, 2], 0, math.sqrt(12800), 1),  # and above: r = 128
        # Eq. 17: 0.125 < z < 1024, r < 1024; the L1 distance to (0, 0, 8).
        ("rgb", [0, 0, 1024], 2, 1016.0, 0),
        ("rgb", [0, 0, 1023], 2, 0.0, 1),
        ("rgb", [0, 0, 0.125], 2, 7.875, 0),
        ("rgb", [4, 0, 2], 2, 10.0, 0),  # sums, not the root of squares
        ("rgb", [1, -2, -2], 2, 13.0, 0),
        ("rgb", [0, 0, 2.5], 2, 0.0, 1),  # however far from the true point
        ("rgbd", [3, 4, 2], 2, 5.0, 0),  # Eq. 13: not squared, not clamped
        ("rgbd", [0, 0, 2.25], 2, 0.25, 0),
        ("rgbd", [0, 0, 2.125], 2, 0.125, 1),
        ("rgbd", [0, 0, -2], 2, 4.0, 0),
    ],
)
def test_the_bounds_are_those_of_the_paper(
    setting: Setting, point: list[float], depth: float, loss: float, valid: int
) -> None:
    config = InitLossConfig(
        min_depth=0.125, max_depth=1024.0, max_reprojection_error=1024.0, max_distance=0.25,
        proxy_depth=8.0,
    )  # fmt: skip
    made = init_loss(*straight([point], [depth]), setting, config)
    assert float(made.mean) == pytest.approx(loss, rel=1e-12)
    assert float(made.valid) == valid


def test_the_soft_clamp_is_continuous_and_a_root() -> None:
    error = torch.tensor([0.0, 99.0, 100.0, 400.0, 900.0]).double()
    torch.testing.assert_close(
        soft_clamp_sqrt(error, 100.0), torch.tensor([0.0, 99.0, 100.0, 200.0, 300.0]).double()
    )
    assert float(soft_clamp_sqrt(torch.tensor(16.0), 4.0)) == 8.0


def test_the_heuristic_target_is_on_the_ray_ten_metres_deep() -> None:
    """The public code multiplies x and y alone: its target is one metre deep and off the ray."""
    batch = cell_batch()
    at_target = to_world(batch, 10.0 * rays(batch))
    before = to_world(batch, 9.98 * rays(batch))
    loss = init_loss(before, batch, "rgb", replace(CONFIG, min_depth=9.99))
    assert float(loss.valid) == 0.0  # so that all of it is the distance to the target
    assert float(loss.mean) == pytest.approx(float((at_target - before).abs().sum(-1).mean()))
    in_camera, pixels = project(at_target, batch.cam_T_world_B34, batch.focal_B2, 0.1)
    torch.testing.assert_close(pixels, batch.pixels_BN2, rtol=0, atol=1e-9)
    torch.testing.assert_close(in_camera[..., 2], torch.full_like(batch.depth_BN, 10.0))


@pytest.mark.parametrize("setting", ["rgbd", "rgb-model"])
def test_the_origin_of_the_scene_is_a_place_like_any_other(setting: Setting) -> None:
    """The public code takes the scene coordinate 0 as missing."""
    far, batch = straight([[0.0, 0.0, 5.0]], [2.0])
    batch.cam_T_world_B34[0, 2, 3] = 2.0  # now the true point is (0, 0, 0)
    torch.testing.assert_close(batch.points_at(batch.depth_BN), torch.zeros(1, 1, 3).double())
    loss = init_loss(far, batch, setting, CONFIG)
    assert (float(loss.mean), float(loss.valid)) == (5.0, 0.0)
    found = init_loss(torch.zeros_like(far), batch, setting, CONFIG)
    assert (float(found.mean), float(found.valid)) == (0.0, 1.0)


def test_points_are_projected_as_opencv_does() -> None:
    import cv2

    batch = cell_batch(images=1)
    points = to_world(batch, rays(batch) * 2.0)[0].numpy()
    pose, focal = batch.cam_T_world_B34[0].numpy(), batch.focal_B2[0].numpy()
    turn, _ = cv2.Rodrigues(pose[:, :3])
    expected_pixels, _ = cv2.projectPoints(points, turn, pose[:, 3], np.diag([*focal, 1.0]), None)
    given = (torch.from_numpy(points)[None], batch.cam_T_world_B34, batch.focal_B2)
    in_camera, pixels = project(*given, 0.1)
    np.testing.assert_allclose(pixels[0], expected_pixels[:, 0], atol=1e-9)
    np.testing.assert_allclose(in_camera[0], points @ pose[:, :3].T + pose[:, 3], atol=1e-12)


@pytest.mark.parametrize("name", list(vars(CONFIG)))
def test_bounds_that_cannot_work_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"init_loss.{name} must be positive, got 0"):
        InitLossConfig(**{name: 0.0})
    with pytest.raises(ConfigError, match="min_depth < proxy_depth < max_depth"):
        InitLossConfig(proxy_depth=1000.0)
