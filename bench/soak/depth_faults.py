# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with depth, while the images are good: colour alone must do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.soak.faults import A_WHILE
from bench.soak.garbage import GARBAGE
from bench.soak.robot import NANOSECONDS, RATE, nanoseconds_of
from dsac_ros.messages import time_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor_msgs.msg import Image

    from bench.soak.soak import Soak

WRONG_UNITS = (  # of millimetres in 16UC1: metres, centimetres, ..; in 32FC1: millimetres, ..
    (0.001, np.uint16), (0.1, np.uint16), (10.0, np.uint16), (1.0, np.float32), (0.01, np.float32),
)  # fmt: skip
WRONG_SHAPES = ((1, 1), (320, 240), (120, 320), (240, 160), (187, 162))
OTHER_IMAGES = (-30, 30)  # of which depth is far from both neighbours
NO_READINGS = (0.0, float("nan"), float("inf"), float("-inf"), -1.0)


def depth_stops(soak: Soak) -> None:
    """Each status says so."""
    soak.world.depth = lambda _: None
    soak.drive(A_WHILE)
    soak.must_localize()
    if "without depth: none on" not in soak.last_status.reason:
        soak.oracle.violate(f"depth has stopped, and the status says {soak.last_status.reason}")


def depth_late(soak: Soak) -> None:
    soak.world.depth_delay = soak.rng.uniform(0.02, 0.5)
    _colour_must_do(soak)


def depth_in_metres(soak: Soak) -> None:
    """The other encoding that is allowed, of half the size of the images."""
    soak.world.depth = lambda message: _with(message, 0.001 * _readings(message)[::2, ::2])
    _colour_must_do(soak)


def depth_without_readings(soak: Soak) -> None:
    def empty(message: Image) -> Image:
        value = NO_READINGS[int(soak.rng.integers(len(NO_READINGS)))]
        return _with(message, np.full((message.height, message.width), value, np.float32))

    soak.world.depth = empty
    _colour_must_do(soak)


def depth_in_a_wrong_unit(soak: Soak) -> None:
    """There may be no pose then, but none that is wrong."""
    factor, kind = WRONG_UNITS[int(soak.rng.integers(len(WRONG_UNITS)))]
    soak.world.depth = lambda message: _with(
        message, (factor * _readings(message)).clip(0, 65535).astype(kind)
    )
    soak.drive(A_WHILE)


def depth_of_a_wrong_shape(soak: Soak) -> None:
    """Of other proportions than the images, so that nothing is where it should be."""
    shape = WRONG_SHAPES[int(soak.rng.integers(len(WRONG_SHAPES)))]
    soak.world.depth = lambda message: _with(
        message, np.resize(_readings(message), shape).astype(np.uint16)
    )
    soak.drive(A_WHILE)


def depth_garbage(soak: Soak) -> None:
    kinds = list(GARBAGE.values())

    def garbage(message: Image) -> Image:
        kinds[int(soak.rng.integers(len(kinds)))](message)
        return message

    soak.world.depth = garbage
    _colour_must_do(soak)


def depth_of_other_stamps(soak: Soak) -> None:
    """Between those of images from before or to come, or none at all."""

    def moved(message: Image) -> Image:
        stamp = nanoseconds_of(message.header.stamp)
        images = int(soak.rng.integers(*OTHER_IMAGES)) + 0.5
        ahead = int(images / RATE * NANOSECONDS)
        message.header.stamp = time_message(int(soak.rng.choice([0, stamp + ahead])))
        return message

    soak.world.depth = moved
    _colour_must_do(soak)


def _colour_must_do(soak: Soak) -> None:
    soak.drive(A_WHILE)
    soak.must_localize()


def _readings(message: Image) -> np.ndarray:
    """Millimetres [H x W] of the robot's own depth, float32."""
    values = np.frombuffer(message.data, np.uint16).reshape(message.height, message.width)
    return values.astype(np.float32)


def _with(message: Image, values: np.ndarray) -> Image:
    """The same with other values [H x W], uint16 or float32."""
    message.encoding = "16UC1" if values.dtype == np.uint16 else "32FC1"
    message.height, message.width = (int(side) for side in values.shape)
    message.step = values.itemsize * message.width
    message.data = values.tobytes()
    return message


DEPTH_FAULTS: tuple[Callable[[Soak], None], ...] = (
    depth_stops,
    depth_late,
    depth_in_metres,
    depth_without_readings,
    depth_in_a_wrong_unit,
    depth_of_a_wrong_shape,
    depth_garbage,
    depth_of_other_stamps,
)
