# SPDX-License-Identifier: Apache-2.0
"""Reports as diagnostic_msgs, once a second, as diagnostic_updater sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType

from dsac_ros.messages import time_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rclpy.node import Node

    from dsac_ros.diagnostics import Report

PERIOD = 1.0  # s, of diagnostic_updater


class DiagnosticPublisher:
    """Sends reports on /diagnostics for as long as it is open.

    Args:
        node: Owns the publisher and the timer.
        collect: Makes the reports; called in the node's executor.
    """

    def __init__(self, node: Node, collect: Callable[[], Sequence[Report]]) -> None:
        """Start at once."""
        self._node = node
        self._collect = collect
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Simulated time that stands still must not silence what would tell of it.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD, self.publish, clock=steady)

    def publish(self) -> None:
        """Send the reports of now."""
        stamp = self._node.get_clock().now().nanoseconds
        name = self._node.get_fully_qualified_name()
        self._publisher.publish(diagnostic_message(self._collect(), name, stamp))

    def close(self) -> None:
        """Stop, and destroy the publisher."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)


def diagnostic_message(reports: Sequence[Report], node: str, stamp: int) -> DiagnosticArray:
    """All reports of a node, at ``stamp`` nanoseconds.

    diagnostic_updater names a status after the node alone, so those of two robots would be one;
    here the namespace belongs to the name.
    """
    message = DiagnosticArray()
    message.header.stamp = time_message(stamp)
    message.status = [
        DiagnosticStatus(
            level=bytes([report.level]),
            name=f"{node.lstrip('/')}: {report.task}",
            message=report.message,
            hardware_id=report.hardware_id,
            values=[KeyValue(key=key, value=value) for key, value in report.values.items()],
        )
        for report in reports
    ]
    return message
