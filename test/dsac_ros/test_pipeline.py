# SPDX-License-Identifier: Apache-2.0
"""One image from message to outcome, with a relocalizer that says what the test wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.errors import CameraError, DsacError
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert
from dsac_ros.image_records import Frame, SetPose, TransformError
from dsac_ros.parameters import Settings
from dsac_ros.pipeline import Pipeline
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
    landmark_inliers: int = 20
    confidence: float = 0.9
    score: float = 0.8
    reason: str = "80 of 100 agree"
    timings: dict[str, float] = field(default_factory=lambda: {"ransac": 0.01})


@dataclass
class Tf:
    """Transforms by (target, source)."""

    known: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def lookup(self, target: str, source: str, stamp: int, *, wait: bool = True) -> np.ndarray:
        if wait:
            self.asked.append((target, source, stamp))
        if (target, source) not in self.known:
            msg = f"no transform from {source} to {target}"
            raise TransformError(msg)
        return self.known[target, source]

    def latest(self, target: str, source: str) -> tuple[np.ndarray, int]:
        return self.lookup(target, source, 0, wait=False), 7 * S


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
        self.depths: list[np.ndarray | None] = []
        self.priors: list[np.ndarray | None] = []

    def relocalize(
        self,
        image: np.ndarray,
        camera: Camera,
        depth: np.ndarray | None = None,
        *,
        prior: np.ndarray | None = None,
    ) -> Answer:
        self.depths.append(depth)
        self.priors.append(prior)
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


def odometry_at(rig: Rig, x: float) -> None:
    rig.tf.known["odom", "base"] = pose(x, 0, 0)


def robot(**settings: Any) -> Rig:
    """A robot whose camera is on its base, at x = 7 of its odometry and x = 1 of the map."""
    rig = Rig(
        Tf({("base", "optical"): np.eye(4)}),
        **{"base_frame_id": "base", "odom_frame_id": "odom", **settings},
    )
    rig.answer = Answer(world_T_cam=pose(1, 0, 0))
    odometry_at(rig, 7.0)
    return rig


def test_the_last_fix_carried_by_odometry_is_the_prior() -> None:
    rig = robot()
    rig.tf.known["base", "optical"] = pose(0.2, 0, 1.5)
    rig.answer = Answer(world_T_cam=pose(1, 0, 0) @ pose(0.2, 0, 1.5))
    rig.feed()
    odometry_at(rig, 7.5)
    rig.feed()
    assert rig.priors[0] is None
    np.testing.assert_allclose(rig.priors[1], pose(1.5, 0, 0) @ pose(0.2, 0, 1.5), atol=1e-12)


def test_no_prior_while_lost_or_if_unwanted() -> None:
    rig = robot(use_prior=False)
    rig.feed()
    rig.feed()
    assert rig.priors == [None, None]
    rig = robot(lost_after=0.15)
    rig.feed()
    rig.answer = Answer(localized=False)
    states = [rig.feed().state for _ in range(3)]
    assert states[-1] is State.LOST
    assert [prior is None for prior in rig.priors] == [True, False, True, True]


@pytest.mark.parametrize("frame", ["map", "", "plan"])
def test_a_pose_that_is_set_is_a_prior_in_any_frame(frame: str) -> None:
    """Carried forward by odometry; the first fix that agrees is believed at once."""
    rig = robot(gate_initial_fixes=3)
    rig.tf.known["map", "plan"] = pose(0, 0, np.pi / 2)
    said = pose(0, -0.95, -np.pi / 2) if frame == "plan" else pose(0.95, 0, 0)
    rig.pipeline.set_pose(SetPose(rig.now, frame, said, np.diag([0.1**2] * 6)))
    outcome = rig.feed()
    assert outcome.localized
    assert "the pose to start from" in outcome.reason
    np.testing.assert_allclose(rig.priors[0], pose(0.95, 0, 0), atol=1e-12)


def test_a_pose_that_was_set_is_carried_by_odometry() -> None:
    rig = robot(gate_initial_fixes=3)
    rig.pipeline.set_pose(SetPose(rig.now, "map", pose(-2, 0, 0), np.diag([0.05**2] * 6)))
    rig.answer = Answer(localized=False)
    assert not rig.feed().localized
    odometry_at(rig, 10.0)
    rig.answer = Answer(world_T_cam=pose(1, 0, 0))
    assert rig.feed().localized
    np.testing.assert_allclose(rig.priors[1], pose(1, 0, 0), atol=1e-12)


def test_a_pose_that_was_set_wrongly_delays_but_does_not_win() -> None:
    rig = robot(gate_initial_fixes=2)
    rig.pipeline.set_pose(SetPose(rig.now, "map", pose(9, 9, 0), np.diag([0.1**2] * 6)))
    outcomes = [rig.feed() for _ in range(2)]
    assert [outcome.localized for outcome in outcomes] == [False, True]
    assert "disagrees with the pose to start from" in outcomes[0].reason


def test_a_pose_in_an_unknown_frame_is_said_and_forgotten() -> None:
    rig = robot()
    rig.pipeline.set_pose(SetPose(rig.now, "moon", pose(9, 9, 0), np.eye(6)))
    assert "moon" in rig.feed().reason
    assert rig.feed().localized


def test_setting_a_pose_ends_being_localized() -> None:
    rig = robot()
    rig.feed()
    rig.pipeline.set_pose(SetPose(rig.now, "map", pose(9, 9, 0), np.diag([0.1**2] * 6)))
    assert rig.pipeline.state.current is State.SEARCHING


def test_a_rate_while_localized() -> None:
    """Images come at 10 Hz, the rate is 3 Hz: each third or fourth one."""
    rig = robot(max_rate=3.0)
    skipped = [rig.feed().skipped for _ in range(13)]
    assert skipped == [False, True, True] * 4 + [False]
    rig.answer = Answer(localized=False)
    rig.pipeline.state.reset()
    assert not any(rig.feed().skipped for _ in range(5))


def test_once_and_again_when_asked() -> None:
    rig = robot(mode="once", lost_after=0.5)
    outcomes = [rig.feed() for _ in range(12)]
    assert [outcome.skipped for outcome in outcomes] == [False] + [True] * 11
    assert outcomes[-1].state is State.LOCALIZED
    assert len(rig.priors) == 1
    rig.pipeline.ask()
    assert [rig.feed().skipped for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize("limits", [(0.1, 0.0), (0.0, 0.1), (0.1, 0.1)])
def test_a_robot_that_has_not_moved_needs_no_new_pose(limits: tuple[float, float]) -> None:
    rig = robot(min_translation=limits[0], min_rotation=limits[1], lost_after=0.5)
    skipped = []
    for x, yaw in ((7.0, 0), (7.05, 0), (7.05, 0.06), (7.2, 0), (7.2, 0.2)):
        rig.tf.known["odom", "base"] = pose(x, 0, yaw)
        rig.answer = Answer(world_T_cam=pose(x - 6, 0, yaw))
        skipped.append(rig.feed().skipped)
    by_way, by_turn = limits[0] > 0, limits[1] > 0
    assert skipped == [False, True, True, not by_way, not by_turn]
    assert [rig.feed().state for _ in range(9)][-1] is State.LOCALIZED


def test_without_odometry_every_image_counts() -> None:
    rig = Rig(min_translation=0.1)
    assert not any(rig.feed().skipped for _ in range(3))


def test_depth_is_handed_on() -> None:
    rig, depth = Rig(), np.ones((48, 64), np.float32)
    assert rig.feed(depth=lambda: depth).localized
    assert rig.depths == [depth]


def test_without_depth_colour_is_used_and_that_is_said() -> None:
    def fail() -> np.ndarray:
        msg = "no image on /depth within 20 ms"
        raise DsacError(msg)

    rig = Rig()
    outcome = rig.feed(depth=fail)
    assert outcome.localized
    assert "without depth: no image on /depth within 20 ms" in outcome.reason
    assert rig.depths == [None]


def test_between_fixes_the_covariance_grows_with_the_way() -> None:
    rig = robot()
    assert rig.pipeline.predicted() is None
    rig.feed()
    spreads = []
    for x in (7.0, 8.0, 9.0):
        odometry_at(rig, x)
        fix = rig.pipeline.predicted()
        assert fix is not None
        assert fix.stamp == 7.0
        np.testing.assert_allclose(fix.map_T_body, pose(x - 6, 0, 0), atol=1e-12)
        spreads.append(fix.covariance[0, 0])
    assert spreads[0] == pytest.approx(COVARIANCE[0, 0])
    assert np.sqrt(spreads[1] - spreads[0]) == pytest.approx(0.1)
    assert spreads[2] > spreads[1]


@pytest.mark.parametrize("lacks", ["odom_frame_id", "base_frame_id", "transform"])
def test_nothing_is_predicted_without_odometry(lacks: str) -> None:
    rig = robot() if lacks == "transform" else robot(**{lacks: "", "tf_mode": "none"})
    rig.feed()
    assert rig.pipeline.state.current is State.LOCALIZED
    if lacks == "transform":
        del rig.tf.known["odom", "base"]
    assert rig.pipeline.predicted() is None
