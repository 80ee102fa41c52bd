# SPDX-License-Identifier: Apache-2.0
"""The judgement of a replay, on trajectories that are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_core.evaluation.report.page import write_report
from dsac_core.evaluation.run_file import read_run, write_run
from dsac_core.geometry.trajectory import Trajectory
from dsac_ros.replay_picture import draw
from dsac_ros.replay_records import (
    Collection,
    ReceivedPose,
    ReceivedStatus,
    ReceivedTransform,
    SentFrame,
)
from dsac_ros.replay_report import compare, table
from dsac_ros.replay_run import as_run

MS = 1_000_000
COVARIANCE = np.diag([0.01**2] * 3 + [0.01**2] * 3)


def pose(x: float, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = Rotation.from_rotvec([0, 0, yaw]).as_matrix()
    result[:2, 3] = x, y
    return result


def truth(count: int) -> Trajectory:
    return Trajectory((i * 100 * MS, pose(0.1 * i)) for i in range(count))


def sent(count: int) -> list[SentFrame]:
    return [SentFrame(i * 100 * MS, published=float(i)) for i in range(count)]


def answer(i: int, error: float = 0.0, yaw: float = 0.0, latency: float = 0.05) -> ReceivedPose:
    return ReceivedPose(i * 100 * MS, i + latency, pose(0.1 * i, error, yaw), COVARIANCE)


def status(i: int, *, localized: bool = True) -> ReceivedStatus:
    return ReceivedStatus(i * 100 * MS, localized, 0.04, "", {"encode": 0.02, "ransac": 0.01})


def test_every_frame_sent_counts() -> None:
    # 10 frames: two never answered, one refused, one 7 cm off, one 6 deg off, one 3 m off.
    poses = [
        answer(0), answer(1), answer(2), answer(3),
        answer(4, error=0.07), answer(5, yaw=math.radians(6)), answer(6, error=3.0),
    ]  # fmt: skip
    statuses = [status(i) for i in range(7)] + [status(7, localized=False)]
    summary = compare(sent(10), Collection(poses, statuses), truth(10), Trajectory([])).summary()
    assert (summary["frames"], summary["processed"], summary["localized"]) == (10, 8, 7)
    assert summary["recall"] == {
        "1cm_1deg": 40.0, "2cm_2deg": 40.0, "5cm_5deg": 40.0, "10cm_5deg": 50.0,
        "25cm_10deg": 60.0,
    }  # fmt: skip
    assert summary["recall_of_processed"]["10cm_5deg"] == pytest.approx(62.5)
    assert summary["max_translation_cm"] == pytest.approx(300.0)
    assert summary["latency_ms"]["p50"] == pytest.approx(50.0)
    assert summary["node_latency_ms"]["p95"] == pytest.approx(40.0)
    assert summary["stage_ms"] == pytest.approx({"encode": 20.0, "ransac": 10.0})
    assert "encode 20, ransac 10 ms" in table(summary)


def test_frames_without_truth_are_missed_not_left_out() -> None:
    comparison = compare(
        sent(10), Collection([answer(i) for i in range(10)]), truth(5), Trajectory([])
    )
    assert comparison.without_truth == 5
    assert comparison.recall(0.1, 5.0) == 50.0
    assert "without truth" in table(comparison.summary())


def test_nothing_came_back() -> None:
    summary = compare(sent(3), Collection(), truth(3), Trajectory([])).summary()
    assert (summary["localized"], summary["median_translation_cm"]) == (0, None)
    assert summary["latency_ms"] == {"p50": None, "p95": None}
    assert "0.0 %" in table(summary)


def test_a_loop_sends_the_same_stamp_again() -> None:
    frames = [SentFrame(100 * MS, 1.0), SentFrame(100 * MS, 9.0)]
    received = Collection([answer(1, latency=0.1), answer(1, error=1.0, latency=8.2)])
    result = compare(frames, received, truth(3), Trajectory([])).frames
    assert [f.latency for f in result] == pytest.approx([0.1, 0.2])
    assert [f.translation_error for f in result] == pytest.approx([0.0, 1.0])


def test_map_to_odom_is_judged_by_where_it_puts_the_body() -> None:
    drifted = Trajectory((i * 100 * MS, pose(5.0) @ pose(0.1 * i)) for i in range(10))
    transforms = [
        ReceivedTransform(350 * MS, "odom", pose(-5.0, 0.02)),
        ReceivedTransform(350 * MS, "elsewhere", pose(100.0)),
        ReceivedTransform(5000 * MS, "odom", pose(-5.0, 9.0)),  # after the truth ends
    ]
    received = Collection([], [], transforms)
    summary = compare(sent(3), received, truth(10), drifted).summary()
    assert summary["map_to_odom_cm"] == pytest.approx(2.0)


def test_honest_covariance_gives_a_normalised_error_of_about_six() -> None:
    rng = np.random.default_rng(0)
    poses = []
    for i in range(1000):
        error = rng.multivariate_normal(np.zeros(6), COVARIANCE)
        body = pose(0.1 * i)
        body[:3, 3] += error[:3]
        body[:3, :3] = Rotation.from_rotvec(error[3:]).as_matrix()
        poses.append(ReceivedPose(i * 100 * MS, i + 0.1, body, COVARIANCE))
    frames = compare(sent(1000), Collection(poses), truth(1000), Trajectory([])).frames
    assert np.mean([f.normalised_error for f in frames]) == pytest.approx(6.0, rel=0.1)


@pytest.mark.parametrize("without", [2, 0])
def test_a_summary_is_always_json(without: int) -> None:
    """Some poses, or all, have a covariance that cannot be inverted."""
    singular = [replace(answer(i), covariance=np.zeros((6, 6))) for i in range(3)]
    poses = [*singular[:without], *(answer(i) for i in range(without, 3))] if without else singular
    summary = compare(sent(3), Collection(poses), truth(3), Trajectory([])).summary()
    json.dumps(summary, allow_nan=False)
    assert (summary["median_normalised_error"] is None) is (without == 0)


@pytest.mark.parametrize("count", [0, 7])
def test_the_picture_is_drawn_with_and_without_poses(tmp_path: Path, count: int) -> None:
    received = Collection([answer(i, error=0.02) for i in range(count)])
    comparison = compare(sent(10), received, truth(10), Trajectory([]))
    draw(tmp_path / "p.png", comparison, received, truth(10), "a title")
    picture = cv2.imread(str(tmp_path / "p.png"))
    assert picture is not None
    assert picture.std() > 5  # something is on it


def test_a_replay_is_a_run_that_can_be_reported_and_compared(tmp_path: Path) -> None:
    """Of four images one is answered, one refused, one is not looked at, one has no truth."""
    received = Collection(
        poses=[answer(0, error=0.03), answer(3)],
        statuses=[
            ReceivedStatus(0, True, 0.04, "agrees", {"ransac": 0.01}, "office", 0.9, 80, 100),
            ReceivedStatus(100 * MS, False, 0.04, "too few agree", {}, "office", 0.2, 5, 100),
            ReceivedStatus(300 * MS, True, 0.04, "agrees", {}, "office", 0.9, 80, 100),
        ],
    )
    true = truth(3)
    comparison = compare(sent(4), received, true, Trajectory([]))
    run = as_run({"scene": "office", "how": "live"}, sent(4), comparison, received, true)
    assert [frame.localized for frame in run.frames] == [True, False, False]
    assert run.about["left_out"].startswith("1 of 4 images")
    assert run.frames[0].translation_error == pytest.approx(0.03)
    assert run.frames[0].latency == pytest.approx(0.05)
    assert run.frames[0].inlier_ratio == pytest.approx(0.8)
    assert run.frames[1].reason == "too few agree"
    assert run.frames[2].truth is None
    assert run.summary.recall["5cm_5deg"] == pytest.approx(33.33)
    write_run(tmp_path / "run.json", run)
    assert read_run(tmp_path / "run.json").frames == run.frames
    write_report(tmp_path / "report.html", run, [])
    page = (tmp_path / "report.html").read_text()
    assert "live" in page
    assert "worst frames" not in page
    assert "seen on its own" not in page
