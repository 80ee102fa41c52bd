# SPDX-License-Identifier: Apache-2.0
"""Mutual nearest neighbours against a plain loop."""

from __future__ import annotations

import pytest
import torch

from dsac_core.landmarks.mutual_nearest import mutual_nearest


def plainly(similarity: torch.Tensor, least: float) -> list[tuple[int, int]]:
    found = []
    for row in range(similarity.shape[0]):
        column = int(similarity[row].argmax())
        if int(similarity[:, column].argmax()) == row and similarity[row, column] >= least:
            found.append((row, column))
    return found


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (1, 7), (7, 1)])
@pytest.mark.parametrize("least", [-2.0, 0.0, 0.97])
def test_they_are_those_of_a_loop(shape: tuple[int, int], least: float) -> None:
    similarity = 2 * torch.rand(shape, generator=torch.Generator().manual_seed(1)) - 1
    rows, columns = mutual_nearest(similarity.clone(), least)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == plainly(similarity, least)


def test_what_one_side_alone_prefers_is_no_match() -> None:
    similarity = torch.tensor([[0.9, 0.1], [0.95, 0.2]])
    rows, columns = mutual_nearest(similarity, 0.5)
    assert (rows.tolist(), columns.tolist()) == ([1], [0])


def test_the_least_similarity_is_enough() -> None:
    similarity = torch.tensor([[0.5, 0.0], [0.0, 0.4999]])
    rows, columns = mutual_nearest(similarity, 0.5)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_of_equals_one_is_matched() -> None:
    """As in an image in which something repeats, or where similarities are rounded."""
    generator = torch.Generator().manual_seed(2)
    similarity = (8 * torch.rand(50, 30, generator=generator)).round() / 8
    for each in (similarity, torch.ones(5, 7), torch.ones(7, 5)):
        rows, columns = mutual_nearest(each, 0.9)
        assert len(rows) > 0
        assert len(rows.unique()) == len(columns.unique()) == len(rows) == len(columns)
        assert (each[rows, columns] == 1).all()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_nothing_matches_nothing(shape: tuple[int, int]) -> None:
    rows, columns = mutual_nearest(torch.zeros(shape), 0.0)
    assert rows.tolist() == columns.tolist() == []
    assert rows.dtype == columns.dtype == torch.long
