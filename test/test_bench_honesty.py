# SPDX-License-Identifier: Apache-2.0
"""The benchmark of honesty counts what it says it counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import CALIBRATION, CAMERA, KnowingNetwork, depth_image, known_scene, pose_near

from dsac_core.data.frame import Frame
from dsac_core.relocalizer import PoseEstimate

CAMERA_LARGE = CAMERA.scaled(320, 240)
TRUTH = pose_near(3)


@pytest.fixture
def honesty(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1])
    import bench.honesty

    monkeypatch.setattr(bench.honesty, "NOISE_IMAGES", 1)
    return bench.honesty


def frame(truth: np.ndarray = TRUTH) -> Frame:
    image = np.zeros((240, 320, 3), dtype=np.uint8)
    return Frame("a", 0.0, image, CAMERA_LARGE, truth, depth_image(CAMERA_LARGE))


@pytest.mark.parametrize("with_depth", [False, True])
def test_a_map_that_sees_its_place_everywhere(honesty: Any, *, with_depth: bool) -> None:
    """The stand-in knows one view, whatever the image: right here, and fooled by all else."""
    network = KnowingNetwork(CAMERA_LARGE, TRUTH)
    scene = known_scene(network, CAMERA_LARGE, depth_calibration=CALIBRATION)
    away = TRUTH.copy()
    away[0, 3] += 0.3
    figures = honesty.measure(
        scene, iter([frame(), frame(away)]), iter([frame()] * 3), with_depth=with_depth
    )
    own, elsewhere = figures["own"], figures["elsewhere"]
    assert (own["images"], own["localized"], own["right"], own["localized_falsely"]) == (2, 2, 1, 1)
    assert (elsewhere["images"], elsewhere["localized"], elsewhere["right"]) == (3, 3, 0)
    assert elsewhere["localized_falsely"] == 3
    assert figures["noise"]["images"] == 1
    assert figures["mirrored"]["images"] == figures["own, harder"]["images"] == 2
    assert sum(row["poses"] for row in figures["reliability"]) == 4
    table = honesty.report(figures)
    assert "| elsewhere | 3 | 3 (100.0 %) | 0 | 3 |" in table
    assert json.loads(json.dumps(figures)) == figures


def test_errors_are_normalised_before_and_after_the_calibration(honesty: Any) -> None:
    calibration = replace(CALIBRATION, covariance_scale=4.0, translation_floor=0.02)
    pose = TRUTH.copy()
    pose[0, 3] += 0.02
    covariance = calibration.honest(1e-4 * np.eye(6))
    estimate = PoseEstimate(pose, covariance, True, 9, 10, 0.9, "", confidence=0.8)
    judged = honesty.judge(estimate, frame(), calibration)
    assert judged.right
    assert not judged.false
    assert judged.before == pytest.approx(4.0)
    assert judged.after == pytest.approx(4e-4 / (4e-4 + 4e-4))
    elsewhere = honesty.judge(estimate, None, calibration)
    assert (elsewhere.right, elsewhere.false, elsewhere.after) == (False, True, None)
    assert not honesty.judge(replace(estimate, localized=False), None, calibration).false
