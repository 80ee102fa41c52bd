# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with cameras, odometry and clocks. Each fault begins with a LOCALIZED node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.soak.garbage import GARBAGE
from bench.soak.robot import NANOSECONDS, nanoseconds_of
from dsac_ros.messages import time_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor_msgs.msg import CameraInfo, Image

    from bench.soak.soak import Soak

    Sent = list[tuple[Image, bool]]

A_WHILE = 4.0  # s
LONGEST_SILENCE = 20.0  # s


def camera_stops(soak: Soak) -> None:
    soak.world.camera = False
    soak.blind(soak.rng.uniform(1.0, LONGEST_SILENCE))


def another_place(soak: Soak) -> None:
    soak.world.elsewhere = True
    soak.blind(_until_lost(soak))


def noise(soak: Soak) -> None:
    def noisy(message: Image) -> Sent:
        message.data = soak.rng.bytes(len(message.data))
        return [(message, False)]

    soak.world.images = noisy
    soak.blind(_until_lost(soak))


def one_colour(soak: Soak) -> None:
    value = int(soak.rng.integers(256))

    def covered(message: Image) -> Sent:
        message.data = bytes([value]) * len(message.data)
        return [(message, False)]

    soak.world.images = covered
    soak.blind(_until_lost(soak))


def only_garbage(soak: Soak) -> None:
    soak.world.images = lambda message: [(_garbage(soak, message), False)]
    soak.blind(_until_lost(soak))


def some_garbage(soak: Soak) -> None:
    def mixed(message: Image) -> Sent:
        if soak.rng.random() < 0.5:
            return [(message, True)]
        return [(_garbage(soak, message), False)]

    soak.world.images = mixed
    soak.drive(A_WHILE)
    soak.must_localize()


def calibration_of_another_size(soak: Soak) -> None:
    def doubled(info: CameraInfo) -> CameraInfo:
        info.width, info.height = 2 * info.width, 2 * info.height
        return info

    soak.world.calibration = doubled
    # The last good calibration holds until the wrong one has come.
    soak.drive(0.5)
    soak.blind(_until_lost(soak))


def not_calibrated(soak: Soak) -> None:
    def empty(info: CameraInfo) -> CameraInfo:
        info.k, info.d = [0.0] * 9, []
        return info

    soak.world.calibration = empty
    soak.drive(0.5)
    soak.blind(_until_lost(soak))


def calibration_stops(soak: Soak) -> None:
    """The last one holds."""
    soak.world.calibration = lambda _: None
    soak.drive(A_WHILE)
    soak.must_localize()


def larger_images(soak: Soak) -> None:
    """Another resolution, with the calibration that belongs to it."""
    soak.world.scale = 1.5
    soak.drive(A_WHILE)
    soak.must_localize()


def stamps_of_zero(soak: Soak) -> None:
    def unstamped(message: Image) -> Sent:
        if soak.rng.random() < 0.5:
            return [(message, True)]
        message.header.stamp = time_message(0)
        return [(message, False)]

    soak.world.images = unstamped
    soak.drive(A_WHILE)
    soak.must_localize()


def stamps_of_the_future(soak: Soak) -> None:
    """One image from the future, after which all others are from before."""
    ahead = int(soak.rng.uniform(0.2, 3600.0) * NANOSECONDS)
    soak.world.images = lambda message: [(_stamped(message, ahead), True)]
    soak.drive_until(lambda: False, 0.1)
    soak.world.images = lambda message: [(message, True)]
    soak.oracle.forget(time.monotonic())
    soak.must_localize()


def stamps_twice_and_out_of_order(soak: Soak) -> None:
    sent: list[Image] = []

    def repeated(message: Image) -> Sent:
        sent.append(message)
        old = sent[-int(soak.rng.integers(1, min(len(sent), 8) + 1))]
        return [(message, True), (old, True)]

    soak.world.images = repeated
    soak.drive(A_WHILE)
    soak.must_localize()


def clock_jumps(soak: Soak) -> None:
    """Back, or where it is behind already, forward to the right time."""
    back = soak.robot.offset >= 0.0
    soak.robot.offset = -soak.rng.uniform(2.0, 60.0) if back else 0.0
    if back:
        soak.must_start_over()
    soak.oracle.forget(time.monotonic())
    soak.must_localize()


def bag_loops(soak: Soak) -> None:
    for _ in range(3):
        position, offset = soak.robot.position, soak.robot.offset
        soak.drive(2.0)
        soak.robot.position, soak.robot.offset = position, offset - 2.0
        soak.must_start_over()
    soak.must_localize()


def odometry_stops(soak: Soak) -> None:
    """Poses come without; map -> odom stays as it is."""
    soak.world.odometry = False
    soak.drive(soak.rng.uniform(1.0, 8.0))
    soak.must_localize()


def odometry_late(soak: Soak) -> None:
    soak.world.odometry_delay = soak.rng.uniform(0.02, 0.5)
    soak.drive(A_WHILE)
    soak.must_localize()


def odometry_jumps(soak: Soak) -> None:
    soak.robot.jump_odometry()
    soak.must_localize()


def carried_away(soak: Soak) -> None:
    soak.robot.carry_away()
    soak.must_localize()


def carried_away_blindly(soak: Soak) -> None:
    """While the camera stands still, not long enough to be lost."""
    soak.world.camera = False
    soak.drive(0.5 * soak.oracle.lost_after)
    soak.robot.carry_away()
    soak.world.camera = True
    soak.must_localize()


def _until_lost(soak: Soak) -> float:
    """And so long after it that what must have stopped has stopped."""
    return soak.oracle.lost_after + 2.0 * soak.oracle.margin + 1.0


def _garbage(soak: Soak, message: Image) -> Image:
    kinds = list(GARBAGE.values())
    kinds[int(soak.rng.integers(len(kinds)))](message)
    return message


def _stamped(message: Image, ahead: int) -> Image:
    message.header.stamp = time_message(nanoseconds_of(message.header.stamp) + ahead)
    return message


SENSOR_FAULTS: tuple[Callable[[Soak], None], ...] = (
    camera_stops,
    another_place,
    noise,
    one_colour,
    only_garbage,
    some_garbage,
    calibration_of_another_size,
    not_calibrated,
    calibration_stops,
    larger_images,
    stamps_of_zero,
    stamps_of_the_future,
    stamps_twice_and_out_of_order,
    clock_jumps,
    bag_loops,
    odometry_stops,
    odometry_late,
    odometry_jumps,
    carried_away,
    carried_away_blindly,
)
