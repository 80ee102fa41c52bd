# SPDX-License-Identifier: Apache-2.0
"""Right poses in another frame are told from wrong ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from judged import judged
from stand_in import pose_near

from dsac_core.evaluation.metrics import FrameResult
from dsac_core.evaluation.shifted_frame import shift_between_frames
from dsac_core.geometry.pose import from_quaternion, pose_error, to_quaternion


def walk(map_T_other: np.ndarray, count: int = 20, wrong: int = 0) -> list[FrameResult]:
    """Estimates are off by one transform; the first ones are anywhere."""
    frames = []
    for index in range(count):
        frame = judged(index, 0.0)
        assert frame.truth is not None
        truth = from_quaternion(frame.truth[:3], frame.truth[3:])
        estimate = pose_near(index, 3.0) if index < wrong else map_T_other @ truth
        distance, angle = pose_error(estimate, truth)
        translation, xyzw = to_quaternion(estimate)
        pose = (*translation, *xyzw)
        frames.append(judged(index, 100 * distance, math.degrees(angle), pose=pose))
    return frames


def test_one_transform_is_found_among_wrong_poses() -> None:
    shifted = np.eye(4)
    shifted[:3, 3] = 0.0, 3.0, 4.0
    assert shift_between_frames(walk(shifted, wrong=6)) == pytest.approx((5.0, 0.0), abs=1e-6)
    turned = shift_between_frames(walk(pose_near(5, 1.0)))
    assert turned is not None
    assert turned[1] == pytest.approx(pose_error(pose_near(5, 1.0), np.eye(4))[1])


def test_right_poses_and_wrong_ones_are_no_shift() -> None:
    assert shift_between_frames(walk(np.eye(4))) is None
    assert shift_between_frames(walk(np.eye(4), wrong=20)) is None
    assert shift_between_frames(walk(pose_near(5, 1.0), count=4)) is None


def test_poses_that_are_not_believed_are_not_asked() -> None:
    frames = [judged(i, 300.0, localized=False) for i in range(20)]
    assert shift_between_frames(frames) is None
