# SPDX-License-Identifier: Apache-2.0
"""The losses of the stages, with networks that are nothing but their output."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from cells import cell_batch, predictions
from torch import nn

from dsac_core.geometry.pose import invert, pose_error
from dsac_core.networks.coordinate_network import CoordinateNetwork
from dsac_core.networks.score_net import ScoreNet
from dsac_core.ransac.config import RGB_RANSAC, RGBD_RANSAC
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.ransac.expected_loss import hypothesis_losses
from dsac_core.ransac.pose_loss import PoseLossConfig
from dsac_core.training.augmentation import ImageBatch
from dsac_core.training.dense_config import DenseMapConfig
from dsac_core.training.init_loss import SETTINGS, Setting, init_loss
from dsac_core.training.stages import Learner, poses_around

GRID = (12, 16)


class Answer(nn.Module):
    """Says the same whatever it sees; all of it can be learned."""

    def __init__(self, points_BN3: torch.Tensor, grid: tuple[int, int]) -> None:
        super().__init__()
        image = points_BN3.transpose(1, 2).unflatten(2, grid)
        self.coordinates = nn.Parameter(image.detach().clone())
        self.low: list[bool] = []  # whether it was asked in low precision

    def forward(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        self.low.append(torch.is_autocast_enabled("cpu"))
        return self.coordinates


class Constant(nn.Module):
    """A score CNN that gives every pose the same score."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.tensor(score))
        self.grids: list[tuple[int, int]] = []
        self.errors = torch.empty(0)

    def on_grid(self, grid: tuple[int, int]) -> Constant:
        self.grids.append(grid)
        return self

    def forward(self, errors_BHN: torch.Tensor, weights_BN: torch.Tensor) -> torch.Tensor:
        self.errors = errors_BHN.detach()
        return self.score.expand(errors_BHN.shape[:2])


def float_batch(seed: int = 0, unknown: float = 0.1) -> ImageBatch:
    batch = cell_batch(seed=seed, grid=GRID, unknown=unknown)
    fields: dict[str, Any] = {
        name: values.float()
        for name, values in vars(batch).items()
        if isinstance(values, torch.Tensor) and values.is_floating_point()
    }
    return replace(batch, **fields)


def learner(
    points: torch.Tensor,
    scorer: nn.Module | None = None,
    precision: torch.dtype = torch.float32,
    **settings: Any,
) -> Learner:
    network = cast(CoordinateNetwork, Answer(points, GRID))
    return Learner(network, cast(ScoreNet, scorer), DenseMapConfig(**settings), precision)


def rough(batch: ImageBatch, size: float = 0.02, seed: int = 0) -> torch.Tensor:
    """True points with noise, metres, every fifth of them anywhere; unknown cells as well."""
    generator = torch.Generator().manual_seed(seed)
    points = batch.points_at(torch.where(batch.known_BN, batch.depth_BN, 1.0))
    points = points + size * torch.randn(points.shape, generator=generator)
    points[:, ::5] = torch.rand(points[:, ::5].shape, generator=generator) * 4
    return points


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradient_of(made: Learner, stage: Any, batch: ImageBatch, seed: int = 0) -> torch.Tensor:
    made.network.zero_grad()
    made.loss(stage, batch, seeded(seed)).loss.backward()
    gradient = made.network.coordinates.grad
    assert isinstance(gradient, torch.Tensor)
    return gradient.clone()


def to_pose(cam_T_world_34: torch.Tensor) -> np.ndarray:
    pose = np.eye(4)
    pose[:3] = cam_T_world_34.double().numpy()
    return invert(pose)


def test_poses_around_the_truth_are_as_wrong_as_is_said() -> None:
    """Minus ten times the larger of degrees and centimetres, of the camera and not of the map."""
    truth = cell_batch(seed=3).cam_T_world_B34
    poses, quality = poses_around(truth, 200, seeded())
    assert poses.shape == (2, 200, 3, 4)
    assert poses.dtype == quality.dtype == truth.dtype
    metres, degrees = [], []
    for image in range(2):
        for pose, said in zip(poses[image], quality[image], strict=True):
            shift, turn = pose_error(to_pose(pose), to_pose(truth[image]))
            rotation = pose[:, :3].numpy()
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
            expected = -10 * max(100 * shift, np.degrees(turn))
            assert float(said) == pytest.approx(expected, rel=1e-4, abs=1e-3)
            metres.append(shift)
            degrees.append(np.degrees(turn))
    # Both may decide: turns of up to tens of degrees, and shifts of up to tens of centimetres.
    turns_decide = np.mean(np.array(degrees) > 100 * np.array(metres))
    assert 0.1 < turns_decide < 0.9


