# SPDX-License-Identifier: Apache-2.0
"""The pose of one start is the prior of the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dsac_ros.image_records import Outcome
from dsac_ros.pose_memory import PoseMemory
from dsac_ros.state import State

COVARIANCE = np.diag([1e-4] * 6)
NOW = 5_000_000_000


def memory(
    folder: Path, warnings: list[str], *, period: float = 10.0, base: str = ""
) -> PoseMemory:
    return PoseMemory("/robot/relocalizer", str(folder), period, "map", base, warnings.append)


def outcome(x: float, frame_id: str = "optical") -> Outcome:
    pose = np.eye(4)
    pose[0, 3] = x
    found = Outcome(0, frame_id, State.LOCALIZED, True, "", map_T_body=pose, covariance=COVARIANCE)
    return found


def test_the_last_accepted_pose_comes_back_as_a_prior_of_now(tmp_path: Path) -> None:
    warnings: list[str] = []
    before = memory(tmp_path, warnings)
    assert before.recall(["office"], NOW) is None
    before.keep(outcome(1.0), "office")
    before.keep(outcome(2.0), "office")
    before.keep(Outcome(0, "optical", State.LOST, False, "dark"), "office")
    before.flush()
    prior = memory(tmp_path, warnings).recall(["office"], NOW)
    assert prior is not None
    assert (prior.stamp, prior.frame_id, prior.pose[0, 3]) == (NOW, "map", 2.0)
    np.testing.assert_array_equal(prior.covariance, COVARIANCE)
    assert not warnings


def test_what_cannot_be_used_is_said_once_and_replaced(tmp_path: Path) -> None:
    warnings: list[str] = []
    made = memory(tmp_path, warnings, base="base_link")
    made.keep(outcome(1.0), "office")
    assert made.recall(["garage"], NOW) is None
    assert memory(tmp_path, warnings, base="body").recall(["office"], NOW) is None
    assert len(warnings) == 2
    made.path.write_text("{")
    assert made.recall(["office"], NOW) is None
    made.keep(outcome(3.0), "office")
    made.flush()
    assert made.recall(["office"], NOW) is not None


def test_a_node_may_be_told_to_forget(tmp_path: Path) -> None:
    memory(tmp_path, []).keep(outcome(1.0), "office")
    forgetful = memory(tmp_path / "other", [], period=0.0)
    forgetful.keep(outcome(1.0), "office")
    forgetful.flush()
    assert not (tmp_path / "other").exists()
    assert memory(tmp_path, [], period=0.0).recall(["office"], NOW) is None
