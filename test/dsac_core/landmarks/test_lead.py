# SPDX-License-Identifier: Apache-2.0
"""The lead of landmarks in a view, and the weight that follows from it."""

from __future__ import annotations

import pytest
import torch

from dsac_core.landmarks.lead import LARGEST_WEIGHT, landmark_lead, weight_in_view


def lead_of(cells: int, agreeing_cells: int, landmarks: int, agreeing: int) -> float | None:
    is_landmark = torch.arange(cells + landmarks) >= cells
    inliers = torch.zeros(cells + landmarks, dtype=torch.bool)
    inliers[:agreeing_cells] = True
    inliers[cells : cells + agreeing] = True
    return landmark_lead(inliers, is_landmark)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((200, 100, 40, 30), 1.5), ((200, 100, 40, 10), 0.5), ((200, 0, 40, 20), 100.0)],
)
def test_a_ratio_of_shares(counts: tuple[int, int, int, int], expected: float) -> None:
    assert lead_of(*counts) == pytest.approx(expected)


def test_few_landmarks_or_no_cells_tell_nothing() -> None:
    assert lead_of(200, 10, 9, 7) is None
    assert lead_of(200, 10, 9, 8) is not None
    assert lead_of(0, 0, 40, 40) is None


def test_more_than_the_usual_lead_makes_landmarks_heavier() -> None:
    assert weight_in_view(3.0, 1.5, 1.5) == 3.0
    assert weight_in_view(0.3, 1.5, 3.0) == pytest.approx(0.3 * 256.0)
    assert weight_in_view(3.0, 1.5, 30.0) == LARGEST_WEIGHT


def test_less_changes_nothing_and_a_heavy_one_stays() -> None:
    assert weight_in_view(3.0, 1.5, 0.2) == 3.0
    assert weight_in_view(2 * LARGEST_WEIGHT, 1.5, 3.0) == 2 * LARGEST_WEIGHT
