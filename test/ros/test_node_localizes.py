# SPDX-License-Identifier: Apache-2.0
"""A node, a robot, real DDS between them: poses and TF come, and they are right."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from dsac_core.geometry.pose import from_quaternion, invert, pose_error
from dsac_ros.frames import is_honest
from dsac_ros.state import State

SCENE = ("-p", "scene:=corner")
FRAMES = ("-p", "odom_frame_id:=odom", "-p", "base_frame_id:=base")
S = 1_000_000_000

# The odometry began somewhere else and turned.
MAP_T_ODOM = from_quaternion([2.0, -1.5, 0.0], [0.0, 0.0, math.sin(0.4), math.cos(0.4)])
ODOM_T_MAP = invert(MAP_T_ODOM)


def nanoseconds(stamp: Any) -> int:
    return int(stamp.sec * S + stamp.nanosec)


def pose_of(message: Any) -> np.ndarray:
    at, turn = message.pose.pose.position, message.pose.pose.orientation
    return from_quaternion([at.x, at.y, at.z], [turn.x, turn.y, turn.z, turn.w])


def transform_of(message: Any) -> np.ndarray:
    at, turn = message.transform.translation, message.transform.rotation
    return from_quaternion([at.x, at.y, at.z], [turn.x, turn.y, turn.z, turn.w])


def test_poses_and_map_to_odom_are_right(start_node: Any, robot: Any, place: Any) -> None:
    node = start_node(*SCENE, *FRAMES, "-p", "transform_tolerance:=0.3")
    robot.connect()
    robot.send_static(place.walk.base_T_cam)
    robot.spin(0.3)
    assert not robot.poses
    assert not robot.transforms

    truth = {}
    for map_T_base in place.between[6:36:2]:
        status = robot.see(place, map_T_base, odom_T_map=ODOM_T_MAP)
        truth[nanoseconds(status.header.stamp)] = map_T_base
        if len(truth) == 1:
            # One fix is no proof.
            assert (status.localized, status.state) == (False, State.SEARCHING)
            assert not robot.poses
            assert not robot.transforms
    assert (status.scene, status.header.frame_id) == ("corner", "optical")
    assert 0 < status.inliers <= status.correspondences
    assert 0 < status.landmark_inliers < status.inliers
    assert 0.5 < status.confidence <= 1.0
    assert {"decode", "encode", "ransac", "transforms"} <= set(status.stage_names)
    assert len(status.stage_seconds) == len(status.stage_names)
    assert 0 < sum(status.stage_seconds) <= status.latency < 10
    assert status.received == len(truth)

    localized = [s for s in robot.statuses if s.localized]
    assert len(localized) >= 10, [s.reason for s in robot.statuses]
    # A pose for exactly those images, with exactly their stamps.
    stamps = [nanoseconds(s.header.stamp) for s in localized]
    assert [nanoseconds(p.header.stamp) for p in robot.poses] == stamps
    errors = [pose_error(pose_of(p), truth[nanoseconds(p.header.stamp)]) for p in robot.poses]
    assert np.median([metres for metres, _ in errors]) < 0.10
    assert np.median([radians for _, radians in errors]) < math.radians(5)
    assert max(metres for metres, _ in errors) < 0.5
    for pose in robot.poses:
        assert pose.header.frame_id == "map"
        assert is_honest(np.array(pose.pose.covariance).reshape(6, 6))

    # TF: the correction of the odometry, post-dated, in time order.
    corrections = [t for t in robot.transforms if t.child_frame_id == "odom"]
    assert len(corrections) >= len(localized)
    offsets = [
        pose_error(transform_of(t) @ ODOM_T_MAP @ map_T_base, map_T_base)[0]
        for t in corrections
        for map_T_base in [truth[stamps[-1]]]
    ]
    assert np.median(offsets) < 0.15
    tf_stamps = [nanoseconds(t.header.stamp) for t in corrections]
    assert tf_stamps == sorted(tf_stamps)
    assert tf_stamps[-1] > stamps[-1] + 0.3 * S

    # It is sent again without any image, until the robot is lost.
    before = len(robot.transforms)
    robot.spin(0.5)
    assert len(robot.transforms) >= before + 4
    assert abs(nanoseconds(robot.transforms[-1].header.stamp) - time.time_ns() - 0.3 * S) < S
    assert node.process.poll() is None


def test_nothing_for_images_of_another_place(
    start_node: Any, robot: Any, place: Any, another_place: Any
) -> None:
    start_node(*SCENE, *FRAMES)
    robot.connect()
    robot.send_static(place.walk.base_T_cam)
    for map_T_base in another_place.between[6:36:3]:
        status = robot.see(another_place, map_T_base, odom_T_map=ODOM_T_MAP)
        assert not status.localized
        assert status.state == State.SEARCHING
        assert status.reason
    robot.spin(0.3)
    assert not robot.poses
    assert not robot.transforms


def test_lost_ends_tf_and_the_robot_is_found_again(
    start_node: Any, robot: Any, place: Any, another_place: Any
) -> None:
    start_node(*SCENE, *FRAMES, "-p", "lost_after:=0.6")
    robot.connect()
    robot.send_static(place.walk.base_T_cam)
    views = list(place.between[10:30])
    for map_T_base in views[:4]:
        robot.see(place, map_T_base, odom_T_map=ODOM_T_MAP)
    assert robot.transforms
    # Silence alone loses the robot: TF stops.
    robot.spin(1.5)
    robot.transforms.clear()
    poses = len(robot.poses)
    robot.spin(0.4)
    assert not robot.transforms
    status = robot.see(another_place, views[4], odom_T_map=ODOM_T_MAP)
    assert status.state == State.LOST
    assert len(robot.poses) == poses
    states = [robot.see(place, view, odom_T_map=ODOM_T_MAP).state for view in views[5:9]]
    assert states[-1] == State.LOCALIZED
    assert robot.transforms


def test_map_to_base_is_sent_once_at_the_stamp_of_the_image(
    start_node: Any, robot: Any, place: Any
) -> None:
    start_node(*SCENE, "-p", "base_frame_id:=base", "-p", "tf_mode:=map_to_base")
    robot.connect()
    robot.send_static(place.walk.base_T_cam)
    truth = {}
    for map_T_base in place.between[10:20]:
        status = robot.see(place, map_T_base)
        truth[nanoseconds(status.header.stamp)] = map_T_base
    robot.spin(0.4)
    assert {t.child_frame_id for t in robot.transforms} == {"base"}
    stamps = [nanoseconds(t.header.stamp) for t in robot.transforms]
    assert stamps == [nanoseconds(p.header.stamp) for p in robot.poses]
    errors = [
        pose_error(transform_of(t), truth[stamp])[0]
        for t, stamp in zip(robot.transforms, stamps, strict=True)
    ]
    assert len(errors) >= 5
    assert np.median(errors) < 0.10


def test_compressed_images_of_a_camera_alone(start_node: Any, robot: Any, place: Any) -> None:
    """Without frames the pose is that of the camera, and there is no TF."""
    start_node(*SCENE, "-p", "image_transport:=compressed")
    robot.connect(compressed=True)
    errors = []
    for map_T_base in place.between[10:20]:
        status = robot.see(place, map_T_base, compressed=True)
        if status.localized:
            camera = map_T_base @ place.walk.base_T_cam
            errors.append(pose_error(pose_of(robot.poses[-1]), camera)[0])
    assert len(errors) >= 5
    assert np.median(errors) < 0.15
    assert not robot.transforms


def test_two_robots_on_one_machine(start_node: Any, make_robot: Any, place: Any) -> None:
    one, two = make_robot(namespace="one"), make_robot(namespace="two")
    for name in ("one", "two"):
        start_node(*SCENE, "-r", f"__ns:=/{name}")
    for robot in (one, two):
        robot.connect()
    for map_T_base in place.between[10:14]:
        one.see(place, map_T_base)
    assert one.poses
    assert not two.statuses
    assert not two.poses
    for map_T_base in place.between[14:18]:
        two.see(place, map_T_base)
    assert two.poses
    assert len(one.statuses) == 4


def test_a_bag_that_starts_again_starts_the_search_again(
    start_node: Any, robot: Any, place: Any
) -> None:
    node = start_node(*SCENE, *FRAMES)
    robot.connect()
    robot.send_static(place.walk.base_T_cam)

    def play() -> list[int]:
        return [
            robot.see(
                place, map_T_base, odom_T_map=ODOM_T_MAP, stamp=(1000 + index) * S // 10
            ).state
            for index, map_T_base in enumerate(place.between[10:26])
        ]

    first, second = play(), play()
    for states in (first, second):
        assert states[0] == State.SEARCHING
        assert states[-1] == State.LOCALIZED
    node.wait_for("jumped back")


@pytest.mark.parametrize("calibrated", [None, False])
def test_an_image_without_calibration_has_a_status_and_no_pose(
    start_node: Any, robot: Any, place: Any, calibrated: bool | None
) -> None:
    start_node(*SCENE, "-p", "gate_initial_fixes:=1")
    robot.connect()
    view = place.between[12]
    for _ in range(2):
        stamp = time.time_ns()
        if calibrated is not None:
            robot.send_info(place.camera, stamp, calibrated=calibrated)
            robot.spin(0.1)
        robot.send_image(place.view(view), stamp)
        status = robot.status_of(stamp)
        assert not status.localized
        expected = "no camera_info yet on /camera_info" if calibrated is None else "not calibrated"
        assert expected in status.reason
    assert not robot.poses
    # Once it is calibrated, it works.
    assert robot.see(place, view).localized
