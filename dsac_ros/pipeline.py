# SPDX-License-Identifier: Apache-2.0
"""What happens to one image, from its message to what may be published.

Camera, relocalizer, frames, gate, state, in this order. No ROS is imported: where a transform, a
calibration or a decoded image is needed, it is asked of what the node hands in.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from dsac_core.errors import DsacError
from dsac_core.geometry.pose import rotate_covariance
from dsac_ros.frames import body_pose, is_honest, map_to_odom
from dsac_ros.gate import Fix, Gate
from dsac_ros.image_records import Outcome, TransformError
from dsac_ros.state import LocalizationState, State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsac_ros.image_records import Frame, Relocalize, SetPose, Transforms
    from dsac_ros.parameters import Settings

    FloatArray = NDArray[np.float64]
    DepthImage = NDArray[np.float32]

NANOSECONDS = 1_000_000_000
_EARLY = 0.9  # of the period of max_rate: an image that comes so early is on time


class Pipeline:
    """Works on one image at a time; keeps the gate and the state between them.

    ``process`` belongs to one thread; ``apply`` and the state may be used from any.

    Args:
        relocalizer: Estimates poses; may be replaced at any time.
        transforms: Where the base and the odometry are looked up.
        settings: The node's parameters.
        map_frame: Frame of the poses.
    """

    def __init__(
        self,
        relocalizer: Relocalize,
        transforms: Transforms,
        settings: Settings,
        map_frame: str = "map",
    ) -> None:
        """Searching."""
        self.relocalizer = relocalizer
        self.map_frame = map_frame
        self._transforms = transforms
        self._settings = settings
        self.gate = Gate(settings.gate_limits())
        self.state = LocalizationState(settings.lost_after, settings.lost_after_frames)
        self._epoch = self.state.epoch
        self._handing_over = threading.Lock()
        self._said: SetPose | None = None
        self._asked_for = False
        self._looked_at = 0  # ns, stamp of the last image that was not skipped

    def set_pose(self, said: SetPose) -> None:
        """Start over from where somebody says that the body is: a prior, until a fix agrees."""
        with self._handing_over:
            self._said = said
        self.state.reset()

    def ask(self) -> None:
        """Look at the next image, whatever the mode and the limits."""
        self._asked_for = True

    def apply(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings = settings
        self.gate.limits = settings.gate_limits()
        self.state.lost_after = settings.lost_after
        self.state.lost_after_frames = settings.lost_after_frames

    def process(self, frame: Frame, now: int) -> Outcome:
        """Work on one image that arrived at ``now`` nanoseconds."""
        seconds = now / NANOSECONDS
        self.state.tick(seconds)
        epoch = self.state.epoch
        if epoch != self._epoch:
            self._epoch = epoch
            self.gate.reset()
        outcome = Outcome(frame.stamp, frame.frame_id, self.state.current, False, "")
        try:
            self._hear()
            outcome.reason = self._why_skip(frame, seconds)
            if outcome.reason:
                outcome.skipped = True
                return outcome
            self._asked_for = False
            self._looked_at = frame.stamp
            self._localize(frame, outcome)
        except DsacError as error:
            outcome.reason = str(error)
        if outcome.localized and not self.state.accept(seconds, epoch):
            outcome.localized = False
            outcome.map_T_body = outcome.covariance = outcome.map_T_odom = None
            outcome.reason = "the clock jumped, or the node was paused, during the work"
        if not outcome.localized:
            self.state.refuse(seconds)
        outcome.state = self.state.current
        return outcome

    def predicted(self) -> Fix | None:
        """Where the body is now, by the last fix and the newest odometry, and how surely.

        None while not localized, and without odometry or a base. From any thread.
        """
        odom, base = self._settings.odom_frame_id, self._settings.base_frame_id
        if self.state.current is not State.LOCALIZED or not (odom and base):
            return None
        try:
            odom_T_base, stamp = self._transforms.latest(odom, base)
        except TransformError:
            return None
        return self.gate.expected(stamp / NANOSECONDS, odom_T_base)

    def _hear(self) -> None:
        """What was said since the last image becomes a prior of the gate."""
        with self._handing_over:
            said, self._said = self._said, None
        if said is None:
            return
        map_T_body, covariance = said.pose, said.covariance
        if said.frame_id not in ("", self.map_frame):
            map_T_frame = self._transforms.lookup(self.map_frame, said.frame_id, said.stamp)
            map_T_body = map_T_frame @ map_T_body
            covariance = rotate_covariance(covariance, map_T_frame[:3, :3])
        odom_T_body = None
        if self._settings.base_frame_id:
            odom_T_body, _ = self._odometry(self._settings.base_frame_id, said.stamp)
        self.gate.suggest(Fix(said.stamp / NANOSECONDS, map_T_body, covariance, odom_T_body))

    def _why_skip(self, frame: Frame, seconds: float) -> str:
        """Why an image need not be looked at, or nothing."""
        settings = self._settings
        if self._asked_for or self.state.current is not State.LOCALIZED:
            return ""
        if settings.mode == "once":
            self.state.hold(seconds)
            return "not looked at: there is a fix, and mode is once"
        since = (frame.stamp - self._looked_at) / NANOSECONDS
        # Stamps jitter: a rate of 5 Hz takes every third image of 15 Hz, late or not.
        if settings.max_rate > 0 and 0 <= since < _EARLY / settings.max_rate:
            return f"not looked at: max_rate is {settings.max_rate:g} Hz"
        if settings.still_counts:
            odom_T_body = self._odometry_now(self._body(frame), frame.stamp)
            moved = None if odom_T_body is None else self.gate.moved(odom_T_body)
            if (
                moved is not None
                and moved[0] < (settings.min_translation or math.inf)
                and moved[1] < (settings.min_rotation or math.inf)
            ):
                self.state.hold(seconds)
                return "not looked at: odometry has not moved since the last fix"
        return ""

    def _localize(self, frame: Frame, outcome: Outcome) -> None:
        clock = _StageClock(outcome.timings)
        image = frame.decode()
        camera = frame.camera(image.shape[1], image.shape[0])
        depth, remark = _depth_of(frame)
        clock.stop("decode")
        prior = self._expected_camera(frame) if self._settings.use_prior else None
        estimate = self.relocalizer(image, camera, depth, prior=prior)
        outcome.estimate = estimate
        outcome.timings.update(estimate.timings)
        outcome.reason = f"{estimate.reason}{remark}"
        if not estimate.localized or estimate.world_T_cam is None:
            return
        if estimate.covariance is None or not is_honest(estimate.covariance):
            outcome.reason = "the pose has no usable covariance"
            return

        clock.start()
        body = self._body(frame)
        map_T_body, covariance = estimate.world_T_cam, estimate.covariance
        if body != frame.frame_id:
            body_T_cam = self._transforms.lookup(body, frame.frame_id, frame.stamp)
            map_T_body, covariance = body_pose(map_T_body, covariance, body_T_cam)
        odom_T_body, no_odometry = self._odometry(body, frame.stamp)
        clock.stop("transforms")

        fix = Fix(frame.stamp / NANOSECONDS, map_T_body, covariance, odom_T_body)
        verdict = self.gate.check(fix)
        outcome.reason = f"{outcome.reason}; {verdict.reason}{no_odometry}"
        if not verdict.accepted:
            return
        outcome.localized = True
        outcome.map_T_body = map_T_body
        outcome.covariance = covariance
        if odom_T_body is not None:
            outcome.map_T_odom = map_to_odom(map_T_body, odom_T_body)

    def _body(self, frame: Frame) -> str:
        return self._settings.base_frame_id or frame.frame_id

    def _expected_camera(self, frame: Frame) -> FloatArray | None:
        """map_T_cam, by the last fix and odometry, as far as that is known without waiting."""
        body = self._body(frame)
        expected = self.gate.expected(
            frame.stamp / NANOSECONDS, self._odometry_now(body, frame.stamp)
        )
        if expected is None:
            return None
        if body == frame.frame_id:
            return expected.map_T_body
        try:
            body_T_cam = self._transforms.lookup(body, frame.frame_id, frame.stamp, wait=False)
        except TransformError:
            return None
        return expected.map_T_body @ body_T_cam

    def _odometry_now(self, body: str, stamp: int) -> FloatArray | None:
        """The body in the odometry's frame, where that is known without waiting."""
        odom = self._settings.odom_frame_id
        if not odom:
            return None
        try:
            return self._transforms.lookup(odom, body, stamp, wait=False)
        except TransformError:
            return None

    def _odometry(self, body: str, stamp: int) -> tuple[FloatArray | None, str]:
        """The body in the odometry's frame; where that is unknown, None and the reason.

        A pose in the map is true without odometry, so only map -> odom has to wait for it.
        """
        odom = self._settings.odom_frame_id
        if not odom:
            return None, ""
        try:
            return self._transforms.lookup(odom, body, stamp), ""
        except TransformError as error:
            return None, f"; no odometry: {error}"


def _depth_of(frame: Frame) -> tuple[DepthImage | None, str]:
    """The depth, or none and why."""
    if frame.depth is None:
        return None, ""
    try:
        return frame.depth(), ""
    except DsacError as error:
        return None, f"; without depth: {error}"


class _StageClock:
    """Adds the seconds between start and stop to a dictionary."""

    def __init__(self, timings: dict[str, float]) -> None:
        self._timings = timings
        self.start()

    def start(self) -> None:
        self._since = time.perf_counter()

    def stop(self, stage: str) -> None:
        self._timings[stage] = time.perf_counter() - self._since
