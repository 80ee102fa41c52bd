# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a robot, one fault at a time: the node says so, and tells no lie."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsac_core.geometry.camera import Camera
from dsac_ros.state import State

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
BRIGHT, DARK = (np.full((48, 64, 3), value, np.uint8) for value in (250, 5))
S = 1_000_000_000
FAST = ("-p", "scene:=bright_fast", "-p", "gate_initial_fixes:=1")
FRAMES = ("-p", "odom_frame_id:=odom", "-p", "base_frame_id:=base")


@pytest.fixture
def garbage(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    import bench.soak.garbage

    return bench.soak.garbage.GARBAGE


def message_of(pixels: np.ndarray, stamp: int) -> Any:
    from sensor_msgs.msg import Image

    from dsac_ros.messages import time_message

    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="rgb8")
    message.step = 3 * pixels.shape[1]
    message.header.frame_id, message.header.stamp = "optical", time_message(stamp)
    message.data = pixels.tobytes()
    return message


def see(robot: Any, stamp: int | None = None, camera: Camera = CAMERA) -> Any:
    """The status of a bright image, sent with its calibration."""
    stamp = stamp or time.time_ns()
    robot.send_info(camera, stamp)
    robot.spin(0.05)
    robot.send_image(np.full((camera.height, camera.width, 3), 250, np.uint8), stamp)
    return robot.status_of(stamp)


def test_garbage_of_every_kind_has_a_status_and_no_pose(
    start_stub: Any, robot: Any, garbage: Any
) -> None:
    node = start_stub(*FAST)
    robot.connect()
    assert see(robot).localized
    robot.poses.clear()
    for kind, spoil in garbage.items():
        stamp = time.time_ns()
        message = message_of(BRIGHT, stamp)
        spoil(message)
        robot.image.publish(message)
        status = robot.status_of(stamp)
        assert not status.localized, kind
        assert "image" in status.reason, kind
        assert "internal error" not in status.reason, kind
        assert "\n" not in status.reason, kind
    assert not robot.poses
    assert see(robot).localized
    assert "rror" not in node.output


def test_images_without_a_stamp_are_dropped_and_counted(start_stub: Any, robot: Any) -> None:
    node = start_stub(*FAST)
    robot.connect()
    see(robot)
    robot.statuses.clear()
    robot.image.publish(message_of(BRIGHT, 0))
    node.wait_for("image dropped: no stamp")
    status = see(robot)
    assert status.localized
    assert (status.received, status.dropped) == (3, 1)
    assert len(robot.statuses) == 1


def test_an_image_from_the_future_ends_with_the_next_of_now(start_stub: Any, robot: Any) -> None:
    node = start_stub(*FAST, *FRAMES)
    robot.connect()
    robot.send_static(np.eye(4))
    for _ in range(2):
        robot.send_odometry(np.eye(4), time.time_ns())
        status = see(robot)
    assert status.localized
    # Where it was an hour from now, no odometry can say: the camera's clock alone says so.
    status = see(robot, time.time_ns() + 3600 * S)
    assert "no odometry" in status.reason
    for _ in range(2):  # what was known at the jump, odometry too, is forgotten
        stamp = time.time_ns()
        robot.send_odometry(np.eye(4), stamp)
        assert see(robot, stamp).localized
    assert "jumped back" in node.output
    robot.transforms.clear()
    robot.spin(0.2)
    # map -> odom is of this hour again.
    assert robot.transforms
    assert all(t.header.stamp.sec < time.time() + 60 for t in robot.transforms)


def test_a_stale_image_is_dropped_and_counted(start_stub: Any, robot: Any) -> None:
    node = start_stub(*FAST, "-p", "max_age:=0.5")
    robot.connect()
    robot.image.publish(message_of(BRIGHT, time.time_ns() - S))
    node.wait_for("image dropped: stale")
    status = see(robot)
    assert status.localized
    assert (status.received, status.dropped) == (2, 1)


