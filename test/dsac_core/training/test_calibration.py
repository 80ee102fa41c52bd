# SPDX-License-Identifier: Apache-2.0
"""Calibration from estimates that are made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dsac_core.data.frame import Frame
from dsac_core.geometry.camera import Camera
from dsac_core.relocalizer import PoseEstimate
from dsac_core.scene.scene_map import Calibration
from dsac_core.training.calibration import calibrate, mirrored, normalised_error_squared

PROVISIONAL = Calibration(0.05, 0.5, 1.0)
CAMERA = Camera(64, 48, 50.0, 50.0, 30.0, 23.5)


def frame(name: str) -> Frame:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :10] = 200
    return Frame(name, 0.0, image, CAMERA, np.eye(4))


def estimate(rigid: Any, error: float, inliers: int, sigma: float = 0.001) -> PoseEstimate:
    pose = rigid([error, 0.0, 0.0])
    covariance = np.diag(np.full(6, sigma**2))
    return PoseEstimate(pose, covariance, True, inliers, 1000, 0.5, "", support=inliers / 1000)


def is_mirror_image(seen: Frame) -> bool:
    return bool(seen.image[0, -1, 0] == 200)


def test_the_threshold_lies_between_chance_and_the_weak_good_ones(rigid: Any) -> None:
    def relocalize(seen: Frame) -> PoseEstimate:
        return estimate(rigid, 0.01, 80 if is_mirror_image(seen) else 500)

    calibrated = calibrate(PROVISIONAL, [frame(str(i)) for i in range(10)], relocalize)
    assert calibrated is not None
    calibration, record = calibrated
    assert 0.08 < calibration.min_support < 0.5
    assert calibration.min_reliability == 0.05
    assert record["held_out_localized_10cm_5deg"] == 10


def test_with_many_frames_the_scale_makes_the_mean_normalised_error_six(rigid: Any) -> None:
    calibration = calibrate_on_errors(rigid, [0.01, 0.02, 0.04] * 200)
    scaled = [(error / 0.001) ** 2 / calibration.covariance_scale for error in (0.01, 0.02, 0.04)]
    assert np.mean(scaled) == pytest.approx(6.0, rel=0.02)


def test_one_lucky_frame_does_not_make_a_map_sure_of_itself(rigid: Any) -> None:
    assert calibrate_on_errors(rigid, [1e-5]).covariance_scale > 10


def calibrate_on_errors(rigid: Any, errors: list[float]) -> Calibration:
    seen_errors = iter(np.repeat(errors, 2))  # straight and in the mirror

    def relocalize(_: Frame) -> PoseEstimate:
        return estimate(rigid, float(next(seen_errors)), 500)

    frames = [frame(str(index)) for index in range(len(errors))]
    calibrated = calibrate(PROVISIONAL, frames, relocalize)
    assert calibrated is not None
    return calibrated[0]


@pytest.mark.parametrize("kind", ["none", "wrong", "infinite"])
def test_a_map_that_localizes_nothing_is_none(kind: str, rigid: Any) -> None:
    def relocalize(_: Frame) -> PoseEstimate:
        if kind == "none":
            return PoseEstimate(None, None, False, 0, 100, 0.0, "")
        return estimate(
            rigid, 1.0 if kind == "wrong" else 0.01, 500, 1.0 if kind == "wrong" else np.inf
        )

    assert calibrate(PROVISIONAL, [frame("a")], relocalize) is None


def test_the_normalised_error_is_that_of_rep_103(rigid: Any) -> None:
    made = estimate(rigid, 0.02, 1, sigma=0.01)
    assert normalised_error_squared(made, np.eye(4)) == pytest.approx(4.0)


def test_a_mirror_image_and_its_camera() -> None:
    """A pixel at column u comes to 63 - u, and the principal point with it."""
    seen = frame("a")
    turned = mirrored(seen)
    np.testing.assert_array_equal(turned.image[:, 63 - 5], seen.image[:, 5])
    assert turned.camera.cx == 33.0
    np.testing.assert_array_equal(mirrored(turned).image, seen.image)
