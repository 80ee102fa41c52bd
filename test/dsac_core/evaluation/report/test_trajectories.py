# SPDX-License-Identifier: Apache-2.0
"""The path from above and from the side."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from judged import judged
from scipy.spatial.transform import Rotation

from dsac_core.evaluation.metrics import FrameResult
from dsac_core.evaluation.report.trajectories import ROBOT, trajectories, upwards

UPWARDS = {"+x": [1, 0, 0], "−x": [-1, 0, 0], "+y": [0, 1, 0], "−y": [0, -1, 0],
           "+z": [0, 0, 1], "−z": [0, 0, -1]}  # fmt: skip


def held_upright(up: list[int], turn: float) -> tuple[float, ...]:
    """The quaternion of a camera whose top is that way, tilted by 20 degrees, turned about it."""
    top = np.array(up, dtype=float)
    ahead = np.roll(top, 1)
    down = -top
    upright = Rotation.from_matrix(np.column_stack([np.cross(down, ahead), down, ahead]))
    tilt = Rotation.from_rotvec([math.radians(20.0), 0.0, 0.0])
    return tuple((Rotation.from_rotvec(turn * top) * upright * tilt).as_quat())


@pytest.mark.parametrize("name", UPWARDS)
def test_up_is_where_the_tops_of_the_cameras_are(name: str) -> None:
    turns = np.linspace(0.0, 6.0, 9)
    frames = [
        judged(i, 1.0, truth=(0.0, 0.0, 0.0, *held_upright(UPWARDS[name], turn)))
        for i, turn in enumerate(turns)
    ]
    assert upwards(frames).name == name


def test_of_a_robot_its_z_axis_is_up() -> None:
    turned = tuple(Rotation.from_euler("ZX", [70.0, 10.0], degrees=True).as_quat())
    pose = (1.0, 2.0, 0.0, *turned)
    frame = FrameResult("a", True, 0.0, 0.0, 0.1, truth=pose, pose=pose)
    unknown = FrameResult("b", False, math.inf, math.inf, 0.1)
    assert upwards([frame, unknown], ROBOT).name == "+z"
    above, _, _ = trajectories([frame, unknown, frame], ROBOT)
    assert above.count("not localized") == 0


@pytest.mark.parametrize("name", UPWARDS)
def test_from_above_left_turns_are_left_turns(name: str) -> None:
    """A walk counter-clockwise about the upward axis is that on the page, whatever axis is up."""
    up = np.array(UPWARDS[name], dtype=float)
    start = np.roll(up, 1)
    quaternion = held_upright(UPWARDS[name], 0.0)
    frames = []
    for index, angle in enumerate(np.linspace(0.0, 5.0, 40)):
        place = Rotation.from_rotvec(angle * up).apply(start)
        pose = (*place, *quaternion)
        frames.append(judged(index, 0.0, truth=pose, pose=pose))
    svg = ElementTree.fromstring(trajectories(frames)[0])
    (path,) = (line for line in svg.iter("polyline") if line.get("class") == "truth")
    points = np.array([pair.split(",") for pair in path.get("points", "").split()], dtype=float)
    x, y = points[:, 0], -points[:, 1]  # a page counts downwards
    assert 0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) + 0.5 * (x[-1] * y[0] - x[0] * y[-1]) > 0
    assert np.ptp(x) == pytest.approx(np.ptp(y), rel=0.02)  # a circle, so one scale for both


def test_each_frame_is_drawn_by_what_became_of_it() -> None:
    frames = [judged(0, 1.0), judged(1, 4.0), judged(2, 40.0), judged(3, math.inf),
              judged(4, 2000.0), judged(5, 3.0, localized=False)]  # fmt: skip
    above, _, beyond = trajectories(frames)
    drawn = ElementTree.fromstring(above)
    circles = [circle.get("class") for circle in drawn.iter("circle")]
    assert sorted(circles, key=str) == ["b0", "b1", "b4 hollow", "b4 hollow"]
    assert sum(path.get("class") == "missed" for path in drawn.iter("path")) == 2
    assert beyond == 2


def test_a_jump_between_two_walks_is_no_path() -> None:
    frames = [judged(i, 0.0) for i in (*range(10), *range(60, 70))]
    drawn = ElementTree.fromstring(trajectories(frames)[0])
    paths = [line for line in drawn.iter("polyline") if line.get("class") == "truth"]
    assert [len(path.get("points", "").split()) for path in paths] == [10, 10]


def test_one_frame_is_a_picture_too() -> None:
    for svg in trajectories([judged(0, 1.0)])[:2]:
        assert len(list(ElementTree.fromstring(svg).iter("circle"))) == 1
