# SPDX-License-Identifier: Apache-2.0
"""The a contrario test against SciPy's logarithms, and on data without meaning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import comb, gammaln, xlogy

import dsac_core.ransac.significance as module
from dsac_core.ransac.significance import is_significant


def log_expected(k: int, n: int, p: float, s: int) -> float:
    """Of how many poses have k of n inliers by chance."""
    binomials = [gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1) for a, b in ((n, k), (k, s))]
    return math.log(max(n - s, 1)) + sum(binomials) + xlogy(k - s, p)


def significant(k: int, n: int, p: float, s: int = 3) -> bool:
    return bool(is_significant(torch.tensor([k]), torch.tensor([n]), torch.tensor([p]), s)[0])


@pytest.mark.parametrize("size", [3, 4])
def test_the_decision_is_that_of_the_formula(size: int) -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(4, 5000, 3000)
    k = np.minimum(n, size + 1 + rng.geometric(0.1, 3000))
    p = 10.0 ** rng.uniform(-5, 0, 3000)
    given = (torch.from_numpy(values) for values in (k, n, p))
    found = is_significant(*given, size).numpy()
    logs = np.array([log_expected(*row, size) for row in zip(k, n, p, strict=True)])
    clear = (np.abs(logs - math.log(1e-6)) > 1e-6) & (k > size)
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], (logs < math.log(1e-6))[clear])
    assert 0.1 < found.mean() < 0.9


def test_the_formula_with_numbers_small_enough_to_count() -> None:
    """5 of 6, two to make a pose: (6 - 2) * 6 * 10 * p^3."""
    assert comb(6, 5) * comb(5, 2) == 60
    edge = (1e-6 / 240.0) ** (1 / 3)
    assert significant(5, 6, 0.999 * edge, s=2)
    assert not significant(5, 6, 1.001 * edge, s=2)


def test_more_inliers_are_never_less_significant() -> None:
    for n, p in ((20, 0.001), (300, 0.01), (4800, 0.004), (4800, 0.1)):
        k = torch.arange(0, n + 1)
        found = is_significant(k, torch.full_like(k, n), torch.full((n + 1,), p), 3)
        assert not found[0]
        assert found[-1]
        assert (found.int().diff() >= 0).all()


def test_fewer_correspondences_and_less_chance_are_never_less_significant() -> None:
    for k in (6, 12, 40):
        n = torch.arange(k, 3000)
        found = is_significant(torch.full_like(n, k), n, torch.full((len(n),), 0.004), 3)
        assert (found.int().diff() <= 0).all()
        p = torch.logspace(-12, 0, 500, dtype=torch.float64)
        count = torch.full((500,), 1000)
        found = is_significant(torch.full((500,), k), count, p, 3)
        assert (found.int().diff() <= 0).all()
        assert found[0] != found[-1]


@pytest.mark.parametrize("size", [3, 4])
def test_eight_of_eight_are_significant(size: int) -> None:
    """In an image of 640 x 480 px at 10 px, and in a room of some metres at 10 cm."""
    pixels = math.pi * 10.0**2 / (640.0 * 480.0)
    metres = 4 / 3 * math.pi * 0.1**3 / (3.0 * 3.0 * 2.0)
    assert significant(8, 8, pixels, size)
    assert significant(8, 8, metres, size)
    assert not significant(8, 4800, pixels, size)


def test_a_tenth_of_a_grid_is_significant_and_a_hundredth_is_not() -> None:
    pixels = math.pi * 10.0**2 / (640.0 * 480.0)
    assert significant(480, 4800, pixels)
    assert not significant(20, 4800, pixels)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_what_makes_a_pose_alone_is_not_significant(k: int) -> None:
    for n in (0, 1, 3, 8):
        assert not significant(k, n, 1e-12)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_nothing_is_significant_where_everything_fits(p: float) -> None:
    assert not significant(8, 8, p)
    assert not significant(4800, 4800, p)


def test_no_chance_at_all_is_no_failure() -> None:
    assert significant(8, 8, 0.0)
    assert significant(4800, 4800, 0.0)
    assert not significant(3, 8, 0.0)


def test_a_chance_that_is_not_a_number_is_not_significant() -> None:
    assert not significant(100, 100, math.nan)


def test_images_are_decided_one_by_one_in_single_precision_and_integers() -> None:
    k, n = torch.tensor([480, 20, 8]), torch.tensor([4800, 4800, 8])
    p = torch.tensor([1e-3, 1e-3, 1e-3])
    assert is_significant(k, n, p, 3).tolist() == [True, False, True]
    assert is_significant(k.int(), n.int(), p, 3).tolist() == [True, False, True]


def chance_inliers(
    rng: np.random.Generator, trials: int, count: int, radius: float
) -> torch.Tensor:
    """The most that agree on a shift between two sets of points anywhere in the unit square.

    One correspondence makes a shift; one of the others agrees with it, by chance, in a disk.
    """
    shifts = rng.uniform(size=(trials, count, 2)) - rng.uniform(size=(trials, count, 2))
    apart = np.linalg.norm(shifts[:, :, None] - shifts[:, None], axis=3)
    return torch.from_numpy((apart < radius).sum(axis=2).max(axis=1))


@pytest.mark.parametrize(("count", "radius"), [(8, 0.05), (30, 0.03), (30, 0.15)])
@pytest.mark.parametrize("allowed", [0.03, 0.3])
def test_false_alarms_are_as_rare_as_they_are_said_to_be(
    count: int, radius: float, allowed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Monte Carlo, with more allowed than in truth: else there would be none to count."""
    trials = 2000
    inliers = chance_inliers(np.random.default_rng(0), trials, count, radius)
    # The density of a difference of two points is at most 1.
    chance = torch.full((trials,), math.pi * radius**2)
    given = (inliers, torch.full_like(inliers, count), chance, 1)
    assert not is_significant(*given).any()
    monkeypatch.setattr(module, "_FALSE_ALARMS", allowed)
    rate = is_significant(*given).double().mean().item()
    assert rate < allowed + 3 * math.sqrt(allowed / trials)


def test_the_bound_on_false_alarms_is_not_far_from_what_happens() -> None:
    """Else it would refuse good poses: what happens once in 2000 images needs no 3 more inliers."""
    count, radius = 30, 0.05
    inliers = chance_inliers(np.random.default_rng(1), 2000, count, radius)
    most = int(inliers.max())
    assert log_expected(most + 3, count, math.pi * radius**2, 1) < math.log(1 / 2000)
