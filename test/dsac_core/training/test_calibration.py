# SPDX-License-Identifier: Apache-2.0
"""Calibration from estimates that are made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dsac_core.data.frame import Frame
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera
from dsac_core.progress import silent
from dsac_core.relocalizer import PoseEstimate
from dsac_core.scene.confidence import Evidence
from dsac_core.scene.scene_map import Calibration, SceneMap
from dsac_core.training import calibration as module
from dsac_core.training.calibration import calibrate, calibrate_map
from dsac_core.training.fit_covariance import USUAL_SCALE

PROVISIONAL = Calibration(0.05, 0.5, 1.0)
CAMERA = Camera(64, 48, 50.0, 50.0, 30.0, 23.5)


def frame(name: str) -> Frame:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :10] = 200
    return Frame(name, 0.0, image, CAMERA, np.eye(4))


def estimate(rigid: Any, error: float, inliers: int, sigma: float = 0.001) -> PoseEstimate:
    """Spread over the image, as far as it agrees."""
    pose = rigid([error, 0.0, 0.0])
    covariance = np.diag(np.full(6, sigma**2))
    return PoseEstimate(
        pose, covariance, True, inliers, 1000, 0.5, "", inliers / 1000, min(1.0, inliers / 200)
    )


def is_mirror_image(seen: Frame) -> bool:
    return bool(seen.image[0, -1, 0] == 200)


def is_straight(seen: Frame) -> bool:
    return np.array_equal(seen.image, frame("").image)


def of_kinds(
    rigid: Any, straight: PoseEstimate, hard: int = 300, mirror: int = 80
) -> Callable[[Frame], PoseEstimate]:
    """Held-out views as given, harder and mirrored ones with so many inliers."""

    def relocalize(seen: Frame) -> PoseEstimate:
        if is_straight(seen):
            return straight
        if is_mirror_image(seen):
            return estimate(rigid, 3.0, mirror, sigma=0.01)
        return estimate(rigid, 0.03, hard, sigma=0.002)

    return relocalize


def calibrated(
    relocalize: Callable[[Frame], PoseEstimate], frames: int = 12
) -> tuple[Calibration, dict[str, float]]:
    result = calibrate(PROVISIONAL, [frame(str(i)) for i in range(frames)], relocalize)
    assert result is not None
    return result


def test_good_views_are_localized_and_mirror_images_are_not(rigid: Any) -> None:
    calibration, record = calibrated(of_kinds(rigid, estimate(rigid, 0.01, 500)))
    assert calibration.min_reliability == 0.05
    assert 0.08 < calibration.min_support < 0.25
    assert calibration.localizes(Evidence(0.5, 1.0, 0.02))
    assert not calibration.localizes(Evidence(0.08, 0.4, 0.2))
    assert record["held_out_views"] == record["held_out_localized_10cm_5deg"] == 12
    assert record["held_out_localized"] == 12
    assert record["mirror_images_localized"] == 0
    assert record["held_out_median_cm"] == pytest.approx(1.0)
    assert record["held_out_median_deg"] == pytest.approx(0.0, abs=1e-6)


def test_where_a_place_is_like_its_mirror_image_good_views_stay_localized(rigid: Any) -> None:
    calibration, _ = calibrated(of_kinds(rigid, estimate(rigid, 0.01, 500), mirror=450))
    assert calibration.min_support <= 0.25


def test_failing_views_make_a_map_modest(rigid: Any) -> None:
    """Of the views with this evidence only one in twelve is right."""
    good, wrong = estimate(rigid, 0.01, 300), estimate(rigid, 1.0, 300)
    seen = iter([good, *[wrong] * 11])
    others = of_kinds(rigid, good)

    def relocalize(view: Frame) -> PoseEstimate:
        return next(seen) if is_straight(view) else others(view)

    modest, record = calibrated(relocalize)
    sure, _ = calibrated(others)
    assert record["held_out_localized_10cm_5deg"] == 1
    evidence = Evidence(0.3, 1.0, 0.03)
    assert modest.confidence_in(evidence) < sure.confidence_in(evidence) - 0.1


@pytest.mark.parametrize(("sigma", "surer"), [(0.001, False), (0.0001, True)])
def test_the_scale_grows_where_errors_are_larger_than_said(
    sigma: float, surer: bool, rigid: Any
) -> None:
    calibration, record = calibrated(of_kinds(rigid, estimate(rigid, 0.05, 500, sigma)), 40)
    if not surer:
        assert calibration.covariance_scale >= USUAL_SCALE
    else:
        assert calibration.covariance_scale > 10 * USUAL_SCALE
    assert record["held_out_normalised_error"] == pytest.approx(6.0, rel=0.25)


@pytest.mark.parametrize("kind", ["none", "wrong", "infinite"])
def test_a_map_that_localizes_nothing_is_none(kind: str, rigid: Any) -> None:
    def relocalize(_: Frame) -> PoseEstimate:
        if kind == "none":
            return PoseEstimate(None, None, False, 0, 100, 0.0, "")
        return estimate(
            rigid, 1.0 if kind == "wrong" else 0.01, 500, 1.0 if kind == "wrong" else np.inf
        )

    assert calibrate(PROVISIONAL, [frame("a")], relocalize) is None


def test_most_views_without_a_pose_have_no_median(rigid: Any) -> None:
    nothing = PoseEstimate(None, None, False, 0, 100, 0.0, "")
    seen = iter([estimate(rigid, 0.01, 500), nothing, nothing])
    others = of_kinds(rigid, nothing)
    _, record = calibrated(lambda view: next(seen) if is_straight(view) else others(view), 3)
    assert "held_out_median_cm" not in record
    assert all(np.isfinite(value) for value in record.values())


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("depth", [True, False])
def test_each_kind_of_pose_keeps_its_weight_of_landmarks(
    colour: bool, depth: bool, scene_map: SceneMap, rigid: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them localizes anything."""

    def weigh(scene: SceneMap, *_: Any) -> SceneMap:
        by_colour, by_depth = (replace(PROVISIONAL, landmark_weight=w) for w in (7.0, 9.0))
        return replace(scene, calibration=by_colour, depth_calibration=by_depth)

    def relocalizer(*_: Any, **__: Any) -> Callable[..., PoseEstimate]:
        def relocalize(image: Any, camera: Camera, measured: Any) -> PoseEstimate:
            right = colour if measured is None else depth
            return estimate(rigid, 0.01 if right else 3.0, 500)

        return relocalize

    monkeypatch.setattr(module, "weigh_landmarks", weigh)
    monkeypatch.setattr(module, "Relocalizer", relocalizer)
    held_out = [replace(frame(str(i)), depth=np.ones((48, 64), np.float32)) for i in range(4)]
    if not (colour or depth):
        with pytest.raises(DatasetError, match="no held-out frame was localized"):
            calibrate_map(scene_map, held_out, torch.device("cpu"), silent)
        return
    checked = calibrate_map(scene_map, held_out, torch.device("cpu"), silent)
    assert checked.calibration.landmark_weight == 7.0
    assert (checked.depth_calibration is not None) == depth
    if checked.depth_calibration is not None:
        assert checked.depth_calibration.landmark_weight == 9.0
