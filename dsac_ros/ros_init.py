# SPDX-License-Identifier: Apache-2.0
"""Starts ROS in a process, with errors in the ROS arguments told in one line."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType


def init_ros(arguments: Sequence[str]) -> None:
    """``rclpy.init``, with SIGINT and SIGTERM as KeyboardInterrupt in the main thread.

    rclpy's own handlers wake the executor from another thread, and that call can be lost while the
    executor is about to wait: a node whose clock stood still was seen to miss it for ever.

    Raises:
        ConfigError: The arguments after ``--ros-args`` cannot be used.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rclpy's own classes for it are private
        raise _readable(error) from error


def without_ros_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments that are not for ROS.

    Raises:
        ConfigError: As ``init_ros``.
    """
    try:
        return list(remove_ros_args(list(arguments)))
    except RuntimeError as error:
        raise _readable(error) from error


def note_signals() -> Callable[[], bool]:
    """From now on a signal raises nothing; call what this returns to hear whether one came.

    An executor would report a KeyboardInterrupt as an error of the callback that it hits.
    """
    came: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signal_number, _frame: came.append(signal_number))
    return lambda: bool(came)


def ignore_signals() -> None:
    """From now on nothing interrupts the end, not even the second signal that launch sends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _readable(error: RuntimeError) -> ConfigError:
    why = " ".join(str(error).split(", at /")[0].split())
    return ConfigError(f"ROS arguments: {why}")
