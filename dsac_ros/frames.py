# SPDX-License-Identifier: Apache-2.0
"""From the camera that was localized to the frames that a robot asks for (REP-103, REP-105).

The body is the frame whose pose is published: the robot's base where one is named, else the camera.
A localizer does not publish the body's transform itself: odometry owns odom -> base, so what is
broadcast is map -> odom, the correction under which odometry agrees with the map.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.geometry.pose import invert, transport_covariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NANOSECONDS = 1_000_000_000


def body_pose(
    map_T_cam: FloatArray, covariance: FloatArray, body_T_cam: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Pose [4 x 4] and covariance [6 x 6] of the body, from those of the camera on it.

    Both covariances are about the fixed axes of the map frame.
    """
    cam_T_body = invert(body_T_cam)
    moved = transport_covariance(covariance, map_T_cam, cam_T_body)
    return map_T_cam @ cam_T_body, 0.5 * (moved + moved.T)


def map_to_odom(map_T_body: FloatArray, odom_T_body: FloatArray) -> FloatArray:
    """map_T_odom [4 x 4] from the body's pose in both frames at one time."""
    return np.asarray(map_T_body @ invert(odom_T_body))


def is_honest(covariance: FloatArray) -> bool:
    """Whether a matrix [6 x 6] is a covariance: finite, symmetric, and certain of nothing.

    A zero variance claims perfect knowledge, which a filter would believe.
    """
    if covariance.shape != (6, 6) or not np.isfinite(covariance).all():
        return False
    if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=1e-12):
        return False
    # Metres and radians differ in scale: compare correlations, not variances.
    variances = np.diag(covariance)
    if (variances <= 0).any():
        return False
    scale = np.sqrt(np.outer(variances, variances))
    return bool(np.linalg.eigvalsh(covariance / scale)[0] > -1e-9)


class OdometryCorrection:
    """The map -> odom transform in force, and the stamp under which to send it now.

    It holds until a newer one replaces it, so it is sent again and again, post-dated: whoever asks
    for the pose "now" must not have to wait. Its time runs in the clock of the images (the stamp of
    the last one plus what has passed since), so it fits a bag played without /clock too.
    """

    def __init__(self) -> None:
        """No correction: nothing to send."""
        self._lock = threading.Lock()  # the worker updates, a timer sends
        self._map_T_odom: FloatArray | None = None
        self._image_stamp = 0
        self._arrival = 0
        self._last_sent = 0

    def update(self, map_T_odom: FloatArray, image_stamp: int, arrival: int) -> None:
        """Take a new correction, of an image stamped and arrived then (nanoseconds)."""
        with self._lock:
            self._map_T_odom = map_T_odom
            self._image_stamp = image_stamp
            self._arrival = arrival

    def clear(self) -> None:
        """Send nothing more, as when lost."""
        with self._lock:
            self._map_T_odom = None
            self._last_sent = 0

    def stamped(self, now: int, tolerance: float) -> tuple[FloatArray, int] | None:
        """The transform and its stamp in nanoseconds; None where nothing is known.

        Args:
            now: Nanoseconds of the clock that ``arrival`` was read from.
            tolerance: Seconds by which to post-date.
        """
        with self._lock:
            if self._map_T_odom is None:
                return None
            elapsed = max(0, now - self._arrival)
            stamp = self._image_stamp + elapsed + int(tolerance * NANOSECONDS)
            # An image that travelled slower than the one before must not turn the time of TF back.
            self._last_sent = max(stamp, self._last_sent + 1)
            return self._map_T_odom, self._last_sent
