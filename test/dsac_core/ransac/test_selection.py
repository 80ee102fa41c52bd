# SPDX-License-Identifier: Apache-2.0
"""Probabilities, the mean of poses, and draws, against SciPy and by counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.special import softmax

from dsac_core.geometry.se3 import inverse, retract
from dsac_core.ransac.selection import (
    draw_hypotheses,
    mean_pose,
    select,
    selection_probabilities,
)


def random_poses(batch: int, count: int, seed: int = 0, spread: float = 0.5) -> torch.Tensor:
    """Poses [B x H x 3 x 4] around one of each image."""
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(batch, random_state=seed).as_matrix()
    translation = rng.normal(scale=3.0, size=(batch, 3, 1))
    poses = torch.from_numpy(np.concatenate([rotation, translation], axis=2))[:, None]
    steps = torch.from_numpy(rng.normal(scale=spread, size=(batch, count, 6)))
    return retract(poses.expand(-1, count, -1, -1), steps)


def random_scores(batch: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(scale=2.0, size=(batch, count)))
    accepted = torch.from_numpy(rng.uniform(size=(batch, count)) > 0.4)
    accepted[:, 0] = True
    return scores, accepted


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_probabilities_are_the_softmax_of_what_is_accepted() -> None:
    scores, accepted = random_scores(5, 8)
    probabilities = selection_probabilities(scores, accepted)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(5).double())
    assert (~accepted).sum() > 5
    assert (probabilities[~accepted] == 0).all()
    for image in range(5):
        chosen = accepted[image]
        expected = softmax(scores[image, chosen].numpy())
        np.testing.assert_allclose(probabilities[image, chosen].numpy(), expected)


def test_scores_of_what_is_not_accepted_do_not_matter() -> None:
    scores, accepted = random_scores(5, 8)
    expected = selection_probabilities(scores, accepted)
    for value in (1e30, -torch.inf, torch.inf, torch.nan):
        changed = torch.where(accepted, scores, value).requires_grad_()
        probabilities = selection_probabilities(changed, accepted)
        assert torch.equal(probabilities, expected)
        (slope,) = torch.autograd.grad(probabilities[:, 0].sum(), changed)
        assert slope.isfinite().all()
        assert (slope[~accepted] == 0).all()


def test_scores_of_thousands_do_not_overflow() -> None:
    scores = torch.tensor([[9000.0, 8999.0, -9000.0]])
    probabilities = selection_probabilities(scores, torch.ones(1, 3, dtype=torch.bool))
    expected = softmax(scores.numpy(), axis=1)
    np.testing.assert_allclose(probabilities.numpy(), expected, rtol=1e-6)


def test_where_none_is_accepted_there_are_zeros_and_nothing_is_learned() -> None:
    scores, accepted = random_scores(3, 6)
    accepted[1] = False
    alone = selection_probabilities(scores[[0, 2]], accepted[[0, 2]])
    scores.requires_grad_()
    probabilities = selection_probabilities(scores, accepted)
    assert (probabilities[1] == 0).all()
    torch.testing.assert_close(probabilities[[0, 2]], alone)
    weights = torch.arange(18, dtype=torch.float64).view(3, 6)
    (slope,) = torch.autograd.grad((probabilities * weights).sum(), scores)
    assert (slope[1] == 0).all()
    assert (slope[[0, 2]] != 0).any()
    assert slope.isfinite().all()


def test_the_gradient_of_the_probabilities() -> None:
    scores, accepted = random_scores(3, 6)
    accepted[1] = False
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: selection_probabilities(s, accepted), scores)


@pytest.mark.parametrize("spread", [0.0, 1e-4, 0.3, 1.0])
def test_the_mean_pose_is_that_of_scipy(spread: float) -> None:
    poses = random_poses(4, 7, spread=spread)
    scores, accepted = random_scores(4, 7)
    probabilities = selection_probabilities(scores, accepted)
    mean = inverse(mean_pose(poses, probabilities)).numpy()
    world_T_cam = inverse(poses).numpy()
    for image in range(4):
        weights = probabilities[image].numpy()
        rotation = Rotation.from_matrix(world_T_cam[image, :, :, :3]).mean(weights)
        np.testing.assert_allclose(mean[image, :, :3], rotation.as_matrix(), rtol=0, atol=1e-10)
        centre = weights @ world_T_cam[image, :, :, 3]
        np.testing.assert_allclose(mean[image, :, 3], centre, rtol=0, atol=1e-12)


def test_the_mean_of_one_pose_is_the_pose() -> None:
    poses = random_poses(4, 7)
    certain = torch.zeros(4, 7, dtype=torch.float64)
    certain[:, 3] = 1.0
    torch.testing.assert_close(mean_pose(poses, certain), poses[:, 3], rtol=0, atol=1e-12)


def test_a_quarter_turn_apart_is_an_eighth() -> None:
    """Averages of rotation vectors depend on the axes; it is centres that are averaged."""
    quarter = Rotation.from_rotvec([[0, 0, 0], [0, 0, np.pi / 2]])
    world_T_cam = np.zeros((1, 2, 3, 4))
    world_T_cam[0, :, :, :3] = quarter.as_matrix()
    world_T_cam[0, 1, :, 3] = [2.0, 4.0, 6.0]
    mean = mean_pose(inverse(torch.from_numpy(world_T_cam)), torch.full((1, 2), 0.5).double())
    found = inverse(mean)[0].numpy()
    expected = Rotation.from_euler("z", 45, degrees=True).as_matrix()
    np.testing.assert_allclose(found[:, :3], expected, atol=1e-12)
    np.testing.assert_allclose(found[:, 3], [1.0, 2.0, 3.0], atol=1e-12)


def test_the_mean_passes_half_a_turn() -> None:
    """Rotations by 179 and -179 degrees: their mean is 180, that of their vectors is none."""
    rotation = Rotation.from_rotvec(np.deg2rad([[0, 179, 0], [0, -179, 0]])).as_matrix()
    poses = torch.from_numpy(np.concatenate([rotation, np.zeros((2, 3, 1))], axis=2))[None]
    mean = mean_pose(poses, torch.full((1, 2), 0.5).double())[0, :, :3].numpy()
    expected = Rotation.from_euler("y", 180, degrees=True).as_matrix()
    np.testing.assert_allclose(mean, expected, atol=1e-12)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.3, 1.0], ids=["all equal", "near", "far", "wide"])
def test_the_gradient_of_the_mean_pose_in_scores_and_along_the_poses(spread: float) -> None:
    poses = random_poses(2, 4, spread=spread)
    scores, accepted = random_scores(2, 4)

    def mean(steps: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        probabilities = selection_probabilities(scores, accepted)
        return mean_pose(retract(poses, steps), probabilities)

    steps = torch.full((2, 4, 6), 0.01, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mean, (steps, scores.requires_grad_()), atol=1e-6)


def test_the_gradient_of_the_mean_pose_in_the_entries_of_the_poses() -> None:
    poses = random_poses(2, 3).requires_grad_()
    probabilities = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(mean_pose, (poses, probabilities.requires_grad_()))


def test_the_mean_of_nothing_is_finite_and_teaches_nothing() -> None:
    poses = random_poses(2, 4)
    none = torch.zeros(2, 4, dtype=torch.float64)
    none[1, 2] = 1.0
    poses.requires_grad_()
    mean = mean_pose(poses, none)
    assert mean.isfinite().all()
    torch.testing.assert_close(mean[1], poses[1, 2])
    (slope,) = torch.autograd.grad(mean.square().sum() + mean.sum(), poses)
    assert slope.isfinite().all()
    assert (slope[0] == 0).all()


def test_argmax_selects_the_best() -> None:
    poses = random_poses(3, 5)
    scores, _ = random_scores(3, 5)
    scores[0, 4] = 100.0
    scores[2, 1] = -torch.inf
    chosen = select(poses, scores, "argmax", generator())
    for image in range(3):
        best = int(np.argmax(scores[image].numpy()))
        assert torch.equal(chosen[image], poses[image, best])


def test_softam_selects_the_mean_of_what_there_is() -> None:
    poses = random_poses(3, 5)
    scores, accepted = random_scores(3, 5)
    scores = scores.masked_fill(~accepted, -torch.inf)
    expected = mean_pose(poses, selection_probabilities(scores, accepted))
    poses[~accepted] = torch.nan
    chosen = select(poses, scores, "softam", generator())
    torch.testing.assert_close(chosen, expected)


@pytest.mark.parametrize("selection", ["argmax", "softam", "dsac"])
def test_selection_from_nothing_does_not_fail(selection: str) -> None:
    poses = random_poses(2, 4)
    scores = torch.zeros(2, 4, dtype=torch.float64)
    scores[0] = -torch.inf
    chosen = select(poses, scores, selection, generator())
    assert chosen.shape == (2, 3, 4)
    assert chosen.isfinite().all()


def test_dsac_selects_by_probability_and_the_generator_decides() -> None:
    poses = random_poses(1, 4).expand(4000, -1, -1, -1)
    scores = torch.tensor([[0.0, 1.0, -torch.inf, 2.0]], dtype=torch.float64).expand(4000, -1)
    chosen = select(poses, scores, "dsac", generator(3))
    same = (chosen[:, None] == poses).all(dim=3).all(dim=2)
    assert (same.sum(dim=1) == 1).all()
    frequency = same.double().mean(dim=0).numpy()
    expected = softmax([0.0, 1.0, -np.inf, 2.0])
    np.testing.assert_allclose(frequency, expected, atol=4 * np.sqrt(0.25 / 4000))
    assert frequency[2] == 0.0
    assert torch.equal(select(poses, scores, "dsac", generator(3)), chosen)
    assert not torch.equal(select(poses, scores, "dsac", generator(4)), chosen)


def test_draws_are_as_frequent_as_they_are_probable() -> None:
    probabilities = torch.tensor(
        [[0.0, 0.1, 0.0, 0.6, 0.3, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1 / 6] * 6],
        dtype=torch.float64,
    )
    count = 100_000
    drawn = draw_hypotheses(probabilities, count, generator())
    assert drawn.shape == (3, count)
    for image in range(3):
        frequency = np.bincount(drawn[image].numpy(), minlength=6) / count
        expected = probabilities[image].numpy()
        # Four standard deviations, and what has no probability is never drawn.
        deviation = np.sqrt(expected * (1 - expected) / count)
        assert (np.abs(frequency - expected) <= 4 * deviation + 1e-12).all()


def test_draws_need_no_normalised_probabilities_and_single_precision_is_enough() -> None:
    probabilities = torch.tensor([[1.0, 2.0, 1.0]])
    halves = draw_hypotheses(probabilities / 4, 1000, generator())
    assert torch.equal(draw_hypotheses(probabilities, 1000, generator()), halves)
    many = torch.full((1, 5000), 1 / 5000)
    drawn = draw_hypotheses(many, 20_000, generator())
    assert drawn.max() < 5000
    assert np.bincount(drawn[0].numpy(), minlength=5000).max() < 25


def test_the_generator_decides_the_draws_and_moves_on() -> None:
    probabilities = torch.full((2, 10), 0.1)
    one = generator(1)
    first, second = (draw_hypotheses(probabilities, 50, one) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(123)  # the global state is nobody's
    assert torch.equal(draw_hypotheses(probabilities, 50, generator(1)), first)


def test_draws_from_nothing_are_of_something() -> None:
    drawn = draw_hypotheses(torch.zeros(2, 4), 10, generator())
    assert ((drawn >= 0) & (drawn < 4)).all()


@pytest.mark.parametrize("place", [0.0, 1.0 - 2.0**-24])
def test_the_ends_of_chance_draw_nothing_improbable(
    place: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size, place))
    probabilities = torch.tensor([[0.0, 0.3, 0.7, 0.0], [1.0, 0.0, 0.0, 0.0]])
    expected = [1, 0] if place == 0.0 else [2, 0]
    assert draw_hypotheses(probabilities, 1, generator())[:, 0].tolist() == expected