def test_half_of_the_poses_is_near() -> None:
    """Two millimetres and two degrees against ten centimetres and ten degrees, one sigma."""
    truth = torch.eye(3, 4).double()[None].expand(4, 3, 4)
    poses, _ = poses_around(truth, 2000, seeded())
    errors = [pose_error(to_pose(pose), np.eye(4)) for pose in poses.flatten(0, 1)]
    metres, degrees = np.array(errors).T
    near = metres < 0.012  # six sigma of one axis; one in a thousand of the far ones
    degrees = np.degrees(degrees)
    assert near.mean() == pytest.approx(0.5, abs=0.02)
    assert metres[near].mean() == pytest.approx(0.002 * np.sqrt(8 / np.pi), rel=0.05)
    assert metres[~near].mean() == pytest.approx(0.1 * np.sqrt(8 / np.pi), rel=0.05)
    assert degrees[near].mean() == pytest.approx(2 * np.sqrt(2 / np.pi), rel=0.07)
    assert degrees[~near].mean() == pytest.approx(10 * np.sqrt(2 / np.pi), rel=0.05)
    assert torch.equal(poses, poses_around(truth, 2000, seeded())[0])


@pytest.mark.parametrize("setting", SETTINGS)
def test_true_scene_points_give_the_true_pose(setting: Setting) -> None:
    """With depth by Kabsch, else by PnP; cells outside have wild points, and no weight."""
    batch = float_batch(unknown=0.2)
    points = batch.points_at(torch.where(batch.known_BN, batch.depth_BN, 2.0))
    points[~batch.inside_BN] = 99.0
    made = learner(points, setting=setting)
    given = made.correspondences(batch, made.predict(batch).detach())
    assert (given.camera_points_BN3 is not None) == (setting == "rgbd")
    used = batch.known_BN if setting == "rgbd" else batch.inside_BN
    assert torch.equal(given.weights_BN > 0, used)
    result = estimate_poses(given, made.config.ransac, seeded())
    assert result.found_B.all()
    assert torch.equal(result.inliers_BN, used)
    for found, truth in zip(result.cam_T_world_B34, batch.cam_T_world_B34, strict=True):
        metres, radians = pose_error(to_pose(found), to_pose(truth))
        assert metres < 1e-4
        assert radians < 1e-4


def test_predictions_are_row_by_row_as_the_cells_are() -> None:
    batch = float_batch()
    points = rough(batch)
    made = learner(points)
    assert torch.equal(made.predict(batch), points)


def test_poses_are_refined_by_exact_points_only() -> None:
    """Low precision is enough to begin with."""
    batch = float_batch()
    for precision, expected in ((torch.bfloat16, [True, False]), (torch.float32, [False, False])):
        made = learner(rough(batch), precision=precision)
        made.loss("init", batch, seeded())
        made.loss("e2e", batch, seeded())
        assert cast(Any, made.network).low == expected


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_stage_init_is_the_initial_loss(setting: Setting) -> None:
    batch = float_batch(unknown=0.2)
    points = predictions(batch).float()
    made = learner(points, setting=setting)
    step = made.loss("init", batch, seeded())
    expected = init_loss(points, batch, setting, made.config.loss)
    assert torch.equal(step.loss, expected.mean)
    assert step.unit == ("m" if setting == "rgbd" else "px")
    assert step.detail == f"{float(expected.valid):.0%} valid"
    gradient = gradient_of(made, "init", batch).flatten(2).transpose(1, 2)
    assert gradient.isfinite().all()
    assert gradient[batch.known_BN].any()
    assert not gradient[~batch.inside_BN].any()


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("selection", ["dsac", "softam"])
def test_end_to_end_is_the_pose_loss_of_ransac(setting: Setting, selection: str) -> None:
    """Eq. 37 for DSAC, the loss of the mean pose for SoftAM; the mean over images."""
    batch = float_batch()
    points = rough(batch)
    weights = PoseLossConfig(translation_weight=50.0)
    made = learner(points, setting=setting, selection=selection, pose_loss=weights)
    step = made.loss("e2e", batch, seeded())
    losses = hypothesis_losses(
        made.correspondences(batch, points),
        batch.cam_T_world_B34,
        RGBD_RANSAC if setting == "rgbd" else RGB_RANSAC,
        seeded(),
        loss=weights,
    )
    each = losses.expected_B() if selection == "dsac" else losses.soft_argmax_B()
    assert step.loss.item() == pytest.approx(each.mean().item(), rel=1e-5)
    assert 0.01 < step.loss.item() < 100.0
    assert step.detail == "100% with a pose"
    gradient = gradient_of(made, "e2e", batch).flatten(2).transpose(1, 2)
    assert gradient.isfinite().all()
    assert (gradient.abs().amax(dim=(1, 2)) > 0).all()  # of each image
    used = batch.known_BN if setting == "rgbd" else batch.inside_BN
    assert not gradient[~used].any()


