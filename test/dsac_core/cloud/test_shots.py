# SPDX-License-Identifier: Apache-2.0
"""Relocalized images say how far off they are, in words and colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recordings import Recording
from stand_in import CAMERA, KnowingNetwork, known_scene, pose_near

from dsac_core.cloud.shots import colour_of_error, relocalized_shots
from dsac_core.data.frame import ALL, Frame
from dsac_core.relocalizer import Relocalizer

POSE = pose_near(3)


def frames(count: int) -> Recording:
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    moved = []
    for index in range(count):
        pose = POSE.copy()
        pose[0, 3] += 0.1 * index
        moved.append(Frame(f"{index}", 0.0, image, CAMERA, pose))
    return Recording(moved)


def test_errors_are_those_in_the_frame_of_the_map() -> None:
    map_T_scene = pose_near(4)
    scene = known_scene(KnowingNetwork(CAMERA, POSE), map_T_scene=map_T_scene)
    shots = relocalized_shots(Relocalizer(scene), frames(6), ALL, 3)
    assert [shot.name for shot in shots] == ["1", "3", "5"]
    for shot, metres in zip(shots, (0.1, 0.3, 0.5), strict=True):
        assert shot.errors == pytest.approx((metres, 0.0), abs=2e-3)
        np.testing.assert_allclose(shot.estimate, map_T_scene @ POSE, atol=2e-3)
    assert shots[0].in_words().startswith("10.0 cm, 0.0° off: 48 of 48 usable cells agree")
    assert shots[0].colour == colour_of_error(shots[0].errors[0])
    assert shots[2].colour == colour_of_error(9.0)


def test_thumbnails_keep_the_shape_of_the_image() -> None:
    wide = replace(CAMERA, width=640, height=320, fx=600.0, fy=620.0, cx=300.0, cy=170.0)
    image = np.zeros((320, 640, 3), np.uint8)
    image[:, 320:] = 200
    recording = Recording([Frame("wide", 0.0, image, wide, POSE)])
    (shot,) = relocalized_shots(Relocalizer(known_scene(KnowingNetwork())), recording, ALL, 5)
    assert shot.image.shape == (80, 160, 3)
    assert (shot.image[0, 0, 0], shot.image[0, -1, 0]) == (0, 200)


def test_what_is_not_localized_is_gray() -> None:
    scene = known_scene(KnowingNetwork(CAMERA, POSE))
    (shot,) = relocalized_shots(Relocalizer(scene), frames(1), ALL, 1)
    lost = replace(shot, localized=False)
    none = replace(shot, localized=False, estimate=None, reason="nothing agrees")
    assert lost.colour == none.colour != shot.colour
    assert len(set(lost.colour)) == 1
    assert lost.in_words().startswith("not localized, 0.0 cm")
    assert none.in_words() == "no pose: nothing agrees"
    assert none.errors == (np.inf, np.inf)


def test_colours_go_from_green_to_red() -> None:
    good, fair, bad = (colour_of_error(metres) for metres in (0.0, 0.1, 0.25))
    assert good[1] > 2 * good[0]
    assert min(fair[:2]) > 5 * fair[2]
    assert bad[0] > 5 * bad[1]
    assert colour_of_error(np.inf) == bad
    between = colour_of_error(0.05)
    assert good[0] < between[0] < fair[0]
