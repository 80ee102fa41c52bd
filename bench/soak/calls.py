# SPDX-License-Identifier: Apache-2.0
"""What people and other nodes do to a running node: parameters, services, files under its feet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from dsac_ros.srv import LoadScene, LocalizeImage, SetPose, TriggerLocalization
from std_srvs.srv import Trigger

from bench.soak.robot import calibration, image_message
from dsac_core.geometry.pose import from_quaternion, pose_error
from dsac_ros.messages import pose_message
from dsac_ros.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.soak.soak import Soak

NONSENSE: tuple[tuple[str, object], ...] = (
    ("lost_after", -1.0),
    ("lost_after", "soon"),
    ("lost_after", float("nan")),
    ("gate_probability", 1.0),
    ("gate_initial_fixes", 0),
    ("max_rate", float("inf")),
    ("mode", "sometimes"),
    ("scene", "attic"),  # read-only
    ("tf_mode", "none"),  # read-only
    ("use_prior", 7),
)
SENSE: tuple[tuple[str, object, object], ...] = (  # with the default
    ("max_rate", 5.0, 0.0),
    ("use_prior", False, True),
    ("gate_jump_fixes", 5, 3),
    ("transform_timeout", 0.01, 0.2),
    ("transform_tolerance", 0.5, 0.2),
    ("mode", "once", "continuous"),
)


def parameters_of_nonsense(soak: Soak) -> None:
    for name, value in NONSENSE:
        if soak.set_parameter(name, value):
            soak.oracle.violate(f"the parameter {name} took the value {value!r}")
    _still_localized(soak)


def parameters_of_sense(soak: Soak) -> None:
    name, value, default = SENSE[int(soak.rng.integers(len(SENSE)))]
    soak.oracle.holding = value == "once"
    for each in (value, default):
        if not soak.set_parameter(name, each):
            soak.oracle.violate(f"the parameter {name} refused the value {each!r}")
        soak.drive(3.0)
    soak.oracle.holding = False


def lost_after_changes(soak: Soak) -> None:
    usual = soak.oracle.lost_after
    # The oracle is told of the longer time before, and of the shorter one after the node.
    soak.oracle.lost_after = usual + 2.0
    soak.set_parameter("lost_after", usual + 2.0)
    soak.drive(1.0)
    soak.world.elsewhere = True
    soak.blind(soak.oracle.lost_after + soak.oracle.margin + 0.5)
    soak.world.elsewhere = False
    soak.set_parameter("lost_after", usual)
    soak.must_localize()
    soak.oracle.lost_after = usual


def pause(soak: Soak) -> None:
    _do(soak, "pause")
    soak.oracle.silence(time.monotonic())
    soak.drive(soak.oracle.margin + 2.0)
    if soak.oracle.state is not State.PAUSED:
        soak.oracle.violate(f"paused, and the state is {soak.oracle.state.name}")
    answer = soak.call(TriggerLocalization, "trigger")
    if answer and (answer.result.localized or "paused" not in answer.result.reason):
        soak.oracle.violate(f"trigger of a paused node: {answer.result.reason}")
    soak.oracle.listen(time.monotonic())
    searching = soak.oracle.counts["images SEARCHING"]
    _do(soak, "resume")
    soak.must_localize()
    if soak.oracle.counts["images SEARCHING"] == searching:
        soak.oracle.violate("resumed, and what was before is still believed")


def reset(soak: Soak) -> None:
    searching = soak.oracle.counts["images SEARCHING"]
    soak.oracle.forget(time.monotonic())
    _do(soak, "reset")
    soak.must_localize()
    if soak.oracle.counts["images SEARCHING"] == searching:
        soak.oracle.violate("reset, and what was before is still believed")


def trigger(soak: Soak) -> None:
    answer = soak.call(TriggerLocalization, "trigger", timeout=10.0)
    if answer and not answer.result.localized:
        soak.oracle.violate(f"trigger: {answer.result.reason}")


def localize(soak: Soak) -> None:
    """An image of somebody else, and one of nothing."""
    views, robot = soak.robot.here, soak.robot
    index = int(soak.rng.integers(len(views.images)))
    info = calibration(robot.lens, 1)
    answer = soak.call(
        LocalizeImage,
        "localize",
        image=image_message(views.images[index], 1),
        camera_info=info,
        timeout=20.0,
    )
    if answer and answer.result.localized:
        message = answer.result.pose.pose.pose
        at, turn = message.position, message.orientation
        pose = from_quaternion([at.x, at.y, at.z], [turn.x, turn.y, turn.z, turn.w])
        truth = views.map_T_base[index] @ robot.base_T_cam
        if pose_error(pose, truth)[0] > 0.25:
            soak.oracle.counts["localize: far off"] += 1  # no gate has seen it
    dark = image_message(np.zeros_like(views.images[0]), 1)
    answer = soak.call(LocalizeImage, "localize", image=dark, camera_info=info, timeout=20.0)
    if answer and answer.result.localized:
        soak.oracle.violate("localize: a pose of a black image")
    _still_localized(soak)


def set_pose(soak: Soak) -> None:
    """A pose that is wrong by metres must not make it go wrong."""
    wrong = np.array(soak.robot.here.map_T_base[0])
    wrong[:3, 3] += soak.rng.uniform(-5.0, 5.0, 3)
    message = pose_message(wrong, 0.01 * np.eye(6), "map", soak.robot.stamp())
    soak.oracle.forget(time.monotonic())
    answer = soak.call(SetPose, "set_pose", pose=message)
    if answer and not answer.success:
        soak.oracle.violate(f"set_pose: {answer.message}")
    soak.must_localize()


def load_broken_scenes(soak: Soak) -> None:
    broken = soak.scene.with_name("broken")
    broken.mkdir(exist_ok=True)
    for file in soak.scene.iterdir():
        content = file.read_bytes()
        half = len(content) // 2 if file.suffix != ".json" else len(content)
        (broken / file.name).write_bytes(content[:half])
    for scene in ("attic", str(broken), str(soak.scene.parent), "/dev/null", ""):
        answer = soak.call(LoadScene, "load_scene", scene=scene)
        if answer and (answer.success or not answer.message):
            soak.oracle.violate(f"load_scene {scene!r}: {answer.message!r}")
    _still_localized(soak)


def load_the_scene_again(soak: Soak) -> None:
    soak.oracle.forget(time.monotonic() + 60.0)  # until it has answered, it may start over
    answer = soak.call(LoadScene, "load_scene", scene=str(soak.scene))
    soak.oracle.forget(time.monotonic())
    if answer and not answer.success:
        soak.oracle.violate(f"load_scene: {answer.message}")
    soak.must_localize()


def scene_deleted(soak: Soak) -> None:
    away = soak.scene.with_name("away")
    soak.scene.rename(away)
    soak.drive(2.0)
    answer = soak.call(LoadScene, "load_scene", scene=str(soak.scene))
    if answer and answer.success:
        soak.oracle.violate("load_scene of a deleted scene")
    _still_localized(soak)
    away.rename(soak.scene)


def _do(soak: Soak, name: str) -> None:
    answer: Any = soak.call(Trigger, name)
    if answer and not answer.success:
        soak.oracle.violate(f"{name}: {answer.message}")


def _still_localized(soak: Soak) -> None:
    """Without having been lost in between, which the oracle sees."""
    soak.must_localize()


CALLS: tuple[Callable[[Soak], None], ...] = (
    parameters_of_nonsense,
    parameters_of_sense,
    lost_after_changes,
    pause,
    reset,
    trigger,
    localize,
    set_pose,
    load_broken_scenes,
    load_the_scene_again,
    scene_deleted,
)
