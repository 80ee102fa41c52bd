# SPDX-License-Identifier: Apache-2.0
"""Walks through the room: smooth planar paths of a robot that can move sideways.

A walk is made of legs (turn on the spot, go round an ellipse, go straight to the next leg) that are
sampled densely, smoothed, and shaken a little as by real wheels on a real floor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from dsac_core.errors import ConfigError
from dsac_core.synthetic.noise import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.synthetic.options import RoomOptions

    FloatArray = NDArray[np.float64]

WALKS = ("mapping", "test")
STATE_RATE = 30  # states per second: odometry and ground truth; every second one has an image
IMAGE_EVERY = 2
SMOOTHING = 0.3  # seconds: sigma of the filter that rounds the corners between legs
FASTEST_TURN_DEG = 50.0  # per second; a leg slows down where it would turn faster


@dataclass(frozen=True)
class WalkOptions:
    """How the robot carries its camera and how it shakes."""

    camera_forward: float = 0.10  # metres before base_link
    camera_height: float = 1.10  # metres above base_link, which is on the floor
    camera_pitch_deg: float = 7.0  # downwards
    vibration_deg: float = 0.10  # standard deviation of roll and pitch
    vibration_m: float = 0.0006  # standard deviation of the height
    seed: int = 0  # of the vibration


@dataclass(frozen=True)
class Walk:
    """Poses over time. Rows [::IMAGE_EVERY] are those at which an image is taken."""

    name: str
    times: FloatArray  # [M] seconds from the start, STATE_RATE a second
    world_T_base: FloatArray  # [M x 4 x 4] base_link in the frame `map`
    options: WalkOptions

    @property
    def base_T_cam(self) -> FloatArray:
        """Pose [4 x 4] of camera_optical_frame in base_link."""
        return base_T_link(self.options) @ link_T_cam()

    @property
    def image_times(self) -> FloatArray:
        """Times [N] of the images, seconds."""
        return self.times[::IMAGE_EVERY]

    @property
    def world_T_cam(self) -> FloatArray:
        """Poses [N x 4 x 4] of the camera's optical frame, one per image."""
        return np.asarray(self.world_T_base[::IMAGE_EVERY] @ self.base_T_cam)

    def part(self, first: int, count: int) -> Walk:
        """The walk of ``count`` images from image ``first`` on; its times go on from there.

        Raises:
            ConfigError: The walk has no such images.
        """
        if not (first >= 0 and count >= 1 and first + count <= len(self.image_times)):
            msg = (
                f"the walk '{self.name}' has images 0 to {len(self.image_times) - 1},"
                f" asked for {count} from {first} on"
            )
            raise ConfigError(msg)
        states = slice(first * IMAGE_EVERY, (first + count) * IMAGE_EVERY)
        return replace(self, times=self.times[states], world_T_base=self.world_T_base[states])


def walk_poses(name: str, room: RoomOptions, options: WalkOptions | None = None) -> Walk:
    """The walk of a name ("mapping" or "test") through a room of this size.

    Raises:
        ConfigError: There is no walk of that name.
    """
    if name not in WALKS:
        msg = f"no walk is called '{name}', there are: {', '.join(WALKS)}"
        raise ConfigError(msg)
    options = options or WalkOptions()
    legs = _mapping_legs(room) if name == "mapping" else _test_legs(room)
    states = _smooth(_joined(legs))
    count = len(states) // IMAGE_EVERY * IMAGE_EVERY
    states = states[:count]
    rng = stream(options.seed, "vibration", name)
    shake = np.radians(options.vibration_deg) * rng.standard_normal((count, 2))
    world_T_base = np.zeros((count, 4, 4))
    turn = np.column_stack([states[:, 2], shake])
    world_T_base[:, :3, :3] = Rotation.from_euler("ZYX", turn).as_matrix()
    world_T_base[:, :2, 3] = states[:, :2]
    world_T_base[:, 2, 3] = options.vibration_m * rng.standard_normal(count)
    world_T_base[:, 3, 3] = 1.0
    return Walk(name, np.arange(count) / STATE_RATE, world_T_base, options)


