# SPDX-License-Identifier: Apache-2.0
"""Poses from cells and landmarks together: what each adds, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from landmark_scene import (
    LANDMARK_CAMERA,
    KnownView,
    RecallingHead,
    known_view,
    landmark_scene,
    lost,
)

from dsac_core.errors import ConfigError
from dsac_core.regression import Sources
from dsac_core.relocalizer import PoseEstimate, Relocalizer
from dsac_core.scene.scene_map import Calibration, SceneMap

BARREL = replace(
    LANDMARK_CAMERA, distortion_model="plumb_bob", distortion=(-0.2, 0.04, 0.001, -0.001, 0.0)
)
CALIBRATION = Calibration(0.0, min_support=0.3, covariance_scale=1.0)


@pytest.fixture(scope="module")
def view() -> KnownView:
    return known_view()


def relocalize(
    scene: SceneMap, view: KnownView, depth: np.ndarray | None = None, **options: Any
) -> PoseEstimate:
    return Relocalizer(scene, **options)(view.image, view.camera, depth)


def error(estimate: PoseEstimate, truth: np.ndarray) -> float:
    """The largest difference in metres, or of a rotation matrix."""
    assert estimate.world_T_cam is not None
    return float(np.abs(estimate.world_T_cam - truth).max())


def weighing(weight: float) -> Calibration:
    return replace(CALIBRATION, landmark_weight=weight)


@pytest.mark.parametrize("camera", [LANDMARK_CAMERA, BARREL], ids=["pinhole", "barrel"])
@pytest.mark.parametrize("use", ["both", "regression", "landmarks"])
def test_each_source_gives_the_pose(use: Sources, camera: Any) -> None:
    view = known_view(camera)
    estimate = relocalize(landmark_scene(view), view, use=use)
    assert error(estimate, view.world_T_cam) < 1e-3
    assert estimate.localized
    of_cells = estimate.inliers - estimate.landmark_inliers
    matched = len(view.keypoints.pixels_K2)
    if use == "regression":
        assert estimate.landmark_inliers == 0
    else:
        assert 0.95 * matched < estimate.landmark_inliers <= matched
    assert of_cells == (0 if use == "landmarks" else 1200)
    words = {"both": "cells and landmarks", "regression": "cells", "landmarks": "landmarks"}[use]
    counts = f"{estimate.inliers} of {estimate.correspondences}"
    assert estimate.reason == f"{counts} usable {words} agree"


def test_landmarks_find_the_pose_where_the_head_is_lost(view: KnownView) -> None:
    scene = landmark_scene(view, regressor=lost(view.head))
    estimate = relocalize(scene, view)
    assert error(estimate, view.world_T_cam) < 5e-3
    assert estimate.landmark_inliers > 0.95 * len(view.keypoints.pixels_K2)
    assert estimate.inliers - estimate.landmark_inliers < 20  # of 1200 anywhere
    alone = relocalize(scene, view, use="regression")
    assert alone.world_T_cam is None
    assert alone.landmark_inliers == 0
    assert alone.reason == "no consistent pose among 1200 usable cells"


def test_the_head_finds_the_pose_where_landmarks_are_elsewhere(view: KnownView) -> None:
    landmarks = view.landmarks()
    shuffled = landmarks.points_L3.flip(0)
    scene = landmark_scene(view, landmarks=replace(landmarks, points_L3=shuffled))
    estimate = relocalize(scene, view)
    assert error(estimate, view.world_T_cam) < 5e-3
    assert estimate.landmark_inliers < 0.1 * len(shuffled)
    assert estimate.inliers - estimate.landmark_inliers > 1190


@pytest.mark.parametrize("weight", [0.5, 1.0, 3.0, 20.0])
def test_support_counts_weights(weight: float, view: KnownView) -> None:
    """The landmarks are right, the cells are not."""
    scene = landmark_scene(view, regressor=lost(view.head), calibration=weighing(weight))
    estimate = relocalize(scene, view)
    landmarks, cells = estimate.landmark_inliers, estimate.inliers - estimate.landmark_inliers
    agreeing = weight * landmarks + cells
    everything = 1200 + weight * (estimate.correspondences - 1200)
    assert estimate.support == pytest.approx(agreeing / everything, rel=1e-4)
    assert estimate.localized == (estimate.support > 0.3)
    assert estimate.score == pytest.approx(estimate.support, abs=0.05)


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_few_landmarks_are_little_support(weight: float, view: KnownView) -> None:
    """Keypoints that show none speak against the place."""
    few = landmark_scene(
        view, landmarks=view.landmarks(slice(0, 200, 10)), calibration=weighing(weight)
    )
    estimate = relocalize(few, view, use="landmarks")
    assert error(estimate, view.world_T_cam) < 5e-3
    assert estimate.correspondences <= 40
    keypoints = len(view.keypoints.pixels_K2)
    expected = estimate.landmark_inliers / keypoints
    assert estimate.support == pytest.approx(expected, rel=1e-4)
    assert estimate.support < 0.1
    asked = replace(few, calibration=replace(few.calibration, min_support=0.9))
    again = relocalize(asked, view, use="landmarks")
    assert not again.localized
    assert "usable landmarks agree: support" in again.reason
    assert again.reason.endswith("the map asks for 90%")


def test_nothing_matches_in_an_image_of_nothing(view: KnownView) -> None:
    empty = replace(view, image=np.full_like(view.image, 128))
    for use, words in (("landmarks", "landmarks"), ("both", "cells and landmarks")):
        scene = landmark_scene(view, regressor=lost(view.head))
        estimate = relocalize(scene, empty, use=use)
        assert estimate.world_T_cam is None
        assert not estimate.localized
        assert estimate.landmark_inliers == 0
        assert estimate.reason.startswith("no consistent pose among ")
        assert estimate.reason.endswith(f" usable {words}")
    with_depth = landmark_scene(view, depth_calibration=CALIBRATION)
    nothing = relocalize(with_depth, empty, view.depth, use="landmarks")
    assert nothing.world_T_cam is None


@pytest.mark.parametrize("use", ["both", "landmarks"])
def test_depth_is_used_for_landmarks_too(use: Sources, view: KnownView) -> None:
    """Cells are lost, and depth that is 2 % too long moves the pose."""
    scene = landmark_scene(
        view, regressor=lost(view.head), depth_calibration=replace(CALIBRATION, min_support=0.1)
    )
    good = relocalize(scene, view, view.depth, use=use)
    assert error(good, view.world_T_cam) < 0.01
    assert good.landmark_inliers > 0.9 * len(view.keypoints.pixels_K2)
    assert good.localized
    assert "depth" not in good.reason
    long = relocalize(scene, view, 1.02 * view.depth, use=use)
    assert error(long, view.world_T_cam) > 0.01
    scaled = replace(scene, depth_scale=1.0 / 1.02)
    assert error(relocalize(scaled, view, 1.02 * view.depth, use=use), view.world_T_cam) < 0.01


def test_each_kind_of_pose_has_its_weight_of_landmarks(view: KnownView) -> None:
    scene = landmark_scene(
        view, regressor=lost(view.head), calibration=weighing(1.0), depth_calibration=weighing(9.0)
    )
    for depth, weight in ((None, 1.0), (view.depth, 9.0)):
        estimate = relocalize(scene, view, depth)
        landmarks, cells = estimate.landmark_inliers, estimate.inliers - estimate.landmark_inliers
        of_landmarks = estimate.correspondences - 1200
        expected = (weight * landmarks + cells) / (weight * of_landmarks + 1200)
        assert estimate.support == pytest.approx(expected, rel=1e-3)
    without = replace(scene, depth_calibration=None)
    unused = relocalize(without, view, view.depth)
    assert unused.reason.endswith("; depth is not used, the map was made without it")
    assert unused.support == pytest.approx(relocalize(scene, view).support)


def test_too_little_depth_is_not_used_for_landmarks_either(view: KnownView) -> None:
    scene = landmark_scene(view, depth_calibration=CALIBRATION)
    little = np.zeros_like(view.depth)
    little[:8] = view.depth[:8]
    uses: tuple[Sources, ...] = ("both", "landmarks")
    for use in uses:
        estimate = relocalize(scene, view, little, use=use)
        assert estimate.reason.endswith("; depth is not used, there is too little of it")
        assert error(estimate, view.world_T_cam) < 1e-3


def test_a_map_whose_head_never_learned_localizes_by_its_landmarks(view: KnownView) -> None:
    scene = landmark_scene(view, regressor=lost(view.head), regression=False)
    estimate = relocalize(scene, view)
    assert error(estimate, view.world_T_cam) < 1e-3
    assert estimate.inliers == estimate.landmark_inliers
    assert estimate.reason.endswith("usable landmarks agree")
    with pytest.raises(ConfigError, match="only landmarks: map it with --regression on"):
        Relocalizer(scene, use="regression")
    with pytest.raises(ConfigError, match="map it with --landmarks on"):
        Relocalizer(replace(scene, regression=True, landmarks=None), use="landmarks")


def test_the_same_image_gives_the_same_pose(view: KnownView) -> None:
    relocalizer = Relocalizer(landmark_scene(view, regressor=lost(view.head)))
    first, second = (relocalizer(view.image, view.camera) for _ in range(2))
    np.testing.assert_array_equal(first.world_T_cam, second.world_T_cam)
    assert first.landmark_inliers == second.landmark_inliers
    assert {"keypoints", "match", "ransac"} <= set(first.timings)


def biased(view: KnownView, share: float) -> RecallingHead:
    """A head whose first cells agree on a camera 4 cm beside the true one; the others are lost."""
    points = lost(view.head).get_buffer("points").clone()
    count = int(share * len(points))
    beside = torch.tensor([0.04, 0.0, 0.0])
    points[:count] = view.head.get_buffer("points")[:count] + beside
    return RecallingHead(view.head.get_buffer("known"), points)


@pytest.mark.parametrize("with_depth", [False, True])
def test_landmarks_weigh_more_where_cells_agree_less_than_usual(
    with_depth: bool, view: KnownView
) -> None:
    """A half of the cells are wrong together, by less than the threshold."""
    depth = view.depth if with_depth else None
    scene = landmark_scene(view, regressor=biased(view, 0.5))

    def off(lead: float | None) -> float:
        calibration = replace(weighing(1.0), landmark_lead=lead)
        changed = replace(scene, calibration=calibration, depth_calibration=calibration)
        estimate = relocalize(changed, view, depth)
        assert estimate.landmark_inliers > 0.9 * len(view.keypoints.pixels_K2)
        return error(estimate, view.world_T_cam)

    never, usually_so, seldom = off(None), off(2.0), off(0.5)
    assert usually_so == never  # 2 is what half of the cells make
    assert never > 0.01
    assert seldom < 0.2 * never


def test_support_does_not_depend_on_the_weight_in_the_view(view: KnownView) -> None:
    scene = landmark_scene(view, regressor=lost(view.head), calibration=weighing(2.0))
    heavier = replace(scene, calibration=replace(weighing(2.0), landmark_lead=1.0))
    usual, again = relocalize(scene, view), relocalize(heavier, view)
    assert again.support == pytest.approx(usual.support, rel=0.02)
    assert again.score == pytest.approx(usual.score, rel=0.02)
