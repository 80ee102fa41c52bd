# SPDX-License-Identifier: Apache-2.0
"""The executor that leaves most of the processor to the network."""

from __future__ import annotations

from rclpy.executors import Executor, SingleThreadedExecutor


def make_executor() -> Executor:
    """The one of rclpy that is told of events, where this rclpy has it.

    The usual one tells DDS of everything that the node waits for, in Python, anew for each message:
    with /clock and TF a fifth of a core, and the interpreter's lock with it.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()
