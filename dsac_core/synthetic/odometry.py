# SPDX-License-Identifier: Apache-2.0
"""Wheel odometry: the walk's own motion, measured with errors of scale and noise, and summed up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from dsac_core.synthetic.noise import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.synthetic.walk import Walk

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class OdometryOptions:
    """Errors of the wheels. The drift of both walks is a few percent of the way."""

    scale_error: float = 0.025  # standard deviation of the wrong scale of x and of y
    turn_scale_error: float = 0.01  # of the turn
    turn_bias: float = 0.003  # radians per second
    slip: float = 0.03  # metres per square root of a metre
    turn_slip: float = 0.012  # radians per square root of a radian
    seed: int = 0


@dataclass(frozen=True)
class Odometry:
    """What the wheels say, one row per state of the walk."""

    odom_T_base: FloatArray  # [M x 4 x 4], starts at the identity, planar
    twist: FloatArray  # [M x 3] metres and radians per second in base_link: x, y, yaw
    covariance: FloatArray  # [M x 6 x 6] of the pose, REP-103 order
    twist_covariance: FloatArray  # [6 x 6]


def measure(walk: Walk, options: OdometryOptions | None = None) -> Odometry:
    """Odometry of a walk; the same seed and walk give the same drift."""
    options = options or OdometryOptions()
    rng = stream(options.seed, "odometry", walk.name)
    xy = walk.world_T_base[:, :2, 3]
    yaw = np.unwrap(np.arctan2(walk.world_T_base[:, 1, 0], walk.world_T_base[:, 0, 0]))
    step_yaw = np.diff(yaw)
    middle = yaw[:-1] + step_yaw / 2
    step = np.diff(xy, axis=0)
    cosine, sine = np.cos(middle), np.sin(middle)
    forward = cosine * step[:, 0] + sine * step[:, 1]
    sideways = -sine * step[:, 0] + cosine * step[:, 1]
    seconds = np.diff(walk.times)
    way = np.hypot(forward, sideways)

    def slipped(true: FloatArray, scale: float, slip: float, amount: FloatArray) -> FloatArray:
        error = 1.0 + scale * rng.standard_normal()
        noise = slip * np.sqrt(np.maximum(amount, 0.0)) * rng.standard_normal(len(true))
        return np.asarray(true * error + noise)

    forward = slipped(forward, options.scale_error, options.slip, way)
    sideways = slipped(sideways, options.scale_error, options.slip, way)
    turned = slipped(step_yaw, options.turn_scale_error, options.turn_slip, np.abs(step_yaw))
    turned += options.turn_bias * rng.standard_normal() * seconds

    heading = np.concatenate([[0.0], np.cumsum(turned)])
    middle = heading[:-1] + turned / 2
    cosine, sine = np.cos(middle), np.sin(middle)
    count = len(yaw)
    odom_T_base = np.tile(np.eye(4), (count, 1, 1))
    odom_T_base[1:, 0, 3] = np.cumsum(cosine * forward - sine * sideways)
    odom_T_base[1:, 1, 3] = np.cumsum(sine * forward + cosine * sideways)
    odom_T_base[:, :3, :3] = Rotation.from_euler("z", heading[:, None]).as_matrix()

    twist = np.zeros((count, 3))
    twist[1:] = np.column_stack([forward, sideways, turned]) / seconds[:, None]
    twist[0] = twist[min(1, count - 1)]
    return Odometry(odom_T_base, twist, _covariance(way, step_yaw, options), _twist_covariance())


def _covariance(way: FloatArray, step_yaw: FloatArray, options: OdometryOptions) -> FloatArray:
    """Growth of the pose's uncertainty with the way; off the plane it is as good as known."""
    travelled = np.concatenate([[0.0], np.cumsum(way)])
    turned = np.concatenate([[0.0], np.cumsum(np.abs(step_yaw))])
    # A wrong scale cancels where the robot turns back, but nobody counts on that.
    net = np.maximum.accumulate(np.abs(np.concatenate([[0.0], np.cumsum(step_yaw)])))
    yaw = 1e-5 + (options.turn_scale_error * net) ** 2 + options.turn_slip**2 * turned
    position = 1e-5 + (options.scale_error * travelled) ** 2 + options.slip**2 * travelled
    position += yaw * np.minimum(travelled, 3.0) ** 2 / 3  # heading errors bend the way
    covariance = np.zeros((len(travelled), 6, 6))
    covariance[:, 0, 0] = covariance[:, 1, 1] = position
    covariance[:, 2, 2] = covariance[:, 3, 3] = covariance[:, 4, 4] = 1e-5
    covariance[:, 5, 5] = yaw
    return covariance


def _twist_covariance() -> FloatArray:
    return np.diag([4e-4, 4e-4, 1e-5, 1e-5, 1e-5, 4e-4])
