# SPDX-License-Identifier: Apache-2.0
"""The picture for people: marks where they belong, text that fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsac_ros.debug_image import STATE_COLOURS, Caption, draw_debug_image, error_colours
from dsac_ros.reprojection import Reprojection
from dsac_ros.state import State

GREY = np.full((240, 320, 3), 90, np.uint8)
CAPTION = Caption(State.LOCALIZED, "office", 120, 300, 0.97, 0.061, "120 of 300 cells agree")
ABOVE_BAR = 200  # rows


def one(pixel: tuple[float, float], error: float, *, landmark: bool = False) -> Reprojection:
    """A single correspondence whose point is ``error`` px to the right."""
    pixels = np.array([pixel])
    return Reprojection(
        pixels_N2=pixels,
        points_N3=np.zeros((1, 3)),
        landmarks_N=np.array([landmark]),
        projected_N2=pixels + np.array([error, 0.0]),
        errors_N=np.array([error]),
        threshold=10.0,
    )


def changed(drawn: np.ndarray) -> np.ndarray:
    """Where [H x W] the upper part differs from a picture without marks."""
    plain = draw_debug_image(GREY, None, CAPTION)
    return np.asarray((drawn != plain).any(axis=2)[:ABOVE_BAR])


def test_the_image_given_is_left_alone() -> None:
    before = GREY.copy()
    drawn = draw_debug_image(GREY, one((50, 60), 3.0), CAPTION)
    assert (before == GREY).all()
    assert drawn.shape == GREY.shape
    assert drawn.dtype == np.uint8


def test_a_mark_is_where_the_pixel_is_and_its_line_goes_to_the_projection() -> None:
    drawn = draw_debug_image(GREY, one((50, 60), 8.0), CAPTION)
    row, column = np.nonzero(changed(drawn))
    assert set(row) <= set(range(58, 63))
    assert column.min() >= 48
    assert column.max() == 58
    assert (drawn[60, 50] == error_colours(np.array([8.0]), 10.0)[0]).all()


def test_outliers_have_no_line_and_let_the_image_through() -> None:
    outlier = draw_debug_image(GREY, one((50, 60), 11.0), CAPTION)
    assert np.nonzero(changed(outlier))[1].max() < 55
    brighter = GREY + np.uint8(80)
    inlier = draw_debug_image(brighter, one((50, 60), 9.0), CAPTION)
    assert (inlier[60, 50] == draw_debug_image(GREY, one((50, 60), 9.0), CAPTION)[60, 50]).all()
    assert (
        draw_debug_image(brighter, one((50, 60), 11.0), CAPTION)[60, 50] > outlier[60, 50]
    ).all()


def test_landmarks_look_different() -> None:
    cell = changed(draw_debug_image(GREY, one((50, 60), 0.0), CAPTION))
    landmark = changed(draw_debug_image(GREY, one((50, 60), 0.0, landmark=True), CAPTION))
    assert cell[60, 50]
    assert landmark.sum() > cell.sum()
    assert landmark[60, 50 + 2]  # its outline at half the usual size
    assert not cell[60, 50 + 2]


@pytest.mark.parametrize("pixel", [(0, 0), (319, 239), (-4.6, 100), (330, 3), (160, 0)])
def test_marks_at_the_edge_stay_inside(pixel: tuple[float, float]) -> None:
    for landmark in (False, True):
        draw_debug_image(GREY, one(pixel, 9.0, landmark=landmark), CAPTION)


def test_colours_go_from_green_to_red() -> None:
    good, _, bad, beyond = error_colours(np.array([0.0, 5.0, 10.0, np.inf]), 10.0).astype(int)
    assert good[1] > good[0]
    assert bad[0] > bad[1]
    assert (bad == beyond).all()


@pytest.mark.parametrize("state", State)
def test_the_bar_has_the_colour_of_the_state(state: State) -> None:
    drawn = draw_debug_image(GREY, None, replace(CAPTION, state=state))
    assert (drawn[-1, 0] == STATE_COLOURS[state]).all()


@pytest.mark.parametrize("shape", [(480, 640, 3), (720, 1280, 3), (96, 128), (20, 16), (1, 1)])
def test_any_size_grey_or_colour_and_a_reason_without_end(shape: tuple[int, ...]) -> None:
    reason = "no consistent pose – «nothing» matched " * 20
    nowhere = one((5, 5), np.inf)
    nowhere = replace(nowhere, projected_N2=np.full((1, 2), np.nan))
    drawn = draw_debug_image(np.zeros(shape, np.uint8), nowhere, replace(CAPTION, reason=reason))
    assert drawn.shape == (*shape[:2], 3)


def test_text_ends_before_the_edge() -> None:
    short = draw_debug_image(GREY, None, CAPTION)
    long = draw_debug_image(GREY, None, replace(CAPTION, reason="word " * 100))
    assert (short != long).any()
    assert (short[:, -6:] == long[:, -6:]).all()
