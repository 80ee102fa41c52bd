# SPDX-License-Identifier: Apache-2.0
"""Which views are chosen as neighbours of one, in arrangements where it is plain."""

from __future__ import annotations

import math

import torch

from dsac_core.geometry.neighbours import choose_neighbours


def looking_ahead(count: int) -> torch.Tensor:
    return torch.tensor([0.0, 0.0, 1.0]).expand(count, 3).clone()


def along_x(*places: float) -> torch.Tensor:
    return torch.tensor([[place, 0.0, 0.0] for place in places])


def test_the_distance_that_is_wanted_comes_first() -> None:
    centres = along_x(0.0, 0.02, 0.31, 0.8, 0.1)
    chosen = choose_neighbours(centres, looking_ahead(5), 0, baseline=0.3, count=1)
    assert chosen == [2]
    chosen = choose_neighbours(centres, looking_ahead(5), 0, baseline=0.7, count=1)
    assert chosen == [3]


def test_a_view_is_not_its_own_neighbour_and_none_comes_twice() -> None:
    centres = along_x(*(0.05 * n for n in range(20)))
    chosen = choose_neighbours(centres, looking_ahead(20), 7, baseline=0.2, count=50)
    assert 7 not in chosen
    assert len(chosen) == len(set(chosen)) > 8


def test_so_many_are_chosen_at_most() -> None:
    centres = along_x(*(0.1 * n for n in range(20)))
    assert len(choose_neighbours(centres, looking_ahead(20), 3, baseline=0.2, count=4)) == 4
    assert choose_neighbours(centres, looking_ahead(20), 3, baseline=0.2, count=0) == []
    assert choose_neighbours(centres[:1], looking_ahead(1), 0, baseline=0.2, count=4) == []


def test_too_far_and_from_one_place_are_none() -> None:
    """More than e squared times as near or as far as is wanted."""
    centres = along_x(0.0, 0.0, 0.02, 0.05, 1.5, 4.0)
    chosen = choose_neighbours(centres, looking_ahead(6), 0, baseline=0.3, count=5)
    assert sorted(chosen) == [3, 4]


def test_who_looks_the_other_way_is_none() -> None:
    turns = [math.radians(degrees) for degrees in (0, 5, 30, 60, 180)]
    axes = torch.tensor([[math.sin(turn), 0.0, math.cos(turn)] for turn in turns])
    centres = along_x(0.0, 0.3, -0.3, 0.29, -0.29)
    chosen = choose_neighbours(centres, axes, 0, baseline=0.3, count=4)
    assert chosen == [1, 2]


def test_a_smaller_turn_is_better_than_a_fitting_distance() -> None:
    """Twenty degrees cost as much as a distance that is e times too large."""
    turn = math.radians(25.0)
    axes = torch.tensor([[0.0, 0.0, 1.0], [math.sin(turn), 0.0, math.cos(turn)], [0.0, 0.0, 1.0]])
    for far, best in ((0.3 * math.exp(1.2), 2), (0.3 * math.exp(1.3), 1)):
        chosen = choose_neighbours(along_x(0.0, 0.3, far), axes, 0, baseline=0.3, count=1)
        assert chosen == [best]


def test_they_are_on_various_sides() -> None:
    """Three close together to the right fit best, one above fits less well: it comes second."""
    centres = torch.tensor([[0, 0, 0], [0.3, 0, 0], [0.3, 0.01, 0], [0.3, 0.02, 0], [0, 0.45, 0]])
    chosen = choose_neighbours(centres, looking_ahead(5), 0, baseline=0.3, count=4)
    assert chosen[:2] == [1, 4]
    assert sorted(chosen) == [1, 2, 3, 4]


def test_some_views_are_left_out() -> None:
    centres = along_x(0.0, 0.3, -0.3, 0.4, -0.4)
    without = torch.tensor([1, 4])
    chosen = choose_neighbours(centres, looking_ahead(5), 0, baseline=0.3, count=4, without=without)
    assert sorted(chosen) == [2, 3]