def test_dsac_and_softam_differ() -> None:
    batch = float_batch()
    points = rough(batch, 0.15)
    both = [learner(points, selection=name) for name in ("dsac", "softam")]
    by_dsac, by_softam = (one.loss("e2e", batch, seeded()).loss.item() for one in both)
    assert by_dsac != pytest.approx(by_softam, rel=1e-3)
    first, second = (gradient_of(one, "e2e", batch) for one in both)
    assert not torch.allclose(first, second)


def test_the_gradient_in_each_coordinate_is_clamped() -> None:
    """That of each image's loss; what comes back is of the mean over the batch."""
    batch = float_batch()
    points = rough(batch, 0.05)
    free = gradient_of(learner(points), "e2e", batch)
    limit = float(free.abs().flatten().topk(20).values[-1])
    clamped = gradient_of(learner(points, gradient_clamp=limit * len(points)), "e2e", batch)
    assert float(free.abs().max()) > 1.5 * limit
    torch.testing.assert_close(clamped, free.clamp(-limit, limit))


def test_rgbd_without_depth_teaches_nothing() -> None:
    """The public code crashes."""
    batch = float_batch()
    batch.depth_BN.zero_()
    made = learner(rough(batch), setting="rgbd")
    step = made.loss("e2e", batch, seeded())
    assert step.loss.item() == 0.0
    assert step.detail == "0% with a pose"
    assert not step.loss.requires_grad or not gradient_of(made, "e2e", batch).any()


@pytest.mark.parametrize("setting", ["rgb", "rgbd"])
def test_the_score_is_compared_with_the_quality_of_poses(setting: Setting) -> None:
    batch = float_batch()
    made = learner(rough(batch), Constant(-70.0), setting=setting, scoring="scorenet")
    scorer = cast(Any, made.scorer)
    step = made.loss("score", batch, seeded(4))
    _, quality = poses_around(batch.cam_T_world_B34, 64, seeded(4))
    assert step.loss.item() == pytest.approx((-70.0 - quality).abs().mean().item(), rel=1e-5)
    assert scorer.grids == [GRID]
    medians = scorer.errors[0].nanmedian(dim=1).values
    assert medians[quality[0].argmin()] > 3 * medians[quality[0].argmax()]
    step.loss.backward()
    assert made.network.coordinates.grad is None


def test_the_real_score_cnn_learns_alone_and_then_with_the_network() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        scorer = ScoreNet((1, 1))
    batch = float_batch()
    made = learner(rough(batch), scorer, scoring="scorenet")
    step = made.loss("score", batch, seeded())
    assert step.loss.isfinite()
    step.loss.backward()
    assert made.network.coordinates.grad is None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in scorer.parameters())
    scorer.zero_grad()
    gradient = gradient_of(made, "e2e", batch)
    assert gradient.isfinite().all()
    assert gradient.any()
    assert any(p.grad is not None and p.grad.any() for p in scorer.parameters())


def test_what_each_stage_changes() -> None:
    batch = float_batch()
    scorer = Constant(0.0)
    made = learner(rough(batch), scorer)
    network = [made.network.coordinates]
    wanted: dict[Any, list[Any]] = {"init": network, "score": [scorer.score]}
    wanted["e2e"] = [*network, scorer.score]
    for stage, expected in wanted.items():
        assert [id(p) for p in made.parameters(stage)] == [id(p) for p in expected]
    assert learner(rough(batch)).parameters("score") == []
