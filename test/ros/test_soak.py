# SPDX-License-Identifier: Apache-2.0
"""The real node with the map of a place, and everything that can go wrong: see docs/soak.md.

$DSAC_SOAK_MINUTES (5), $DSAC_SOAK_SEED (0) and $DSAC_SOAK_REPORT (a file, as JSON) change it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MINUTES = float(os.environ.get("DSAC_SOAK_MINUTES", "5"))
SEED = int(os.environ.get("DSAC_SOAK_SEED", "0"))
SIM_TIME_SHARE = 0.2  # of the minutes: with /clock, which jumps as the stamps do
MINUTES_FOR_MEMORY = 20.0  # in less, caches are still filling
LOST_AFTER = 3.0  # s; shorter than the default, so that there is time for more faults
ARGUMENTS = (
    "-p", "odom_frame_id:=odom", "-p", "base_frame_id:=base", "-p", f"lost_after:={LOST_AFTER}",
    "-p", "save_pose_period:=1.0",
)  # fmt: skip


@pytest.fixture
def make_soak(
    ros: None,
    place: Any,
    another_place: Any,
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    from bench.soak.oracle import Oracle
    from bench.soak.robot import Robot, Views
    from bench.soak.soak import Soak

    here, there = place.between, another_place.between[::3]
    views = Views([place.view(pose) for pose in here], here)
    elsewhere = Views([another_place.view(pose) for pose in there], there, mapped=False)
    scene = tmp_path / "scenes" / "corner"
    shutil.copytree(scenes / "corner", scene)
    robots = []

    def make(pid: int, *, sim_time: bool) -> Any:
        rng = np.random.default_rng(SEED)
        robots.append(
            Robot(views, elsewhere, place.walk.base_T_cam, place.camera, rng, sim_time=sim_time)
        )
        return Soak(robots[-1], Oracle(LOST_AFTER), pid, scene, rng)

    yield make
    for robot in robots:
        robot.close()


@pytest.mark.parametrize("sim_time", [False, True])
def test_nothing_is_wrong_whatever_happens(
    start_node_without_map: Any, make_soak: Any, tmp_path: Path, sim_time: bool
) -> None:
    from bench.soak.log import bad_lines
    from bench.soak.run import run

    scene, saved = tmp_path / "scenes" / "corner", tmp_path / "saved"
    node = start_node_without_map(
        *ARGUMENTS, "-p", f"scene:={scene}", "-p", f"saved_pose_dir:={saved}",
        "-p", f"use_sim_time:={str(sim_time).lower()}", ready=False,
    )  # fmt: skip
    soak = make_soak(node.process.pid, sim_time=sim_time)
    share = SIM_TIME_SHARE if sim_time else 1.0 - SIM_TIME_SHARE
    report = run(soak, share * MINUTES, memory=not sim_time and MINUTES >= MINUTES_FOR_MEMORY)
    report.violations.extend(bad_lines(node.output))
    if node.stop() != 0:
        report.violations.append(f"the node ended with {node.process.returncode}")
    print(f"\nsoak {'with /clock' if sim_time else 'with the time of the wall'}\n{report}")  # noqa: T201
    if "DSAC_SOAK_REPORT" in os.environ:
        _keep(Path(os.environ["DSAC_SOAK_REPORT"]), "sim_time" if sim_time else "wall_time", report)
    assert not report.violations, f"{report}\n{node.output[-20000:]}"


def _keep(file: Path, name: str, report: Any) -> None:
    kept = json.loads(file.read_text()) if file.exists() else {}
    kept[name] = {"violations": report.violations, **report.figures}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(kept, indent=2) + "\n")