def test_stamps_twice_or_out_of_order_are_dropped(start_stub: Any, robot: Any) -> None:
    start_stub(*FAST)
    robot.connect()
    stamp = time.time_ns()
    assert see(robot, stamp).localized
    for again in (stamp, stamp - S // 2):
        robot.image.publish(message_of(BRIGHT, again))
    robot.spin(0.3)
    assert len(robot.statuses) == 1
    status = see(robot)
    assert (status.localized, status.received, status.dropped) == (True, 4, 2)


def test_a_simulated_clock_that_jumps_back_starts_over(start_stub: Any, robot: Any) -> None:
    from rosgraph_msgs.msg import Clock

    from dsac_ros.messages import time_message

    clock = robot.node.create_publisher(Clock, "/clock", 10)
    node = start_stub("-p", "scene:=bright_fast", "-p", "use_sim_time:=true")
    robot.connect()
    robot.wait(lambda: clock.get_subscription_count() > 0, "a subscriber of /clock")
    robot.image.publish(message_of(BRIGHT, 100 * S))
    node.wait_for("no /clock comes")
    assert not robot.statuses

    def tick(second: int) -> Any:
        clock.publish(Clock(clock=time_message(second * S)))
        robot.spin(0.1)
        return see(robot, second * S)

    assert [tick(100).state, tick(101).state] == [State.SEARCHING, State.LOCALIZED]
    # Before any image of the new time, and nothing of the old one is believed.
    clock.publish(Clock(clock=time_message(50 * S)))
    node.wait_for("the clock jumped")
    assert [tick(51).state, tick(52).state] == [State.SEARCHING, State.LOCALIZED]


def test_a_camera_that_starts_late_and_stops(start_stub: Any, robot: Any) -> None:
    node = start_stub(*FAST, *FRAMES, "-p", "lost_after:=0.5")
    robot.connect()
    robot.send_static(np.eye(4))
    robot.spin(0.5)
    assert not robot.statuses
    assert not robot.transforms
    stamp = time.time_ns()
    robot.send_odometry(np.eye(4), stamp)
    assert see(robot, stamp).localized
    robot.wait(lambda: bool(robot.transforms), "map -> odom")
    node.wait_for("LOCALIZED -> LOST")
    robot.spin(0.1)
    robot.transforms.clear()
    robot.spin(0.3)
    assert not robot.transforms
    stamp = time.time_ns()
    robot.send_odometry(np.eye(4), stamp)
    assert see(robot, stamp).state == State.LOCALIZED


def test_a_calibration_that_changes_counts_from_the_next_image(start_stub: Any, robot: Any) -> None:
    start_stub(*FAST)
    robot.connect()
    large = CAMERA.scaled(128, 96)
    for camera in (CAMERA, large, CAMERA):
        status = see(robot, camera=camera)
        assert status.localized
        assert f"fx {camera.fx:.0f}" in status.reason
    # That of other images counts for none.
    stamp = time.time_ns()
    robot.send_info(large, stamp)
    robot.spin(0.1)
    robot.send_image(BRIGHT, stamp)
    status = robot.status_of(stamp)
    assert not status.localized
    assert "128x96 pixels, but the image has 64x48" in status.reason


def test_without_the_place_of_the_camera_there_is_no_pose(start_stub: Any, robot: Any) -> None:
    start_stub(*FAST, "-p", "base_frame_id:=base")
    robot.connect()
    status = see(robot)
    assert not status.localized
    assert "no transform from optical to base" in status.reason
    assert not robot.poses
    robot.send_static(np.eye(4))
    robot.spin(0.2)
    assert see(robot).localized


def test_odometry_that_is_late_is_waited_for(start_stub: Any, robot: Any) -> None:
    start_stub(*FAST, *FRAMES, "-p", "transform_timeout:=5.0")
    robot.connect()
    robot.send_static(np.eye(4))
    stamp = time.time_ns()
    robot.send_odometry(np.eye(4), stamp - S)
    robot.send_info(CAMERA, stamp)
    robot.spin(0.05)
    robot.send_image(BRIGHT, stamp)
    robot.spin(0.4)
    assert not robot.statuses
    robot.send_odometry(np.eye(4), stamp + S // 100)
    status = robot.status_of(stamp)
    assert status.localized
    assert "no odometry" not in status.reason
    assert robot.transforms


def test_without_odometry_there_is_a_pose_and_no_map_to_odom(start_stub: Any, robot: Any) -> None:
    start_stub(*FAST, *FRAMES, "-p", "transform_timeout:=0.05")
    robot.connect()
    robot.send_static(np.eye(4))
    robot.spin(0.2)
    status = see(robot)
    assert status.localized
    assert "no odometry" in status.reason
    robot.spin(0.3)
    assert robot.poses
    assert not robot.transforms
    # It begins, pauses, and goes on.
    for gap in (False, True, False):
        stamp = time.time_ns()
        if not gap:
            robot.send_odometry(np.eye(4), stamp)
        status = see(robot, stamp)
        assert status.localized
        assert ("no odometry" in status.reason) == gap
    assert robot.transforms


def test_a_scene_deleted_while_it_runs(
    scenes: Path, tmp_path: Path, start_node_without_map: Any, robot: Any, place: Any
) -> None:
    from dsac_ros.srv import LoadScene

    scene = tmp_path / "corner"
    shutil.copytree(scenes / "corner", scene)
    node = start_node_without_map("-p", f"scene:={scene}", "-p", "gate_initial_fixes:=1")
    robot.connect()
    assert robot.see(place, place.between[12]).localized
    shutil.rmtree(scene)
    assert robot.see(place, place.between[14]).localized
    answer = robot.call(LoadScene, "load_scene", LoadScene.Request(scene=str(scene)))
    assert not answer.success
    assert str(scene) in answer.message
    assert robot.see(place, place.between[16]).localized
    assert "Traceback" not in node.output


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (0.0, signal.SIGINT),
        (0.0, signal.SIGTERM),
        (0.3, signal.SIGTERM),
        (0.6, signal.SIGINT),
        (1.0, signal.SIGTERM),
    ],
)
def test_a_signal_at_any_moment_ends_it_without_a_traceback(
    start_stub: Callable[..., Any], moment: float, number: signal.Signals
) -> None:
    """From the first line of the program on, s later: imports, ROS, the scene, images."""
    node = start_stub(*FAST, ready=False)
    deadline = time.monotonic() + 30.0
    while not catches(node.process.pid, signal.SIGTERM):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(moment)
    assert node.stop(number) == 0
    assert "Traceback" not in node.output


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)
