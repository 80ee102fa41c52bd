# SPDX-License-Identifier: Apache-2.0
"""The debug image, the cloud and the diagnostics, over real DDS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dsac_core.errors import CameraError
from dsac_ros.camera_diagnostics import CameraDiagnostics
from dsac_ros.debug_image import Caption
from dsac_ros.diagnostics import Level, Report
from dsac_ros.image_records import Frame, Outcome
from dsac_ros.reprojection import Reprojection
from dsac_ros.state import State

STAMP = 1_234_567_890_123
PATIENCE = 20.0  # s
CAPTION = Caption(State.SEARCHING, "office")
PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)


def seen(count: int = 3) -> Reprojection:
    pixels = np.linspace([5.0, 6.0], [50.0, 30.0], count)
    points = np.arange(3.0 * count).reshape(count, 3)
    kinds = np.zeros(count, bool)
    return Reprojection(pixels, points, kinds, pixels + 1.0, np.full(count, 1.4), 10.0)


class Stage:
    """A lifecycle node with publishers, and another node that listens."""

    def __init__(self) -> None:
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.lifecycle import LifecycleNode
        from rclpy.node import Node

        self.node = LifecycleNode("relocalizer", namespace="robot_1")
        self.listener = Node("listener")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._executor.add_node(self.listener)

    def activate(self) -> None:
        self.node.trigger_configure()
        self.node.trigger_activate()

    def listen(self, kind: type, topic: str) -> list[Any]:
        heard: list[Any] = []
        self.listener.create_subscription(kind, topic, heard.append, 5)
        return heard

    def wait(self, condition: Callable[[], Any], act: Callable[[], Any] = lambda: None) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            act()
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.node.destroy_node()
        self.listener.destroy_node()


@pytest.fixture
def stage(ros: None) -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_pictures_are_sent_only_to_those_who_want_them(stage: Stage) -> None:
    from cv_bridge import CvBridge
    from sensor_msgs.msg import Image, PointCloud2

    from dsac_ros.pictures import Pictures

    pictures = Pictures(stage.node, "map")
    stage.activate()
    assert not pictures.wanted

    def publish() -> None:
        pictures.publish(PICTURE, seen(), CAPTION, stamp=STAMP, frame_id="optical")

    images = stage.listen(Image, "/robot_1/relocalizer/debug_image")
    stage.wait(lambda: pictures.wanted)
    stage.wait(lambda: images, publish)
    assert (images[0].header.frame_id, nanoseconds(images[0])) == ("optical", STAMP)
    decoded = CvBridge().imgmsg_to_cv2(images[0], "rgb8")
    assert decoded.shape == PICTURE.shape
    assert (decoded != PICTURE).any()

    clouds = stage.listen(PointCloud2, "/robot_1/relocalizer/scene_points")
    stage.wait(lambda: clouds, publish)
    cloud = clouds[0]
    assert (cloud.header.frame_id, nanoseconds(cloud)) == ("map", STAMP)
    names = [(field.name, field.offset, field.datatype, field.count) for field in cloud.fields]
    assert names == [(n, 4 * i, 7, 1) for i, n in enumerate(("x", "y", "z", "rgb", "error"))]
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 3, 20, 60)
    values = np.frombuffer(bytes(cloud.data), np.float32).reshape(3, 5)
    np.testing.assert_array_equal(values[:, :3], seen().points_N3)
    pictures.close()


def test_an_image_in_which_nothing_was_seen_makes_no_cloud(stage: Stage) -> None:
    from sensor_msgs.msg import Image, PointCloud2

    from dsac_ros.pictures import Pictures

    pictures = Pictures(stage.node, "map")
    stage.activate()
    images = stage.listen(Image, "/robot_1/relocalizer/debug_image")
    clouds = stage.listen(PointCloud2, "/robot_1/relocalizer/scene_points")
    stage.wait(
        lambda: images,
        lambda: pictures.publish(PICTURE, None, CAPTION, stamp=STAMP, frame_id="optical"),
    )
    assert not clouds
    pictures.close()


def test_showing_explains_the_estimate_and_then_rests(stage: Stage) -> None:
    from sensor_msgs.msg import Image

    from dsac_ros.pictures import Pictures

    asked: list[tuple[Any, ...]] = []

    def explain(*arguments: Any) -> Reprojection:
        asked.append(arguments)
        return seen()

    estimate = SimpleNamespace(
        world_T_cam=np.eye(4), inliers=3, correspondences=3, confidence=0.5, score=0.5
    )
    outcome = Outcome(STAMP, "optical", State.LOCALIZED, True, "3 of 3 agree")
    frame = Frame(STAMP, "optical", lambda: PICTURE, lambda width, height: (width, height))
    pictures = Pictures(stage.node, "map", max_rate=0.001)
    stage.activate()

    def show(outcome: Outcome, frame: Frame = frame) -> None:
        pictures.show(frame, outcome, scene="office", explain=explain, latency=0.06)

    show(replace(outcome, estimate=estimate))
    images = stage.listen(Image, "/robot_1/relocalizer/debug_image")
    stage.wait(lambda: pictures.wanted)
    assert not asked, "nobody looked"
    show(replace(outcome, estimate=estimate, skipped=True))
    assert not asked
    show(replace(outcome, estimate=estimate))
    show(replace(outcome, estimate=estimate))
    stage.wait(lambda: images)
    assert len(asked) == 1
    assert asked[0][0] is PICTURE
    assert asked[0][1] == (64, 48)
    pictures.close()


def test_showing_an_image_that_cannot_be_decoded_or_gave_no_estimate(stage: Stage) -> None:
    from sensor_msgs.msg import Image

    from dsac_ros.pictures import Pictures

    def damaged() -> Any:
        msg = "damaged"
        raise CameraError(msg)

    outcome = Outcome(STAMP, "optical", State.SEARCHING, False, "no camera_info yet")
    pictures = Pictures(stage.node, "map", max_rate=1e6)
    stage.activate()
    images = stage.listen(Image, "/robot_1/relocalizer/debug_image")
    stage.wait(lambda: pictures.wanted)

    def show(decode: Callable[[], Any]) -> None:
        frame = Frame(STAMP, "optical", decode, lambda _width, _height: damaged())
        pictures.show(frame, outcome, scene="office", explain=None, latency=0.06)

    show(damaged)
    stage.wait(lambda: images, lambda: show(lambda: PICTURE))
    pictures.close()


def test_diagnostics_come_every_second_under_the_name_of_the_robot(stage: Stage) -> None:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    from dsac_ros.diagnostic_messages import DiagnosticPublisher

    camera = CameraDiagnostics("/image", "/camera_info", "raw")
    reports = [
        Report("localization", Level.ERROR, "lost", {"scene": "office"}),
        camera.report(0.0, {"/image": 0, "/camera_info": 0}),
    ]
    publisher = DiagnosticPublisher(stage.node, lambda: reports)
    heard = stage.listen(DiagnosticArray, "/diagnostics")
    stage.wait(lambda: len(heard) >= 2)
    apart = nanoseconds(heard[1]) - nanoseconds(heard[0])
    assert 0.5e9 < apart < 5e9
    first, second = heard[0].status
    assert first.name == "robot_1/relocalizer: localization"
    assert (first.level, first.message, first.hardware_id) == (
        DiagnosticStatus.ERROR,
        "lost",
        "none",
    )
    assert [(pair.key, pair.value) for pair in first.values] == [("scene", "office")]
    assert (second.name, second.level) == ("robot_1/relocalizer: camera", DiagnosticStatus.STALE)
    publisher.close()


def test_diagnostics_do_not_wait_for_simulated_time(stage: Stage) -> None:
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.parameter import Parameter

    from dsac_ros.diagnostic_messages import DiagnosticPublisher

    stage.node.set_parameters([Parameter("use_sim_time", value=True)])
    publisher = DiagnosticPublisher(stage.node, lambda: [Report("camera", Level.OK, "")])
    heard = stage.listen(DiagnosticArray, "/diagnostics")
    stage.wait(lambda: heard)
    assert nanoseconds(heard[0]) == 0
    publisher.close()


def test_the_levels_are_those_of_the_message() -> None:
    from diagnostic_msgs.msg import DiagnosticStatus

    for level in Level:
        assert getattr(DiagnosticStatus, level.name) == bytes([level])


def nanoseconds(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)
