# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile that ships: colour and depth at full size, best effort, all arrive."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

COUNT = 45
PUBLISHER = """
import sys, time
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

count = int(sys.argv[1])
rclpy.init()
node = Node("camera")
qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
colour = node.create_publisher(Image, "full/colour", qos)
depth = node.create_publisher(Image, "full/depth", qos)
while not (colour.get_subscription_count() and depth.get_subscription_count()):
    time.sleep(0.05)
time.sleep(1.0)
for index in range(count):
    for publisher, size in ((colour, 3), (depth, 2)):
        message = Image(height=480, width=640, step=640 * size)
        message.header.stamp.sec = index
        message.data = bytes([index % 256]) * (640 * 480 * size)
        publisher.publish(message)
    time.sleep(1 / 15)
time.sleep(1.0)
"""


def test_large_images_arrive_complete(ros: None, tmp_path: Path) -> None:
    node = Node("listener")
    # A deep queue: this is about the transport, not about how fast this process is.
    qos = QoSProfile(depth=COUNT, reliability=ReliabilityPolicy.BEST_EFFORT)
    received: dict[str, list[int]] = {"full/colour": [], "full/depth": []}

    def keep(topic: str, message: Image) -> None:
        assert message.data[0] == message.data[-1] == message.header.stamp.sec % 256
        received[topic].append(message.header.stamp.sec)

    for topic in received:
        node.create_subscription(Image, topic, lambda m, topic=topic: keep(topic, m), qos)
    script = tmp_path / "camera.py"
    script.write_text(PUBLISHER)
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor()
    executor.add_node(node)
    publisher = subprocess.Popen([sys.executable, str(script), str(COUNT)])
    deadline = time.monotonic() + 60
    while publisher.poll() is None:
        assert time.monotonic() < deadline
        executor.spin_once(timeout_sec=0.05)
    executor.remove_node(node)
    node.destroy_node()
    assert received == {topic: list(range(COUNT)) for topic in received}
