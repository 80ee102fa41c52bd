# SPDX-License-Identifier: Apache-2.0
"""The real node with the map of a place, and everything that can go wrong: see docs/soak.md.

$DSAC_SOAK_MINUTES (5), $DSAC_SOAK_SEED (0) and $DSAC_SOAK_REPORT (a file, as JSON) change it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
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
MILLIMETRES = 1000.0


@pytest.fixture(scope="module")
def scene_with_depth(
    map_walk: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A map of the place that depth is used with; $DSAC_SOAK_SCENE may name one from before."""
    if "DSAC_SOAK_SCENE" in os.environ:
        return Path(os.environ["DSAC_SOAK_SCENE"])
    folder = tmp_path_factory.mktemp("scenes") / "corner"
    map_walk(folder, use_depth=True)
    return folder


@pytest.fixture
def make_soak(
    ros: None,
    place: Any,
    another_place: Any,
    scene_with_depth: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    from bench.soak.oracle import Oracle
    from bench.soak.robot import Robot, Views
    from bench.soak.soak import Soak
    from dsac_core.synthetic import render_view

    def views(place: Any, poses: np.ndarray, *, mapped: bool, rgbd: bool) -> Any:
        seen = [
            render_view(place.room, place.camera, pose @ place.walk.base_T_cam) for pose in poses
        ]
        depths = [(MILLIMETRES * depth).astype(np.uint16) for _, depth in seen]
        return Views([image for image, _ in seen], poses, mapped, depths if rgbd else [])

    scene = tmp_path / "scenes" / "corner"
    shutil.copytree(scene_with_depth, scene)
    robots = []

    def make(pid: int, *, rgbd: bool, sim_time: bool) -> Any:
        rng = np.random.default_rng(SEED)
        here = views(place, place.between, mapped=True, rgbd=rgbd)
        there = views(another_place, another_place.between[::3], mapped=False, rgbd=rgbd)
        robots.append(
            Robot(here, there, place.walk.base_T_cam, place.camera, rng, sim_time=sim_time)
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

    rgbd = not sim_time  # colour alone is a node of its own
    scene, saved = tmp_path / "scenes" / "corner", tmp_path / "saved"
    node = start_node_without_map(
        *ARGUMENTS, "-p", f"scene:={scene}", "-p", f"saved_pose_dir:={saved}",
        "-p", f"rgbd:={str(rgbd).lower()}", "-p", f"use_sim_time:={str(sim_time).lower()}",
        ready=False,
    )  # fmt: skip
    soak = make_soak(node.process.pid, rgbd=rgbd, sim_time=sim_time)
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
