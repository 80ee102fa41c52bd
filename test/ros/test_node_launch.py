# SPDX-License-Identifier: Apache-2.0
"""The launch file, where launch is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

# Not importorskip("launch"): from the root of the repository that finds our folder of launch files.
launch_ros = pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI; needs a real ROS")

needs_ros2 = pytest.mark.skipif(shutil.which("ros2") is None, reason="needs the ros2 command")
LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "relocalize.launch.py"


def description() -> Any:
    spec = importlib.util.spec_from_file_location("relocalize_launch", LAUNCH_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def test_every_argument_is_described() -> None:
    arguments = {argument.name: argument for argument in description().get_launch_arguments()}
    assert {
        "scene", "image_topic", "camera_info_topic", "image_transport", "map_frame", "odom_frame",
        "base_frame", "tf_mode", "namespace", "use_sim_time", "params_file", "device", "autostart",
        "respawn", "log_level", "rviz", "rgbd", "depth_topic", "depth_transport", "mode",
        "image_geometry", "cameras", "max_rate", "namespace_tf",
    } == set(arguments)  # fmt: skip
    for argument in arguments.values():
        assert len(argument.description) > 10
        assert argument.default_value is not None


def command(*arguments: str) -> tuple[list[str], dict[str, Any]]:
    """The relocalizer's command line under such arguments, and the parameters in it."""
    import yaml

    done = subprocess.run(
        ["ros2", "launch", "--launch-prefix", "echo", "dsac_ros", "relocalize.launch.py",
         "scene:=42", *arguments],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    words = next(line for line in done.stdout.splitlines() if "--ros-args" in line).split()
    given: dict[str, Any] = {}
    for word in words:
        if Path(word).name.startswith("launch_params_"):
            (node,) = yaml.safe_load(Path(word).read_text()).values()
            given |= node["ros__parameters"]
    return words, given


@needs_ros2
def test_arguments_become_parameters_of_their_type() -> None:
    words, given = command("cameras:=front, rear", "max_rate:=5", "rgbd:=true")
    assert given["scene"] == "42"
    assert given["cameras"] == ["front", "rear"]
    assert given["max_rate"] == 5.0
    assert isinstance(given["max_rate"], float)
    assert given["rgbd"] is True
    assert "tf_mode" not in given  # as the files say
    assert "/tf:=tf" not in words


@needs_ros2
def test_tf_can_be_of_the_namespace_and_debug_messages_are_of_the_node() -> None:
    words, _ = command("namespace_tf:=true", "log_level:=debug")
    assert {"/tf:=tf", "/tf_static:=tf_static", "debug", "rcl:=info"} <= set(words)


@needs_ros2
def test_a_launched_node_localizes(
    scenes: Path, tmp_path: Path, make_robot: Any, place: Any
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "/**:\n  ros__parameters:\n    gate_initial_fixes: 1\n    lost_after: 7.0\n"
        f"    saved_pose_dir: {tmp_path}\n"
    )
    log = tmp_path / "launch.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [
                "ros2", "launch", "dsac_ros", "relocalize.launch.py", "scene:=corner",
                "namespace:=robot", "image_topic:=front/image", "camera_info_topic:=camera_info",
                f"params_file:={own}", "base_frame:=base",
            ],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DSAC_SCENES": str(scenes)},
            start_new_session=True,
        )  # fmt: skip
    try:
        robot = make_robot(namespace="robot", image_topic="front/image")
        robot.connect()
        robot.send_static(place.walk.base_T_cam)
        status = robot.see(place, place.between[12])
        assert status.localized, status.reason
        assert robot.poses
        output = log.read_text()
        assert "lost_after=7.0" in output
        assert "base_frame_id='base'" in output
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20.0)
    time.sleep(0.2)
    assert "process has finished cleanly" in log.read_text(), log.read_text()
    assert "Traceback" not in log.read_text()


@needs_ros2
def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    for argument, message in (
        ("tf_mode:=sideways", "map_to_odom"),
        ("params_file:=/nowhere.yaml", "/nowhere.yaml"),
        ("max_rate:=fast", "number of Hz"),
    ):
        done = subprocess.run(
            ["ros2", "launch", "dsac_ros", "relocalize.launch.py", "scene:=x", argument],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert message in done.stderr + done.stdout
