# SPDX-License-Identifier: Apache-2.0
"""What comes in beside the images of one camera: depth, more cameras, where it is said to be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dsac_core.geometry.camera import Camera
from dsac_ros.messages import pose_message, time_message

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
BRIGHT = np.full((48, 64, 3), 250, np.uint8)


def depth_message(values: np.ndarray, stamp: int) -> Any:
    from sensor_msgs.msg import Image

    encoding = {"uint16": "16UC1", "float32": "32FC1"}[values.dtype.name]
    message = Image(height=values.shape[0], width=values.shape[1], encoding=encoding)
    message.step = values.strides[0]
    message.header.stamp = time_message(stamp)
    message.data = values.tobytes()
    return message


def see(robot: Any, depth: Any = None, publisher: Any = None, *, late: bool = False) -> Any:
    """Send an image with its calibration, and depth before or after it; the status of it."""
    stamp = time.time_ns()
    robot.send_info(CAMERA, stamp)
    robot.spin(0.05)
    messages = [] if depth is None else [depth_message(depth, stamp + 5_000_000)]
    if not late:
        for message in messages:
            publisher.publish(message)
        robot.spin(0.05)
    robot.send_image(BRIGHT, stamp)
    if late:
        for message in messages:
            publisher.publish(message)
    return robot.status_of(stamp)


@pytest.mark.parametrize("late", [False, True])
def test_depth_of_the_stamp_of_the_image_is_used(
    late: bool, start_stub: Any, make_robot: Callable[..., Any]
) -> None:
    from sensor_msgs.msg import Image

    robot = make_robot()
    start_stub("-p", "scene:=fast", "-p", "rgbd:=true", "-p", "depth_timeout:=5.0")
    publisher = robot.node.create_publisher(Image, "depth", 5)
    robot.connect()
    robot.wait(lambda: publisher.get_subscription_count() > 0, "a subscriber of the depth")
    millimetres = np.full((48, 64), 2000, np.uint16)
    assert "depth of 2.00 m" in see(robot, millimetres, publisher, late=late).reason
    # REP-117, REP-118: no reading is no depth.
    metres = np.full((48, 64), 3.0, np.float32)
    metres[:16], metres[16:24], metres[24:32] = np.nan, np.inf, -np.inf
    assert "depth of 1.00 m" in see(robot, metres, publisher, late=late).reason


def test_without_depth_the_image_is_used_and_the_status_says_so(
    start_stub: Any, make_robot: Callable[..., Any]
) -> None:
    robot = make_robot()
    start_stub("-p", "scene:=fast", "-p", "rgbd:=true", "-p", "gate_initial_fixes:=1")
    robot.connect()
    status = see(robot)
    assert status.localized
    assert "no depth" in status.reason
    assert "without depth: none on /depth within 20 ms" in status.reason


def test_several_cameras_take_turns(start_stub: Any, make_robot: Callable[..., Any]) -> None:
    """Each is where TF says; poses are of the base."""
    from tf2_msgs.msg import TFMessage

    from dsac_ros.messages import transform_message

    left, right = make_robot(namespace="left"), make_robot(namespace="right")
    start_stub(
        "-p", "scene:=slow", "-p", "cameras:=[left,right]", "-p", "base_frame_id:=base",
        "-p", "gate_initial_fixes:=1", "-p", "gate_floor_translation:=1.0",
    )  # fmt: skip
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])
    left._tf_static.publish(
        TFMessage(transforms=[transform_message(turned, "base", "left_optical", 1)])
    )
    right._tf_static.publish(
        TFMessage(transforms=[transform_message(np.eye(4), "base", "right_optical", 1)])
    )
    statuses: list[Any] = []
    poses: list[Any] = []
    from dsac_ros.msg import RelocalizationStatus
    from geometry_msgs.msg import PoseWithCovarianceStamped

    node = left.node
    node.create_subscription(RelocalizationStatus, "/relocalizer/status", statuses.append, 50)
    node.create_subscription(PoseWithCovarianceStamped, "/relocalizer/pose", poses.append, 50)
    for robot in (left, right):
        robot.wait(lambda robot=robot: robot.image.get_subscription_count() > 0, "a subscriber")

    def feed() -> bool:
        for robot, frame in ((left, "left_optical"), (right, "right_optical")):
            stamp = time.time_ns()
            robot.send_info(CAMERA, stamp)
            robot.send_image(BRIGHT, stamp, frame_id=frame)
        time.sleep(0.05)
        return len(statuses) >= 6

    left.wait(feed, "six images")
    frames = [status.header.frame_id for status in statuses[-4:]]
    assert frames in (
        ["left_optical", "right_optical"] * 2,
        ["right_optical", "left_optical"] * 2,
    )
    assert poses


def test_an_initial_pose_makes_the_first_fix_count(
    start_stub: Any, make_robot: Callable[..., Any]
) -> None:
    """The stub is always at the origin; three fixes would have to agree."""
    from geometry_msgs.msg import PoseWithCovarianceStamped

    robot = make_robot()
    node = start_stub("-p", "scene:=fast", "-p", "gate_initial_fixes:=3")
    publisher = robot.node.create_publisher(PoseWithCovarianceStamped, "initialpose", 1)
    robot.connect()
    robot.wait(lambda: publisher.get_subscription_count() > 0, "a subscriber of initialpose")
    first = see(robot)
    assert not first.localized
    near = np.eye(4)
    near[0, 3] = 0.1
    publisher.publish(pose_message(near, 0.04 * np.eye(6), "map", time.time_ns()))
    robot.spin(0.3)
    second = see(robot)
    assert second.localized
    assert "the pose to start from" in second.reason
    broken = pose_message(near, 0.04 * np.eye(6), "map", time.time_ns())
    broken.pose.pose.position.x = float("nan")
    publisher.publish(broken)
    node.wait_for("not finite")
    assert see(robot).localized


def test_between_fixes_the_robot_is_told_where_it_must_be(
    start_stub: Any, make_robot: Callable[..., Any]
) -> None:
    """By odometry, with a covariance that grows with the way; nothing before the first fix."""
    from geometry_msgs.msg import PoseWithCovarianceStamped

    robot = make_robot()
    start_stub(
        "-p", "scene:=fast", "-p", "gate_initial_fixes:=1", "-p", "odom_frame_id:=odom",
        "-p", "base_frame_id:=base", "-p", "lost_after:=60.0",
    )  # fmt: skip
    predicted: list[Any] = []
    robot.node.create_subscription(
        PoseWithCovarianceStamped, "relocalizer/predicted_pose", predicted.append, 50
    )
    robot.connect()
    robot.send_static(np.eye(4))
    robot.send_odometry(np.eye(4), time.time_ns())
    robot.spin(0.5)
    assert not predicted
    stamp = time.time_ns()
    robot.send_odometry(np.eye(4), stamp)
    robot.send_info(CAMERA, stamp)
    robot.spin(0.05)
    robot.send_image(BRIGHT, stamp)
    assert robot.status_of(stamp).localized
    moved = np.eye(4)
    moved[0, 3] = 2.0
    robot.send_odometry(moved, time.time_ns())
    robot.wait(
        lambda: any(abs(p.pose.pose.position.x - 2.0) < 1e-6 for p in predicted), "a prediction"
    )
    latest = predicted[-1]
    assert latest.header.frame_id == "map"
    assert latest.pose.covariance[0] == pytest.approx(1e-4 + 0.2**2, rel=0.01)
