# SPDX-License-Identifier: Apache-2.0
"""The diagnostics of a whole node, put together from what its parts know."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dsac_ros.camera_diagnostics import CameraDiagnostics
from dsac_ros.diagnostics import Level
from dsac_ros.image_records import Outcome
from dsac_ros.stamps import Verdict
from dsac_ros.state import State

TASKS = ["localization", "camera left", "camera right"]


@pytest.fixture
def node(ros: None) -> Iterator[Any]:
    from rclpy.node import Node

    made = Node("relocalizer")
    yield made
    made.destroy_node()


def test_localization_and_every_camera_report(node: Any) -> None:
    from sensor_msgs.msg import Image

    from dsac_ros.health import Health

    cameras = [
        CameraDiagnostics(f"/{name}/image", f"/{name}/camera_info", "raw", task=f"camera {name}")
        for name in ("left", "right")
    ]
    sources = SimpleNamespace(
        cameras=cameras, verdicts=Counter({Verdict.STALE: 2}), replaced=3, received=9
    )
    node.create_publisher(Image, "/left/image", 1)
    health = Health(node, sources, lambda: State.LOST, "cpu", ["office", "lab"])
    for camera in cameras:
        camera.open(time.monotonic() - 100.0)
    health.record(Outcome(0, "", State.LOST, False, "it is dark"), 0.06)

    localization, left, right = health.reports()
    assert [each.task for each in (localization, left, right)] == TASKS
    assert (localization.level, localization.message) == (Level.ERROR, "lost: it is dark")
    assert localization.values["scene"] == "office, lab"
    assert localization.values["images dropped"] == "5"
    assert localization.values["latency total p50 (ms)"] == "60.0"
    assert (left.values["image publishers"], right.values["image publishers"]) == ("1", "0")

    health.reset(["garden"])
    again = health.reports()[0]
    assert again.values["scene"] == "garden"
    assert "it is dark" not in again.message
    health.close()
