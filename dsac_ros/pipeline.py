# SPDX-License-Identifier: Apache-2.0
"""What happens to one image, from its message to what may be published.

Camera, relocalizer, frames, gate, state, in this order. No ROS is imported: where a transform, a
calibration or a decoded image is needed, it is asked of what the node hands in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dsac_core.errors import DsacError
from dsac_ros.frames import body_pose, is_honest, map_to_odom
from dsac_ros.gate import Fix, Gate
from dsac_ros.state import LocalizationState, State

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera
    from dsac_ros.parameters import Settings

    FloatArray = NDArray[np.float64]
    ByteImage = NDArray[np.uint8]

NANOSECONDS = 1_000_000_000


class TransformError(DsacError):
    """A transform is not known at the time of the image."""


class Estimate(Protocol):
    """What a relocalizer answers: dsac_core.PoseEstimate."""

    @property
    def world_T_cam(self) -> FloatArray | None:
        """[4 x 4]."""

    @property
    def covariance(self) -> FloatArray | None:
        """[6 x 6], fixed axes of the world (REP-103)."""

    @property
    def localized(self) -> bool:
        """The map's own judgement."""

    @property
    def inliers(self) -> int:
        """Correspondences that agree with the pose."""

    @property
    def correspondences(self) -> int:
        """All of them."""

    @property
    def score(self) -> float:
        """Comparable within one scene."""

    @property
    def reason(self) -> str:
        """Why localized, or why not."""

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by stage."""


class Transforms(Protocol):
    """Where transforms come from."""

    def lookup(self, target: str, source: str, stamp: int) -> FloatArray:
        """target_T_source [4 x 4] at ``stamp`` nanoseconds; raises TransformError."""
        ...


@dataclass(frozen=True)
class Frame:
    """One image with everything that its message said."""

    stamp: int  # ns
    frame_id: str  # optical frame of the camera
    decode: Callable[[], ByteImage]  # H x W x 3 RGB or H x W; raises DsacError
    camera: Callable[[int, int], Camera]  # of width, height; raises DsacError


@dataclass
class Outcome:
    """What one image came to."""

    stamp: int
    frame_id: str
    state: State
    localized: bool  # accepted: publish the pose
    reason: str
    map_T_body: FloatArray | None = None  # only where localized
    covariance: FloatArray | None = None  # only where localized
    map_T_odom: FloatArray | None = None  # only where localized and the odometry is known
    estimate: Estimate | None = None
    timings: dict[str, float] = field(default_factory=dict)  # s by stage


class Pipeline:
    """Works on one image at a time; keeps the gate and the state between them.

    ``process`` belongs to one thread; ``apply`` and the state may be used from any.

    Args:
        relocalizer: Image and camera in, estimate out.
        transforms: Where the base and the odometry are looked up.
        settings: The node's parameters.
    """

    def __init__(
        self,
        relocalizer: Callable[[ByteImage, Camera], Estimate],
        transforms: Transforms,
        settings: Settings,
    ) -> None:
        """Searching."""
        self._relocalizer = relocalizer
        self._transforms = transforms
        self._settings = settings
        self.gate = Gate(settings.gate_limits())
        self.state = LocalizationState(settings.lost_after, settings.lost_after_frames)
        self._epoch = self.state.epoch

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

    def _localize(self, frame: Frame, outcome: Outcome) -> None:
        clock = _StageClock(outcome.timings)
        image = frame.decode()
        camera = frame.camera(image.shape[1], image.shape[0])
        clock.stop("decode")
        estimate = self._relocalizer(image, camera)
        outcome.estimate = estimate
        outcome.timings.update(estimate.timings)
        outcome.reason = estimate.reason
        if not estimate.localized or estimate.world_T_cam is None:
            return
        if estimate.covariance is None or not is_honest(estimate.covariance):
            outcome.reason = "the pose has no usable covariance"
            return

        clock.start()
        settings = self._settings
        body = settings.base_frame_id or frame.frame_id
        map_T_body, covariance = estimate.world_T_cam, estimate.covariance
        if body != frame.frame_id:
            body_T_cam = self._transforms.lookup(body, frame.frame_id, frame.stamp)
            map_T_body, covariance = body_pose(map_T_body, covariance, body_T_cam)
        odom_T_body, no_odometry = self._odometry(body, frame.stamp)
        clock.stop("transforms")

        fix = Fix(frame.stamp / NANOSECONDS, map_T_body, covariance, odom_T_body)
        verdict = self.gate.check(fix)
        outcome.reason = f"{estimate.reason}; {verdict.reason}{no_odometry}"
        if not verdict.accepted:
            return
        outcome.localized = True
        outcome.map_T_body = map_T_body
        outcome.covariance = covariance
        if odom_T_body is not None:
            outcome.map_T_odom = map_to_odom(map_T_body, odom_T_body)

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


class _StageClock:
    """Adds the seconds between start and stop to a dictionary."""

    def __init__(self, timings: dict[str, float]) -> None:
        self._timings = timings
        self.start()

    def start(self) -> None:
        self._since = time.perf_counter()

    def stop(self, stage: str) -> None:
        self._timings[stage] = time.perf_counter() - self._since
