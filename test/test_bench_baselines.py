# SPDX-License-Identifier: Apache-2.0
"""The baselines find the way from training images, and all methods are judged alike."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from poster_wall import wall_recording
from recordings import Recording
from stand_in import CAMERA, pose_near

from dsac_core.data.frame import ALL, Frame
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import pose_error

ROOT = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark's module; it sets threads for the whole process, which others do not want."""
    monkeypatch.syspath_prepend(ROOT)
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    threads = torch.get_num_threads(), cv2.getNumThreads()
    import bench.baselines

    yield bench.baselines
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


@pytest.fixture(scope="module")
def walk() -> Recording:
    return wall_recording(9)


def part(bench: Any, recording: Recording, indices: list[int]) -> Any:
    return bench.Part("walk", recording, ALL, indices)


def blank(name: str, world_T_cam: np.ndarray) -> Frame:
    return Frame(name, 0.0, np.zeros((48, 64, 3), np.uint8), CAMERA, world_T_cam)


def test_the_nearest_image_is_itself_or_beside(bench: Any, walk: Recording) -> None:
    mapped = part(bench, walk, [0, 2, 4, 6, 8])
    nearest = bench.NearestImage(mapped)
    frames = list(walk.frames(ALL))
    np.testing.assert_allclose(nearest(frames[6]), frames[6].world_T_cam, atol=1e-9)
    between = nearest(frames[3])
    assert min(pose_error(between, frames[index].world_T_cam)[0] for index in (2, 4)) < 1e-9
    pose, words = 7 * 4, 32 * 64 * 2
    assert nearest.bytes == 5 * (words + pose) + words


@pytest.mark.parametrize(("with_depth", "metres"), [(True, 0.02), (False, 0.05)])
def test_matching_finds_poses_between_images(
    bench: Any, walk: Recording, with_depth: bool, metres: float
) -> None:
    matching = bench.Matching(part(bench, walk, [0, 2, 4, 6, 8]), with_depth=with_depth)
    for frame in walk.frames(ALL, indices={3, 5}):
        distance, angle = pose_error(matching(frame), frame.world_T_cam)
        assert distance < metres
        assert angle < math.radians(1.0)
    known = sum(int(each.sum()) for each in matching._known)
    nearest = bench.NearestImage(part(bench, walk, [0, 2, 4, 6, 8]))
    assert matching.bytes == nearest.bytes + known * (64 * 2 + 12)


def test_what_has_no_depth_is_not_matched(bench: Any) -> None:
    frames = list(wall_recording(2).frames(ALL, with_depth=True))
    assert frames[0].depth is not None
    depth = frames[0].depth.copy()
    depth[:, :160] = 0.0
    recording = Recording([replace(frames[0], depth=depth), frames[1]])
    matching = bench.Matching(part(bench, recording, [0, 1]), with_depth=True)
    views = matching._retrieval.views
    left = views[0].pixels_K2[:, 0] + frames[0].camera.cx < 159
    assert 50 < left.sum() < len(left) - 50
    assert not matching._known[0][left].any()
    assert matching._known[0][~left].float().mean() > 0.95
    assert matching._known[1].all()


def test_pnp_survives_outliers_and_says_when_it_cannot(bench: Any) -> None:
    from bench.image_matching import solve_pnp

    rng = np.random.default_rng(0)
    in_camera = rng.uniform([-1, -1, 1], [1, 1, 4], (200, 3))
    truth = pose_near(2)
    points = in_camera @ truth[:3, :3].T + truth[:3, 3]
    pixels = in_camera[:, :2] / in_camera[:, 2:] * [CAMERA.fx, CAMERA.fy]
    pixels[::3] = rng.uniform(-200, 200, pixels[::3].shape)
    assert pose_error(solve_pnp(points, pixels, CAMERA), truth)[0] < 1e-3
    assert solve_pnp(points[:3], pixels[:3], CAMERA) is None


def test_all_methods_see_all_images_in_turns(bench: Any) -> None:
    frames = [blank(f"{index}", pose_near(index)) for index in range(5)]
    seen: list[tuple[str, str]] = []

    def exact(frame: Frame) -> np.ndarray:
        seen.append(("exact", frame.name))
        return frame.world_T_cam

    def off(frame: Frame) -> np.ndarray | None:
        seen.append(("off", frame.name))
        pose = frame.world_T_cam.copy()
        pose[0, 3] += {"0": 0.04, "1": 0.08, "2": 0.2}.get(frame.name, 1.0)
        return None if frame.name == "4" else pose

    rows = bench.judge({"exact": exact, "off": off}, part(bench, Recording(frames), [*range(5)]))
    assert seen[4:] == [(name, f"{index}") for index in range(1, 5) for name in ("exact", "off")]
    shares = [rows["off"][name] for name in ("5 cm/5°", "10 cm/5°", "25 cm/10°")]
    assert shares == [20.0, 40.0, 60.0]
    assert rows["off"]["median cm"] == pytest.approx(20.0)
    assert rows["off"]["frames"] == 5
    assert rows["exact"]["5 cm/5°"] == 100.0


def test_a_method_without_a_map_has_no_poses(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise DatasetError("too few")

    monkeypatch.setitem(bench.METHODS, "ours", ("ours", refused))
    frames = Recording([blank(f"{index}", pose_near(index)) for index in range(4)])
    walks = bench.Walks(part(bench, frames, [0, 1]), {"": part(bench, frames, [2, 3])})
    (row,) = bench.measure(walks, ["all"], ["ours"], 1.0)
    assert (row["frames"], row["25 cm/10°"], row["median cm"]) == (2, 0.0, None)
    assert "| all | ours | 2 | 0 | 0 | 0 | none | none |" in bench.table([row])


def test_the_command_writes_a_table(
    bench: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench.main(["--dataset", "nowhere"]) == 2
    assert capsys.readouterr().err == "error: no recording at nowhere\n"
    frames = Recording([blank(f"{index}", pose_near(index)) for index in range(6)])
    tests = {"near": part(bench, frames, [4]), "far": part(bench, frames, [3, 5])}
    walks = bench.Walks(part(bench, frames, [0, 1, 2]), tests)
    monkeypatch.setattr("bench.rows.walks_from_arguments", lambda _: walks)
    target = tmp_path / "figures.json"
    chosen = ["--splits", "all,quarter", "--methods", "nearest", "--json", str(target)]
    assert bench.main(chosen) == 0
    rows = json.loads(target.read_text())["rows"]
    kinds = ["all: near", "all: far", "quarter: near", "quarter: far"]
    assert [row["split"] for row in rows] == kinds
    assert [row["mapped"] for row in rows] == [3, 3, 1, 1]
    assert [row["frames"] for row in rows] == [1, 2, 1, 2]
    assert capsys.readouterr().out.count("| pose of the most similar image |") == 4
