# SPDX-License-Identifier: Apache-2.0
"""One image from message to outcome, with a relocalizer that says what the test wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.errors import CameraError
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert
from dsac_ros.parameters import Settings
from dsac_ros.pipeline import Frame, Pipeline, TransformError
from dsac_ros.state import State

S = 1_000_000_000
CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
COVARIANCE = np.diag([0.01**2] * 3 + [0.005**2] * 3)


@dataclass
class Answer:
    """Stands in for PoseEstimate."""

    world_T_cam: Any = field(default_factory=lambda: np.eye(4))
    covariance: Any = field(default_factory=lambda: COVARIANCE)
    localized: bool = True
    inliers: int = 80
    correspondences: int = 100
    score: float = 0.8
    reason: str = "80 of 100 agree"
    timings: dict[str, float] = field(default_factory=lambda: {"ransac": 0.01})


@dataclass
class Tf:
    """Transforms by (target, source)."""

    known: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def lookup(self, target: str, source: str, stamp: int) -> np.ndarray:
        self.asked.append((target, source, stamp))
        if (target, source) not in self.known:
            msg = f"no transform from {source} to {target}"
            raise TransformError(msg)
        return self.known[target, source]


def pose(x: float, y: float, yaw: float) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = Rotation.from_rotvec([0, 0, yaw]).as_matrix()
    result[:2, 3] = x, y
    return result


class Rig:
    """A pipeline under test, fed at 10 Hz."""

    def __init__(self, tf: Tf | None = None, **settings: Any) -> None:
        self.answer: Answer | Exception = Answer()
        self.tf = tf or Tf()
        self.pipeline = Pipeline(
            self.relocalize, self.tf, Settings(gate_initial_fixes=1).changed(settings)
        )
        self.now = 100 * S

    def relocalize(self, image: np.ndarray, camera: Camera) -> Answer:
        assert image.shape == (48, 64)
        assert camera is CAMERA
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def feed(self, **frame: Any) -> Any:
        self.now += S // 10
        given = {
            "stamp": self.now,
            "frame_id": "optical",
            "decode": lambda: np.zeros((48, 64), np.uint8),
            "camera": lambda *_: CAMERA,
        }
        return self.pipeline.process(Frame(**{**given, **frame}), self.now)


def test_a_fix_is_published_with_the_stamp_of_the_image() -> None:
    rig = Rig()
    rig.answer = Answer(world_T_cam=pose(1, 2, 0.5))
    outcome = rig.feed()
    assert (outcome.localized, outcome.state) == (True, State.LOCALIZED)
    assert (outcome.stamp, outcome.frame_id) == (rig.now, "optical")
    np.testing.assert_array_equal(outcome.map_T_body, pose(1, 2, 0.5))
    np.testing.assert_array_equal(outcome.covariance, COVARIANCE)
    assert outcome.map_T_odom is None
    assert set(outcome.timings) == {"decode", "ransac", "transforms"}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(localized=False, reason="too few agree"),
        Answer(world_T_cam=None, covariance=None, localized=False),
        Answer(covariance=None),
        Answer(covariance=np.zeros((6, 6))),
        Answer(covariance=np.full((6, 6), np.nan)),
    ],
)
def test_nothing_false_is_published(answer: Answer) -> None:
    rig = Rig()
    rig.answer = answer
    outcome = rig.feed()
    assert (outcome.localized, outcome.state) == (False, State.SEARCHING)
    assert outcome.map_T_body is None
    assert outcome.covariance is None
    assert outcome.map_T_odom is None
    assert outcome.reason


def test_errors_of_one_image_become_its_reason() -> None:
    def fail(*_: object) -> Any:
        msg = "no camera_info yet on /camera/camera_info"
        raise CameraError(msg)

    outcome = Rig().feed(camera=fail)
    assert not outcome.localized
    assert outcome.reason == "no camera_info yet on /camera/camera_info"


def test_what_is_no_error_of_the_user_is_not_swallowed() -> None:
    rig = Rig()
    rig.answer = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        rig.feed()


def test_base_and_odometry_are_looked_up_at_the_stamp_of_the_image() -> None:
    base_T_cam, odom_T_base, map_T_base = pose(0.2, 0, 1.5), pose(5, 5, 3), pose(1, 2, 0.4)
    tf = Tf({("base", "optical"): base_T_cam, ("odom", "base"): odom_T_base})
    rig = Rig(tf, base_frame_id="base", odom_frame_id="odom")
    rig.answer = Answer(world_T_cam=map_T_base @ base_T_cam)
    outcome = rig.feed(stamp=42 * S)
    assert tf.asked == [("base", "optical", 42 * S), ("odom", "base", 42 * S)]
    np.testing.assert_allclose(outcome.map_T_body, map_T_base, atol=1e-12)
    np.testing.assert_allclose(outcome.map_T_odom, map_T_base @ invert(odom_T_base), atol=1e-12)
    # A lever arm: the base is less certain than the camera.
    assert np.trace(outcome.covariance[:3, :3]) > np.trace(COVARIANCE[:3, :3])


def test_no_pose_of_the_base_without_its_transform() -> None:
    outcome = Rig(base_frame_id="base").feed()
    assert not outcome.localized
    assert "from optical to base" in outcome.reason


def test_the_pose_does_not_wait_for_odometry_but_map_to_odom_does() -> None:
    outcome = Rig(odom_frame_id="odom").feed()
    assert outcome.localized
    assert outcome.map_T_odom is None
    assert "no odometry" in outcome.reason


def test_lost_and_found() -> None:
    rig = Rig(lost_after=1.0, gate_initial_fixes=2)
    states = [rig.feed().state for _ in range(3)]
    assert states == [State.SEARCHING, State.LOCALIZED, State.LOCALIZED]
    rig.answer = Answer(localized=False)
    states = [rig.feed().state for _ in range(12)]
    assert states[0] is State.LOCALIZED
    assert states[-1] is State.LOST
    rig.answer = Answer(world_T_cam=pose(30, 0, 0))  # found again, somewhere else
    outcomes = [rig.feed() for _ in range(2)]
    assert [outcome.localized for outcome in outcomes] == [False, True]
    assert [outcome.state for outcome in outcomes] == [State.LOST, State.LOCALIZED]


def test_a_reset_while_an_image_is_worked_on_discards_its_pose() -> None:
    rig = Rig()
    rig.feed()

    def decode() -> np.ndarray:
        rig.pipeline.state.reset()
        return np.zeros((48, 64), np.uint8)

    outcome = rig.feed(decode=decode)
    assert (outcome.localized, outcome.state) == (False, State.SEARCHING)
    assert outcome.map_T_body is None
    assert rig.feed().localized


def test_settings_change_while_running() -> None:
    rig = Rig(gate_initial_fixes=1, lost_after=5.0)
    rig.pipeline.apply(Settings(gate_initial_fixes=3, lost_after=2.0))
    assert [rig.feed().localized for _ in range(3)] == [False, False, True]
    assert rig.pipeline.state.lost_after == 2.0
