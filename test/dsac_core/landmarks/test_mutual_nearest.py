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


def descriptors(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=1)


@pytest.mark.parametrize(
    "shape", [(40, 60), (60, 40), (1, 7), (7, 1), (500, 3), (1203, 70), (70, 1203)]
)
@pytest.mark.parametrize("least", [-2.0, 0.0, 0.97])
def test_they_are_those_of_a_loop(shape: tuple[int, int], least: float) -> None:
    one, other = descriptors(shape[0], 1), descriptors(shape[1], 2)
    rows, columns = mutual_nearest(one, other, least)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == plainly(one @ other.T, least)


def test_what_is_excluded_matches_something_else_or_nothing() -> None:
    one, other = descriptors(1203, 1), descriptors(70, 2)
    generator = torch.Generator().manual_seed(3)
    excluded = (torch.rand(1203, 70, generator=generator) < 0.5).float()
    rows, columns = mutual_nearest(one, other, 0.5, excluded.__getitem__)
    wanted = plainly(one @ other.T - 3.0 * excluded, 0.5)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == wanted
    assert wanted != plainly(one @ other.T, 0.5)
    assert mutual_nearest(one, other, -1.0, torch.ones(1203, 70).__getitem__)[0].tolist() == []


def test_in_bfloat16_as_rounded() -> None:
    """Each has more than one that is most similar then; those that are found are among them."""
    one, other = descriptors(1203, 1).bfloat16(), descriptors(70, 2).bfloat16()
    rows, columns = mutual_nearest(one, other, 0.5)
    similarity = (one @ other.T).float()
    assert len(rows) > 20
    assert torch.equal(similarity[rows, columns], similarity.amax(dim=0)[columns])
    assert torch.equal(similarity[rows, columns], similarity.amax(dim=1)[rows])


def test_what_one_side_alone_prefers_is_no_match() -> None:
    similarity = torch.tensor([[0.9, 0.1], [0.95, 0.2]])
    rows, columns = mutual_nearest(similarity, torch.eye(2), 0.5)
    assert (rows.tolist(), columns.tolist()) == ([1], [0])


def test_the_least_similarity_is_enough() -> None:
    similarity = torch.tensor([[0.5, 0.0], [0.0, 0.4999]])
    rows, columns = mutual_nearest(similarity, torch.eye(2), 0.5)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_of_equals_one_is_matched() -> None:
    """As in an image in which something repeats, or where similarities are rounded."""
    generator = torch.Generator().manual_seed(2)
    similarity = (8 * torch.rand(50, 30, generator=generator)).round() / 8
    for each in (similarity, torch.ones(5, 7), torch.ones(7, 5), torch.ones(1100, 3)):
        rows, columns = mutual_nearest(each, torch.eye(each.shape[1]), 0.9)
        assert len(rows) > 0
        assert len(rows.unique()) == len(columns.unique()) == len(rows) == len(columns)
        assert (each[rows, columns] == 1).all()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_nothing_matches_nothing(shape: tuple[int, int]) -> None:
    rows, columns = mutual_nearest(torch.zeros(shape[0], 4), torch.zeros(shape[1], 4), 0.0)
    assert rows.tolist() == columns.tolist() == []
    assert rows.dtype == columns.dtype == torch.long
