# SPDX-License-Identifier: Apache-2.0
"""The process of the node: how it starts, refuses, changes parameters, and ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from dsac_ros.parameters import table
from dsac_ros.state import State

SCENE = ("-p", "scene:=corner")


def test_an_unknown_scene_exits_with_the_known_ones(start_node: Any) -> None:
    node = start_node("-p", "scene:=attic", ready=False)
    assert node.process.wait(30.0) == 2
    lines = [line for line in node.output.splitlines() if line.strip()]
    assert len(lines) == 1, node.output
    assert "'attic'" in lines[0]
    assert "corner" in lines[0]


def test_a_truncated_map_exits_with_its_path(
    scenes: Path, tmp_path: Path, start_node_without_map: Any
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in (scenes / "corner").iterdir():
        content = file.read_bytes()
        (broken / file.name).write_bytes(
            content[: len(content) // 2] if "json" not in file.name else content
        )
    node = start_node_without_map("-p", f"scene:={broken}", ready=False)
    assert node.process.wait(30.0) == 2
    assert str(broken) in node.output
    assert "Traceback" not in node.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no scene"),
        (("-p", "scene:=x", "-p", "tf_mode:=sideways"), "one of auto, map_to_odom"),
        (("-p", "scene:=x", "-p", "lost_after:=-1.0"), "lost_after must be a float between"),
        (("-p", "scene:=x", "-p", "lost_after:=soon"), "lost_after must be a float"),
        (("-p", "scene:=x", "-p", "tf_mode:=map_to_odom"), "needs odom_frame_id"),
        (("--params-file", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
)
def test_parameters_that_cannot_work(
    start_node_without_map: Any, arguments: tuple[str, ...], message: str
) -> None:
    node = start_node_without_map(*arguments, ready=False)
    assert node.process.wait(30.0) == 2
    assert message in node.output
    assert "Traceback" not in node.output


def test_an_unknown_device_exits_with_its_name(start_node: Any) -> None:
    node = start_node(*SCENE, "-p", "device:=abacus", ready=False)
    assert node.process.wait(30.0) == 2
    assert "abacus" in node.output
    assert "Traceback" not in node.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_while_images_come(
    start_node: Any, robot: Any, place: Any, number: int
) -> None:
    node = start_node(*SCENE)
    robot.connect()
    image = place.view(place.between[12])
    for _ in range(5):
        robot.send_info(place.camera, time.time_ns())
        robot.send_image(image, time.time_ns())
        robot.spin(0.02)
    assert node.stop(number) == 0
    assert "Traceback" not in node.output
    assert "rror" not in node.output


def test_a_signal_during_the_start_ends_it_cleanly(start_node: Any) -> None:
    node = start_node(*SCENE, ready=False)
    deadline = time.monotonic() + 30.0
    # rclpy is up, PyTorch is being imported.
    while "libtorch" not in Path(f"/proc/{node.process.pid}/maps").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert node.stop() == 0
    assert "Traceback" not in node.output


def test_parameters_are_validated_then_applied(start_node: Any, robot: Any, place: Any) -> None:
    from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
    from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters

    start_node(*SCENE)
    robot.connect()

    def set_parameter(name: str, **value: Any) -> Any:
        given = Parameter(name=name, value=ParameterValue(**value))
        request = SetParameters.Request(parameters=[given])
        return robot.call(SetParameters, "set_parameters", request)

    names = ["lost_after", "tf_mode"]
    request = DescribeParameters.Request(names=names)
    described = robot.call(DescribeParameters, "describe_parameters", request)
    lost_after, tf_mode = described.descriptors
    assert "LOST" in lost_after.description
    assert lost_after.floating_point_range[0].to_value == 3600.0
    assert tf_mode.read_only
    assert "map_to_odom" in tf_mode.additional_constraints

    every = [row.name for row in table()]
    values = robot.call(GetParameters, "get_parameters", GetParameters.Request(names=every)).values
    assert dict(zip(every, values, strict=True))["cameras"].string_array_value == [""]
    assert all(value.type != ParameterType.PARAMETER_NOT_SET for value in values)

    double, string = ParameterType.PARAMETER_DOUBLE, ParameterType.PARAMETER_STRING
    integer = ParameterType.PARAMETER_INTEGER
    refused = set_parameter("lost_after", type=double, double_value=-3.0).results[0]
    assert not refused.successful
    assert "lost_after" in refused.reason
    assert not set_parameter("tf_mode", type=string, string_value="none").results[0].successful

    changed = set_parameter("gate_initial_fixes", type=integer, integer_value=1).results[0]
    assert changed.successful, changed.reason
    assert robot.see(place, place.between[12]).localized  # the first image already


def test_the_lifecycle_can_be_managed(start_node: Any, robot: Any, place: Any) -> None:
    from lifecycle_msgs.msg import State as LifecycleState
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState, GetState

    node = start_node(*SCENE, "-p", "autostart:=false", "-p", "gate_initial_fixes:=1", ready=False)

    def change(transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(robot.call(ChangeState, "change_state", request).success)

    def state() -> int:
        return int(robot.call(GetState, "get_state", GetState.Request()).current_state.id)

    assert state() == LifecycleState.PRIMARY_STATE_UNCONFIGURED
    for _ in range(2):  # and all of it once more
        assert change(Transition.TRANSITION_CONFIGURE)
        robot.connect()
        # Inactive: images are ignored.
        robot.send_info(place.camera, time.time_ns())
        robot.send_image(place.view(place.between[12]), time.time_ns())
        robot.spin(0.5)
        assert not robot.statuses
        assert change(Transition.TRANSITION_ACTIVATE)
        status = robot.see(place, place.between[12])
        assert (status.localized, status.state, status.received) == (True, State.LOCALIZED, 1)
        for wrong in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP, 77):
            assert not change(wrong)
        assert state() == LifecycleState.PRIMARY_STATE_ACTIVE
        assert change(Transition.TRANSITION_DEACTIVATE)
        assert change(Transition.TRANSITION_CLEANUP)
        assert state() == LifecycleState.PRIMARY_STATE_UNCONFIGURED
        robot.statuses.clear()
    assert node.stop() == 0
    assert "Traceback" not in node.output
