# SPDX-License-Identifier: Apache-2.0
"""Which frames are the worst, and what is seen when they are looked at again."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from judged import judged
from recordings import Recording
from stand_in import CAMERA, KnowingNetwork, known_scene, pose_near

from dsac_core.data.frame import ALL, Frame
from dsac_core.evaluation.evaluate import relocalize_all
from dsac_core.evaluation.metrics import FrameResult
from dsac_core.evaluation.report.worst_frames import (
    HOW_MANY,
    WorstFrame,
    look_again,
    overlay,
    worst_first,
)
from dsac_core.geometry.camera import Camera
from dsac_core.relocalizer import Relocalizer

POSE = pose_near(1)
PLUMB_BOB = replace(CAMERA, distortion_model="plumb_bob", distortion=(-0.2, 0.05, 0.0, 0.0))


def test_what_was_claimed_falsely_comes_before_silence_and_silence_before_inexactness() -> None:
    frames = [judged(i, 1.0) for i in range(8)]
    frames[0] = judged(0, math.inf)
    frames[3] = judged(3, 3.0, localized=False, confidence=0.4)
    frames[5] = judged(5, 8.0)
    frames[7] = judged(7, 30.0)
    assert worst_first(frames, 4) == [7, 0, 3, 5]


def test_neighbours_come_only_where_there_are_no_others() -> None:
    frames = [judged(i, 1.0) for i in range(200)]
    for index in range(100, 110):
        frames[index] = judged(index, 30.0 + index)
    chosen = worst_first(frames)
    assert len(chosen) == HOW_MANY
    assert chosen[0] == 109
    assert sorted(set(chosen) & set(range(100, 110))) != list(range(100, 110))
    assert sorted(worst_first(frames[:7])) == list(range(7))


def seen_again(
    camera: Camera, truth: np.ndarray, map_T_scene: np.ndarray | None = None
) -> tuple[WorstFrame, FrameResult]:
    """One frame of a scene that the map knows by heart, seen from POSE."""
    ideal = replace(camera, distortion_model="none", distortion=())
    network = KnowingNetwork(ideal, POSE)
    relocalizer = Relocalizer(known_scene(network, camera, map_T_scene=map_T_scene))
    image = np.full((camera.height, camera.width, 3), 120, dtype=np.uint8)
    recording = Recording([Frame("a", 0.0, image, camera, truth)])
    results = [result for _, _, result in relocalize_all(relocalizer, recording, ALL)]
    (view,) = look_again(relocalizer, recording, ALL, results)
    return view, results[0]


@pytest.mark.parametrize("camera", [CAMERA, PLUMB_BOB], ids=["pinhole", "lens"])
@pytest.mark.parametrize("map_T_scene", [np.eye(4), pose_near(7)], ids=["same", "moved"])
def test_scene_coordinates_that_are_right_land_where_they_were_seen(
    camera: Camera, map_T_scene: np.ndarray
) -> None:
    view, result = seen_again(camera, POSE, map_T_scene)
    assert result.localized
    assert result.usable
    assert view.by_truth.share_that_fits > 0.95
    assert len(view.by_truth.pixels_M2) > 20
    assert np.median(view.by_truth.errors_M) < 0.5
    offsets = view.by_truth.projected_M2 - view.by_truth.pixels_M2
    assert np.median(abs(offsets)) < 0.5
    cells = (camera.undistort(view.by_truth.pixels_M2) - 3.5) / 8
    assert cells == pytest.approx(np.rint(cells), abs=0.01)
    assert np.rint(cells).max(axis=0).tolist() == [7, 5]


def test_a_wrong_true_pose_is_told_from_a_map_that_does_not_know() -> None:
    elsewhere = POSE.copy()
    elsewhere[:3, 3] += POSE[:3, :3] @ [1.0, 0.0, 0.0]
    view, result = seen_again(CAMERA, elsewhere)
    assert result.false
    assert view.by_truth.share_that_fits < 0.1
    assert view.by_estimate is not None
    assert view.by_estimate.share_that_fits > 0.95


def test_the_image_is_kept_small() -> None:
    view, _ = seen_again(CAMERA.scaled(960, 720), POSE)
    image = cv2.imdecode(np.frombuffer(view.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert (image.shape[1], image.shape[0]) == view.size == (480, 360)
    assert view.brightness == pytest.approx(120.0, abs=2.0)
    assert (view.by_truth.pixels_M2 <= view.size).all()


def test_the_overlay_has_a_dot_for_each_point() -> None:
    view, _ = seen_again(CAMERA, POSE)
    dots = re.findall(r'class="at p(\d)" d="([^"]*)"', overlay(view.by_truth))
    assert sum(path.count("h0") for _, path in dots) == len(view.by_truth.errors_M)
    assert {int(step) for step, _ in dots} <= {0, 1}
