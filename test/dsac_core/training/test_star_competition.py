# SPDX-License-Identifier: Apache-2.0
"""Candidates that overlap: who wins, and who joins a winner."""

from __future__ import annotations

import torch

from dsac_core.solvers.triangulation import Views
from dsac_core.training.star_competition import SightedPixels, Stars, compete

FOCAL = 100.0
POINTS = torch.tensor([[0.0, 0.0, 4.0], [1.0, 0.0, 4.0], [0.0, 1.0, 4.0], [1.0, 1.0, 4.0]]).double()
VIEWS = 5


def views() -> Views:
    """Cameras in a row that look along z."""
    shift = torch.zeros(VIEWS, 3).double()
    shift[:, 0] = -0.1 * torch.arange(VIEWS)
    return Views(torch.eye(3).double().repeat(VIEWS, 1, 1), shift, torch.full((VIEWS, 2), FOCAL))


def sightings(shown: list[tuple[int, int]]) -> SightedPixels:
    """Where views see points: pairs of view and point."""
    view = torch.tensor([view for view, _ in shown])
    moved = POINTS[[point for _, point in shown]] + views().translation_M3[view]
    return SightedPixels(FOCAL * moved[:, :2] / moved[:, 2:], view)


def stars(points: list[int], ranks: list[float], keypoints: list[list[int]]) -> Stars:
    return Stars(POINTS[points], torch.tensor(ranks, dtype=torch.float64), torch.tensor(keypoints))


def test_the_better_of_two_wins_what_both_have_and_the_other_one_is_left_with_too_little() -> None:
    seen = sightings([(0, 0), (1, 0), (2, 0), (3, 1)])
    both = stars([1, 0], [2.0, 3.0], [[2, 3, -1], [0, 1, 2]])
    points, owner = compete(both, seen, views(), max_error=1.0)
    torch.testing.assert_close(points, POINTS[[0]])
    assert owner.tolist() == [0, 0, 0, -1]


def test_what_is_left_of_a_star_joins_the_winner_that_it_agrees_with() -> None:
    """Keypoint 3 shows the winner's point, keypoint 4 another one."""
    seen = sightings([(0, 0), (1, 0), (2, 0), (3, 0), (4, 3)])
    both = stars([0, 0], [3.0, 2.5], [[0, 1, 2], [2, 3, 4]])
    points, owner = compete(both, seen, views(), max_error=1.0)
    assert len(points) == 1
    assert owner.tolist() == [0, 0, 0, 0, -1]


def test_nothing_joins_a_point_behind_its_camera() -> None:
    seen = sightings([(0, 0), (1, 0), (2, 0)])
    behind = stars([0, 0], [3.0, 2.0], [[0, 1, -1], [1, 2, -1]])
    turned = views()
    turned.rotation_M33[2] = torch.diag(torch.tensor([-1.0, -1.0, -1.0])).double()
    turned.translation_M3[2] *= -1.0
    _, owner = compete(behind, seen, turned, max_error=1.0)
    assert owner.tolist() == [0, 0, -1]


def test_a_star_that_gave_way_wins_a_later_round_with_what_is_its_own() -> None:
    """The first takes keypoint 2; of the second two are left, which show its own point."""
    seen = sightings([(0, 0), (1, 0), (2, 0), (3, 1), (4, 1)])
    both = stars([0, 1], [3.0, 2.5], [[0, 1, 2], [3, 4, 2]])
    points, owner = compete(both, seen, views(), max_error=1.0)
    torch.testing.assert_close(points, POINTS[[0, 1]])
    assert owner.tolist() == [0, 0, 0, 1, 1]


def test_equals_are_decided_and_stars_without_overlap_all_win() -> None:
    seen = sightings([(0, 0), (1, 0), (2, 2), (3, 2)])
    same = stars([0, 0, 2], [2.0, 2.0, 2.0], [[0, 1], [0, 1], [2, 3]])
    points, owner = compete(same, seen, views(), max_error=1.0)
    torch.testing.assert_close(points, POINTS[[0, 2]])
    assert owner.tolist() == [0, 0, 1, 1]


def test_one_keypoint_is_enough_for_a_star_of_depth_alone() -> None:
    """But not for one that lost its others."""
    seen = sightings([(0, 3), (1, 0), (2, 0), (3, 1)])
    three = stars([3, 0, 1], [1.0, 3.0, 2.0], [[0, -1], [1, 2], [3, 2]])
    points, owner = compete(three, seen, views(), max_error=1.0)
    assert sorted(points.tolist()) == sorted(POINTS[[0, 3]].tolist())
    assert owner[0] >= 0
    assert owner[3] == -1


def test_no_stars_no_points() -> None:
    nothing = Stars(POINTS[:0], torch.zeros(0).double(), torch.full((0, 3), -1))
    points, owner = compete(nothing, sightings([(0, 0)]), views(), max_error=1.0)
    assert len(points) == 0
    assert owner.tolist() == [-1]
