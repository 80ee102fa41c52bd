# SPDX-License-Identifier: Apache-2.0
"""The judge of the soak test finds what a node does wrong, and nothing where it does all right."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsac_ros.state import State

LOST_AFTER, MARGIN = 3.0, 1.0
STEP = 0.1  # s between images
HONEST = 1e-4 * np.eye(6)


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1])


def at(x: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = x
    return pose


class Node:
    """Says to an oracle what a node would say; faultless unless told otherwise."""

    def __init__(self) -> None:
        from bench.soak.oracle import Oracle

        self.oracle = Oracle(LOST_AFTER, MARGIN)
        self.now, self._stamp = 100.0, 0

    @property
    def found(self) -> list[str]:
        """Violations, once all that has to wait was judged."""
        self.oracle.judge(self.now + 10.0)
        return self.oracle.violations

    def image(
        self,
        *,
        state: State = State.LOCALIZED,
        localized: bool = True,
        pose: bool | None = None,
        off: np.ndarray | None = None,
        truth: np.ndarray | None = np.eye(4),  # noqa: B008
        covariance: np.ndarray = HONEST,
        transform: np.ndarray | None = None,
        step: float = STEP,
    ) -> None:
        """An image, and what comes of it."""
        self.now += step
        self._stamp += 1
        self.oracle.sent(self._stamp, truth)
        self.oracle.moved(at(1.0), at(-1.0))
        if localized if pose is None else pose:
            self.oracle.on_pose(
                self._stamp, np.eye(4) if off is None else off, covariance, self.now
            )
        self.oracle.on_status(self._stamp, state, localized, 0.05, self.now)
        if state is State.LOCALIZED or transform is not None:
            self.transform(at(2.0) if transform is None else transform)
        self.oracle.judge(self.now)

    def transform(self, map_T_odom: np.ndarray) -> None:
        self.oracle.on_transform(map_T_odom, self.now)

    def images(self, count: int, **said: Any) -> None:
        for _ in range(count):
            self.image(**said)


@pytest.fixture
def node() -> Node:
    """Localized, after an image that did not count yet."""
    made = Node()
    made.image(state=State.SEARCHING, localized=False)
    made.images(20)
    return made


def test_a_node_without_fault(node: Node) -> None:
    node.images(29, localized=False)  # not yet too long
    node.images(20, localized=False, state=State.LOST)
    node.images(20)
    node.oracle.forget(node.now)
    node.images(3, localized=False, state=State.SEARCHING)
    node.images(20)
    node.oracle.silence(node.now)
    node.images(30, localized=False, state=State.PAUSED)
    node.oracle.listen(node.now)
    node.image(localized=False, state=State.SEARCHING)
    node.images(20)
    assert not node.found
    assert len(node.oracle.latencies) == len(node.oracle.errors) == 80


@pytest.mark.parametrize(
    ("said", "violation"),
    [
        ({"off": at(0.3)}, "wrong by 0.30 m"),
        ({"off": np.diag([-1.0, -1.0, 1.0, 1.0])}, "180.0 deg"),
        ({"off": np.full((4, 4), math.nan)}, "wrong by inf"),
        ({"truth": None}, "does not show the place"),
        ({"covariance": np.zeros((6, 6))}, "covariance"),
        ({"localized": False, "pose": True}, "status says that it is not localized"),
        ({"state": State.SEARCHING, "transform": None}, "the state is SEARCHING"),
        ({"transform": at(2.5)}, "true for no time"),
    ],
)
def test_one_image_is_enough(node: Node, said: dict[str, Any], violation: str) -> None:
    node.image(**said)
    assert any(violation in each for each in node.found), node.found


def test_poses_of_images_that_were_never_sent(node: Node) -> None:
    node.oracle.on_pose(12345, np.eye(4), HONEST, node.now)
    node.oracle.on_status(12346, State.LOCALIZED, False, 0.0, node.now)
    assert ["never sent" in each for each in node.found] == [True, True]


def test_lost_that_is_not_told(node: Node) -> None:
    node.images(45, localized=False)
    assert any("still LOCALIZED" in each for each in node.found)


def test_lost_without_a_reason(node: Node) -> None:
    node.images(5, localized=False, state=State.LOST)
    assert any("LOST 0.1 s after a fix" in each or "LOST 0.2" in each for each in node.found)


def test_searching_without_a_reason(node: Node) -> None:
    node.image(localized=False, state=State.SEARCHING)
    assert node.found == ["start: LOCALIZED -> SEARCHING without a reason"]


def test_one_fix_is_no_proof_after_a_long_time(node: Node) -> None:
    node.image(step=10.0)
    assert node.found == ["start: the first fix after a long time counts at once"]


@pytest.mark.parametrize("state", [State.LOST, State.SEARCHING])
def test_map_to_odom_while_not_localized(node: Node, state: State) -> None:
    node.oracle.forget(node.now)
    node.images(50, localized=False)
    node.oracle.violations.clear()
    node.images(30, localized=False, state=state)
    node.transform(at(2.0))
    assert node.found == ["start: map -> odom although the node is not LOCALIZED"]


def test_map_to_odom_that_goes_on_until_the_robot_is_found_again(node: Node) -> None:
    node.images(29, localized=False)
    node.images(25, localized=False, state=State.LOST, transform=at(2.0))
    node.images(20)
    assert set(node.found) == {"start: map -> odom although the node is not LOCALIZED"}


def test_map_to_odom_while_no_image_comes(node: Node) -> None:
    node.now += LOST_AFTER + 0.5
    node.transform(at(2.0))
    assert not node.found
    node.now += 4.0
    node.transform(at(2.0))
    assert node.found == ["start: map -> odom although the node is not LOCALIZED"]


def test_poses_and_map_to_odom_while_paused(node: Node) -> None:
    node.oracle.silence(node.now)
    node.images(30, localized=False, state=State.PAUSED, transform=at(2.0))
    node.image()
    assert any("a pose although the node is paused" in each for each in node.found)
    assert any("map -> odom although" in each for each in node.found)


def test_vitals_of_a_process_that_grows(tmp_path: Path) -> None:
    from bench.soak.vitals import Sample, Vitals, sample

    mine = sample(os.getpid(), 1.0)
    assert mine.memory > 1e6
    assert mine.cpu > 0
    assert mine.threads >= 1
    with (tmp_path / "open").open("w"):
        assert sample(os.getpid(), 1.0).files == mine.files + 1

    def grown(growth: float, threads: int, files: int) -> list[str]:
        samples = [
            Sample(float(t), int(1e8 * (1 + growth * t / 100)), 0, 0.1 * t, threads * t, files * t)
            for t in range(101)
        ]
        vitals = Vitals(samples)
        assert vitals.summary(20.0)["cpu_percent"] == 10.0
        return vitals.growth(20.0)

    assert not grown(0.06, 0, 0)  # it grew before the warm-up was over, too
    assert grown(0.10, 0, 0) == ["memory grew from 102 to 110 MB"]
    assert len(grown(0.0, 1, 1)) == 2
    assert not Vitals([mine, mine]).growth(math.inf)  # it never was warm
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(FileNotFoundError):
        sample(ended.pid, 1.0)


def test_lines_that_a_node_must_not_write() -> None:
    from bench.soak.log import bad_lines

    good = "[INFO] [1.2] [relocalizer]: SEARCHING -> LOCALIZED\n[WARN] image dropped: stale\n"
    bad = "Traceback (most recent call last):\n[ERROR] [1.2] [relocalizer]: internal error: x\n"
    assert not bad_lines(good)
    assert len(bad_lines(good + bad)) == 2
