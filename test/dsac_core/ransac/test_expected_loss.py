# SPDX-License-Identifier: Apache-2.0
"""The gradients of the whole of RANSAC against central differences, in float64, draws frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from grids import SmallGrid, stacked
from scipy.spatial.transform import Rotation

from dsac_core.networks.score_net import ScoreNet
from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimator_of
from dsac_core.ransac.expected_loss import HypothesisLosses, hypothesis_losses
from dsac_core.ransac.pose_loss import PoseLossConfig, pose_loss
from dsac_core.ransac.sampling import sample_minimal_sets
from dsac_core.ransac.scoring import Scorer

DEPTH = pytest.mark.parametrize("depth", [False, True], ids=["rgb", "rgbd"])
STEP = 1e-6  # metres
CELLS = (6, 9)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small operations: a second thread would only wait for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Problem:
    """One image, its minimal sets, and losses as functions of its scene points alone."""

    def __init__(self, *, depth: bool, seed: int = 0, noise: float = 4.0) -> None:
        self.grid = SmallGrid(depth=depth, seed=seed, inliers=0.5, noise=noise, shape=CELLS)
        # So blunt that many hypotheses are likely, false ones too.
        self.config = RansacConfig(
            hypotheses=16, inlier_threshold=self.grid.threshold, sharpness=10.0
        )
        self._add_a_rival()
        given = self.grid.correspondences(torch.float64)
        generator = torch.Generator().manual_seed(seed)
        self.rows = sample_minimal_sets(given, estimator_of(given), self.config, generator)
        self.points = given.points_BN3

    def _add_a_rival(self) -> None:
        """Most outliers agree on another pose, so that it matters which one is selected."""
        grid = self.grid
        false = np.nonzero(~grid.true)[0][4:]
        turn = Rotation.from_rotvec([0.1, -0.15, 0.05]).as_matrix()
        moved = grid.camera_points[false] @ turn.T + [0.3, 0.1, -0.2]
        # A residual of zero is a kink of its length.
        moved += np.random.default_rng(0).normal(scale=0.02, size=moved.shape)
        grid.points[false] = moved @ grid.world_T_cam[:3, :3].T + grid.world_T_cam[:3, 3]

    def losses(self, points_BN3: torch.Tensor, scorer: Scorer | None = None) -> HypothesisLosses:
        given = self.grid.correspondences(torch.float64, points_BN3)
        truth = self.grid.truth_B34
        return hypothesis_losses(given, truth, self.config, rows_BHn=self.rows, scorer=scorer)


def clamped(losses: HypothesisLosses, clamp: float) -> torch.Tensor:
    """The expected loss with another clamp."""
    config = PoseLossConfig(soft_clamp=clamp)
    each = pose_loss(losses.poses_BH34, losses.truth_B34, config)
    return (losses.probabilities_BH * each).sum()


def compare(
    function: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor, entries: torch.Tensor
) -> list[tuple[float, float]]:
    """Cosine and ratio of lengths of gradient and central differences, for each output."""
    leaf = points.clone().requires_grad_()
    outputs = function(leaf)
    gradients = [torch.autograd.grad(each, leaf, retain_graph=True)[0] for each in outputs]
    slopes = torch.zeros(len(outputs), len(entries), dtype=torch.float64)
    with torch.no_grad():
        for column, entry in enumerate(entries.tolist()):
            step = torch.zeros_like(points)
            step.view(-1)[entry] = STEP
            slopes[:, column] = (function(points + step) - function(points - step)) / (2 * STEP)
    result = []
    for gradient, slope in zip(gradients, slopes, strict=True):
        chosen = gradient.flatten()[entries]
        assert slope.norm() > 0
        cosine = torch.nn.functional.cosine_similarity(chosen, slope, dim=0)
        result.append((float(cosine), float(chosen.norm() / slope.norm())))
    return result


def agree(pairs: list[tuple[float, float]]) -> bool:
    return all(cosine > 0.9999 and abs(ratio - 1.0) < 1e-3 for cosine, ratio in pairs)


@DEPTH
@pytest.mark.parametrize("seed", [0, 1])
def test_expected_loss_and_soft_argmax(depth: bool, seed: int) -> None:
    """All scene points, all paths, both selections, below the clamp, beyond it and across."""
    problem = Problem(depth=depth, seed=seed)
    losses = problem.losses(problem.points)
    likely = losses.losses_BH[losses.probabilities_BH > 1e-3]
    assert len(likely) >= 8
    clamp = float(0.5 * (likely.min() + likely.max()))
    assert clamp < 0.9 * likely.max()

    def function(points: torch.Tensor) -> torch.Tensor:
        losses = problem.losses(points)
        outputs = [
            losses.expected_B().sum(),
            losses.soft_argmax_B().sum(),
            clamped(losses, clamp),
            clamped(losses, 0.1),
        ]
        return torch.stack(outputs)

    entries = torch.arange(problem.points.numel())
    pairs = compare(function, problem.points, entries)
    assert agree(pairs), pairs


@DEPTH
def test_the_learned_score(depth: bool) -> None:
    """Through the network to its residuals, and on to the scene points and the minimal poses."""
    problem = Problem(depth=depth)
    torch.manual_seed(0)
    net = ScoreNet(CELLS, inlier_threshold=problem.grid.threshold).double()

    def function(points: torch.Tensor) -> torch.Tensor:
        return problem.losses(points, net).expected_B()

    chosen = torch.randperm(problem.points.numel(), generator=torch.Generator().manual_seed(0))
    minimal = (3 * problem.rows[0, :1, :3, None] + torch.arange(3)).flatten()
    pairs = compare(function, problem.points, torch.cat([minimal, chosen[:20]]))
    assert agree(pairs), pairs
    parameter = next(net.parameters())
    (by_network,) = torch.autograd.grad(function(problem.points).sum(), parameter)
    assert by_network.isfinite().all()
    assert by_network.abs().max() > 0


@DEPTH
def test_every_path_counts(depth: bool) -> None:
    """Without refinement's share of the gradient, or the scores', it would be another one."""
    problem = Problem(depth=depth)
    leaf = problem.points.clone().requires_grad_()
    losses = problem.losses(leaf)
    (whole,) = torch.autograd.grad(losses.expected_B().sum(), leaf, retain_graph=True)
    through_losses = (losses.probabilities_BH.detach() * losses.losses_BH).sum()
    through_scores = (losses.probabilities_BH * losses.losses_BH.detach()).sum()
    (first,) = torch.autograd.grad(through_losses, leaf, retain_graph=True)
    (second,) = torch.autograd.grad(through_scores, leaf)
    torch.testing.assert_close(first + second, whole)
    assert first.norm() > 0.01 * whole.norm()
    assert second.norm() > 0.01 * whole.norm()
    # Scores depend on a minimal set more than on others: its points move the hypothesis.
    minimal = problem.rows[0, :, :3].unique()
    others = torch.ones(54, dtype=torch.bool)
    others[minimal] = False
    assert second[0, minimal].norm(dim=1).mean() > 2 * second[0, others].norm(dim=1).mean()


@DEPTH
def test_samples_of_the_gradient_average_to_the_exact_one(depth: bool) -> None:
    """Eq. 38 by Monte Carlo over selections: unbiased, and not without its score term."""
    problem = Problem(depth=depth)
    leaf = problem.points.clone().requires_grad_()
    losses = problem.losses(leaf)
    (exact,) = torch.autograd.grad(losses.expected_B().sum(), leaf, retain_graph=True)
    generator = torch.Generator().manual_seed(0)
    sampled = losses.sampled_B(generator, 1_000_000)
    (estimate,) = torch.autograd.grad(sampled.sum(), leaf, retain_graph=True)
    torch.testing.assert_close(sampled, losses.expected_B(), rtol=0.01, atol=0.0)
    assert (estimate - exact).norm() < 0.02 * exact.norm()
    # Few samples scatter around it.
    several = [
        torch.autograd.grad(losses.sampled_B(generator).sum(), leaf, retain_graph=True)[0]
        for _ in range(20)
    ]
    assert torch.stack([(one - exact).norm() for one in several]).mean() > 0.02 * exact.norm()


@DEPTH
def test_training_on_the_expected_loss_lowers_it(depth: bool) -> None:
    """Plain gradient descent on the scene points themselves, drawing anew in every step."""
    problem = Problem(depth=depth)
    points = problem.points.clone().requires_grad_()
    optimiser = torch.optim.Adam([points], lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    history = []
    for _ in range(60):
        given = problem.grid.correspondences(torch.float64, points)
        losses = hypothesis_losses(given, problem.grid.truth_B34, problem.config, generator)
        loss = losses.expected_B().sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        history.append(loss.item())
    assert sum(history[-10:]) < 0.5 * sum(history[:10])


def batch_of(problems: list[Problem]) -> Correspondences:
    return stacked([problem.grid.correspondences(torch.float64) for problem in problems])


@DEPTH
def test_every_image_of_a_batch_counts(depth: bool) -> None:
    problems = [Problem(depth=depth, seed=seed) for seed in range(3)]
    given = batch_of(problems)
    truth = torch.cat([problem.grid.truth_B34 for problem in problems])
    rows = torch.cat([problem.rows for problem in problems])
    together = hypothesis_losses(given, truth, problems[0].config, rows_BHn=rows).expected_B()
    for image, problem in enumerate(problems):
        alone = problem.losses(problem.points).expected_B()[0]
        torch.testing.assert_close(together[image], alone, rtol=1e-3, atol=1e-6)


@DEPTH
@pytest.mark.parametrize("kind", ["constant", "NaN", "one NaN", "no weight"])
def test_an_image_that_teaches_nothing_disturbs_nothing(depth: bool, kind: str) -> None:
    problem = Problem(depth=depth)
    given = batch_of([problem, problem])
    points, weights = given.points_BN3.clone(), given.weights_BN.clone()
    if kind == "no weight":
        weights[0] = 0.0
    elif kind == "one NaN":
        points[0, 3, 1] = torch.nan
    else:
        points[0] = {"constant": 1.0, "NaN": torch.nan}[kind]
    leaf = points.requires_grad_()
    given = Correspondences(
        given.pixels_BN2, leaf, weights, given.focal_B2, given.camera_points_BN3
    )
    truth = problem.grid.truth_B34.expand(2, -1, -1)
    generator = torch.Generator().manual_seed(0)
    losses = hypothesis_losses(given, truth, problem.config, generator)
    total = losses.expected_B() + losses.soft_argmax_B() + losses.sampled_B(generator)
    torch.autograd.backward(total.sum())
    assert total.isfinite().all()
    assert leaf.grad is not None
    assert leaf.grad[1].norm() > 0
    assert leaf.grad.isfinite().all()
    if kind != "one NaN":
        assert total[0] == 0.0
        assert leaf.grad[0].norm() == 0.0
    else:
        assert leaf.grad[0, 3].norm() == 0.0


def test_hypotheses_that_meet_are_refined_as_one_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = Problem(depth=False, noise=2.0)
    together = problem.losses(problem.points)
    monkeypatch.setattr("dsac_core.ransac.refinement._SAME", 0.0)
    alone = problem.losses(problem.points)
    likely = together.probabilities_BH > 1e-3
    same = (together.losses_BH - alone.losses_BH).abs() < 1e-6
    assert same[likely].double().mean() > 0.7
    torch.testing.assert_close(together.expected_B(), alone.expected_B(), rtol=0.05, atol=0.0)