def base_T_link(options: WalkOptions) -> FloatArray:
    """Pose [4 x 4] of camera_link (x forward, z up) in base_link."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("y", options.camera_pitch_deg, degrees=True).as_matrix()
    pose[:3, 3] = options.camera_forward, 0.0, options.camera_height
    return pose


def link_T_cam() -> FloatArray:
    """Pose [4 x 4] of the optical frame (x right, y down, z forward) in camera_link (REP-103)."""
    pose = np.eye(4)
    pose[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    return pose


def _mapping_legs(room: RoomOptions) -> list[FloatArray]:
    """A turn on the spot, a loop that looks outwards, one that looks inwards, another turn."""
    a, b = room.length / 2 - 1.65, room.width / 2 - 1.75
    return [
        _turn((0.55 * a, 0.25 * b), start_deg=20, sweep_deg=360, rate_deg=50),
        _round((0, 0), (a, b), start_deg=20, sweep_deg=360, speed=0.50, face_deg=0, swing_deg=10),
        _round((0, 0), (0.8 * a, 0.75 * b), start_deg=20, sweep_deg=-325, speed=0.50, face_deg=180,
               swing_deg=16),
        _turn((-0.6 * a, -0.2 * b), start_deg=235, sweep_deg=-360, rate_deg=50),
    ]  # fmt: skip


def _test_legs(room: RoomOptions) -> list[FloatArray]:
    """Two loops beside those of the mapping walk: one looks along its way, one half outwards."""
    a, b = room.length / 2 - 1.65, room.width / 2 - 1.75
    return [
        _round((0, 0), (0.6 * a, 0.6 * b), start_deg=150, sweep_deg=-400, speed=0.45, face_deg=-70,
               swing_deg=25),
        _round((0.05, -0.05), (0.85 * a, 0.7 * b), start_deg=110, sweep_deg=330, speed=0.45,
               face_deg=35, swing_deg=15),
    ]  # fmt: skip


def _turn(
    at: tuple[float, float], start_deg: float, sweep_deg: float, rate_deg: float
) -> FloatArray:
    """States [n x 3] (x, y, yaw) of a turn on the spot."""
    count = int(abs(sweep_deg) / rate_deg * STATE_RATE)
    yaw = np.radians(start_deg + np.linspace(0.0, sweep_deg, count))
    return np.column_stack([np.full(count, at[0]), np.full(count, at[1]), yaw])


def _round(
    centre: tuple[float, float], axes: tuple[float, float], *, start_deg: float, sweep_deg: float,
    speed: float, face_deg: float, swing_deg: float,
) -> FloatArray:  # fmt: skip
    """States [n x 3] along an ellipse, at ``speed`` (m/s) or slower.

    The robot looks ``face_deg`` from straight outwards, and swings by ``swing_deg`` about that.
    """
    phi = np.radians(start_deg + np.linspace(0.0, sweep_deg, 4000))
    x, y = centre[0] + axes[0] * np.cos(phi), centre[1] + axes[1] * np.sin(phi)
    yaw = phi + np.radians(face_deg) + np.radians(swing_deg) * np.sin(2.0 * phi)
    step = np.hypot(np.diff(x), np.diff(y)) / speed
    step = np.maximum(step, np.abs(np.diff(yaw)) / np.radians(FASTEST_TURN_DEG))
    seconds = np.concatenate([[0.0], np.cumsum(step)])
    when = np.arange(0.0, seconds[-1], 1 / STATE_RATE)
    return np.column_stack([np.interp(when, seconds, value) for value in (x, y, yaw)])


def _joined(legs: list[FloatArray]) -> FloatArray:
    """The legs, with straight ways between them, taken the short way round in yaw."""
    path = legs[0]
    for leg in legs[1:]:
        start, end = path[-1], leg[0].copy()
        full = 2 * np.pi
        shift = full * np.round((start[2] - end[2]) / full)
        distance = float(np.linalg.norm(end[:2] - start[:2]))
        turn = abs(end[2] + shift - start[2])
        seconds = max(distance / 0.5, turn / np.radians(FASTEST_TURN_DEG), 0.2)
        share = np.linspace(0.0, 1.0, int(seconds * STATE_RATE) + 2)[1:-1, None]
        end[2] += shift
        path = np.concatenate(
            [path, start + share * (end - start), leg + np.array([0.0, 0.0, shift])]
        )
    return path


def _smooth(states: FloatArray) -> FloatArray:
    return np.asarray(
        gaussian_filter1d(states, SMOOTHING * STATE_RATE, axis=0, mode="nearest"), np.float64
    )
