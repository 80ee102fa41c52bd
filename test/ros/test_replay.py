# SPDX-License-Identifier: Apache-2.0
"""A bag over real DDS through a running node and back, and its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

FRAMES = ("-p", "odom_frame_id:=odom", "-p", "base_frame_id:=base_link")
IMAGES = ("-p", "image_topic:=/camera/image_raw", "-p", "use_sim_time:=true")
COUNT = 50  # images in the bag


def replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsac_ros.replay", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=dict(os.environ),
    )


def test_a_replay_is_compared_with_the_truth(
    start_node: Any, walk_bag: Path, tmp_path: Path
) -> None:
    start_node("-p", "scene:=corner", *FRAMES, *IMAGES)
    # Slowly: this is about what is counted, not about how fast the machine is.
    done = replay(
        walk_bag, "--clock", "--rate", "0.5", "--report", tmp_path / "report", "--min-recall", "30"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "within 10 cm, 5 deg" in done.stdout
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["frames"] == COUNT
    assert report["without_truth"] == 0
    assert 0 < report["localized"] <= report["processed"] <= COUNT
    assert report["recall"]["10cm_5deg"] <= 100 * report["localized"] / COUNT
    assert report["median_translation_cm"] < 10
    assert report["map_to_odom_cm"] < 20
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"]
    assert cv2.imread(str(tmp_path / "report" / "trajectory.png")) is not None
    run = json.loads((tmp_path / "report" / "run.json").read_text())
    assert run["summary"]["localized"] == report["localized"]
    assert "live over DDS" in (tmp_path / "report" / "report.html").read_text()

    # The same once more: the node starts over when its clock goes back.
    again = replay(walk_bag, "--clock", "--rate", "0.5", "--min-recall", "100.1")
    assert again.returncode == 1, again.stdout + again.stderr
    assert "below the required" in again.stderr


def test_without_a_node_it_says_what_to_start(walk_bag: Path) -> None:
    done = replay(walk_bag, "--wait-for-node", "0.5")
    assert done.returncode == 2
    assert "relocalizer/status" in done.stderr
    assert "start relocalize" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--truth-topic", "/truth"), "/ground_truth"),
        (("--image-topic", "/image"), "/camera/image_raw"),
        (("--rate", "0"), "--rate must be positive"),
        (("--ros-args", "-p"), "ROS arguments"),
    ],
)
def test_input_that_cannot_work(walk_bag: Path, arguments: tuple[str, ...], message: str) -> None:
    done = replay(walk_bag, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bag_that_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        done = replay(path)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
        assert str(path) in done.stderr
