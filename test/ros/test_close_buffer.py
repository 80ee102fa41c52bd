# SPDX-License-Identifier: Apache-2.0
"""A buffer that is gone is not called any more."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, as what is tested is that it does not crash.
PROGRAM = """
import gc
import rclpy
from rclpy.clock import Clock
from rclpy.clock import ClockType
from rclpy.time import Time
from tf2_ros import Buffer
from dsac_ros.transforms import close_buffer

rclpy.init()
node = rclpy.create_node("robot")
services = len(list(node.services))
clock = node.get_clock()
clock._set_ros_time_is_active(True)
clock.set_ros_time_override(Time(seconds=100, clock_type=ClockType.ROS_TIME))
for cycle in range(20):
    buffer = Buffer(node=node)
    close_buffer(buffer, node)
    del buffer
    gc.collect()
for seconds in (50, 100, 50):
    clock.set_ros_time_override(Time(seconds=seconds, clock_type=ClockType.ROS_TIME))
assert len(list(node.services)) == services
print("jumped")
"""


def test_the_clock_may_jump_after_a_buffer_is_closed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "jumped" in done.stdout
    assert "Clearing" not in done.stderr
