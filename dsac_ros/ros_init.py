# SPDX-License-Identifier: Apache-2.0
"""Starts ROS in a process, with errors in the ROS arguments told in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rclpy
from rclpy.utilities import remove_ros_args

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


def init_ros(arguments: Sequence[str]) -> None:
    """``rclpy.init``.

    Raises:
        ConfigError: The arguments after ``--ros-args`` cannot be used.
    """
    try:
        rclpy.init(args=list(arguments))
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


def _readable(error: RuntimeError) -> ConfigError:
    why = " ".join(str(error).split(", at /")[0].split())
    return ConfigError(f"ROS arguments: {why}")
