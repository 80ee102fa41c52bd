# SPDX-License-Identifier: Apache-2.0
"""The splits of the generalisation benchmark are what they say, and it counts what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from stand_in import CAMERA, KnowingNetwork, depth_image, known_scene, pose_near

from dsac_core.data.frame import ALL, Frame
from dsac_core.errors import DatasetError

ROOT = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TINY = ["--views", "12", "--image-height", "64", "--iterations", "2"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark's module; it sets threads for the whole process, which others do not want."""
    monkeypatch.syspath_prepend(ROOT)
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    threads = torch.get_num_threads(), cv2.getNumThreads()
    import bench.generalisation

    yield bench.generalisation
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


class Walked:
    """As many frames as asked for in each split, named by it; depth is there unasked."""

    name = "walked"

    def __init__(self, **counts: int) -> None:
        image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        image[0, :4, 0] = 0, 51, 128, 255
        frame = Frame("", 0.0, image, CAMERA, pose_near(3), depth_image(CAMERA))
        self.parts = {
            split: [replace(frame, name=f"{split}{index}") for index in range(count)]
            for split, count in counts.items()
        }

    def splits(self) -> tuple[str, ...]:
        return tuple(self.parts)

    def count(self, split: str) -> int:
        return len(self.parts[split])

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        for index, frame in enumerate(self.parts[split]):
            if indices is None or index in indices:
                yield frame


def walks(bench: Any, mapped: int = 60, **tests: int) -> Any:
    source = Walked(train=mapped, **(tests or {"test": 4}))
    parts = {
        split: bench.Part("walked", source, split, range(source.count(split)))
        for split in source.splits()
    }
    train = parts.pop("train")
    return bench.Walks(train, parts if len(parts) > 1 else {"": parts["test"]})


def names(part: Any) -> list[str]:
    found = [frame.name for frame in part.frames(ALL)]
    assert len(found) == part.count(ALL)
    return found


def of_train(*indices: int) -> list[str]:
    return [f"train{index}" for index in indices]


@pytest.mark.parametrize(
    ("split", "mapped"),
    [("all", range(60)), ("quarter", range(0, 60, 4)), ("tenth", range(0, 60, 10))],
)
def test_few_views_are_spread_over_the_walk(bench: Any, split: str, mapped: range) -> None:
    made = bench.SPLITS[split](walks(bench))
    assert names(made.mapped) == of_train(*mapped)
    assert [names(part) for part in made.judged.values()] == [["test0", "test1", "test2", "test3"]]


def test_a_stretch_is_judged_on_the_ends_of_the_walk(bench: Any) -> None:
    made = bench.SPLITS["stretch"](walks(bench))
    assert names(made.mapped) == of_train(*range(10, 50))
    assert names(made.judged[""]) == of_train(0, 2, 4, 6, 8, 50, 52, 54, 56, 58)
    with pytest.raises(DatasetError, match="walked has 5 images"):
        bench.SPLITS["stretch"](walks(bench, 5))


def test_another_exposure_is_of_the_judged_images_alone(bench: Any) -> None:
    given = walks(bench, beside=2, test=3)
    made = bench.SPLITS["exposure"](given)
    kinds = ["beside darker", "beside brighter", "test darker", "test brighter"]
    assert list(made.judged) == kinds
    assert names(made.judged["beside brighter"]) == ["beside0", "beside1"]
    seen = {kind: next(part.frames(ALL)).image[0, :4, 0] for kind, part in made.judged.items()}
    # 255 * 0.5 * (51 / 255)^1.5 = 11.4, of 128 45.3; 1.6 times the value, at most 255.
    np.testing.assert_array_equal(seen["test darker"], [0, 11, 45, 128])
    np.testing.assert_array_equal(seen["test brighter"], [0, 82, 205, 255])
    np.testing.assert_array_equal(next(made.mapped.frames(ALL)).image[0, :4, 0], [0, 51, 128, 255])
    assert made.mapped == bench.SPLITS["all"](given).mapped


def test_depth_is_there_on_demand_alone(bench: Any) -> None:
    part = bench.SPLITS["quarter"](walks(bench)).mapped
    assert [frame.depth is None for frame in part.frames(ALL, indices={1, 3})] == [True, True]
    with_depth = list(part.frames(ALL, indices={1, 3}, with_depth=True))
    assert [frame.name for frame in with_depth] == of_train(4, 12)
    assert all(frame.depth is not None for frame in with_depth)


def test_the_office_has_views_a_metre_beside_the_walk(bench: Any) -> None:
    from bench.splits import open_walks
    from bench.studies.settings import Settings

    settings = Settings(views=4, image_height=16)
    made = open_walks(settings)
    assert list(made.tests) == ["between", "beside", "a metre beside"]
    assert [part.count(ALL) for part in made.tests.values()] == [4, 4, 4]
    pairs = zip(made.tests["between"].frames(ALL), made.tests["a metre beside"].frames(ALL))  # noqa: B905
    for near, far in pairs:
        moved = far.world_T_cam[:3, 3] - near.world_T_cam[:3, 3]
        assert np.linalg.norm(moved) == pytest.approx(1.0)
        assert not np.array_equal(near.image, far.image)


def test_errors_are_counted_of_all_frames(bench: Any) -> None:
    given = walks(bench, test=5)
    moved = given.tests[""].source.parts["test"]
    for index, metres in enumerate((0.0, 0.07, 0.2, 0.6)):
        pose = moved[index].world_T_cam.copy()
        pose[0, 3] += metres
        moved[index] = replace(moved[index], world_T_cam=pose)
    turned = moved[4].world_T_cam.copy()
    turned[:3, :3] = turned[:3, :3] @ cv2.Rodrigues(np.array([0.0, np.radians(7.0), 0.0]))[0]
    moved[4] = replace(moved[4], world_T_cam=turned)
    scene = known_scene(KnowingNetwork(CAMERA, pose_near(3)))
    row = bench.judge(scene, given.tests[""])
    shares = [row["5 cm/5°"], row["10 cm/5°"], row["25 cm/10°"]]
    assert (row["frames"], *shares) == (5, 20.0, 40.0, 80.0)
    assert row["median cm"] == pytest.approx(7.0, abs=0.5)


def test_each_map_is_made_once_and_a_refused_one_has_no_poses(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, Any]] = []

    def mapped(part: Any, split: str, config: Any, **options: Any) -> Any:
        made.append((part.count(split), config))
        assert options["validation"].dataset.count(ALL) <= 10
        if config.use_depth:
            raise DatasetError("useless")
        return known_scene(KnowingNetwork(CAMERA, pose_near(3)))

    monkeypatch.setattr(bench, "map_scene", mapped)
    splits, variants = ["all", "exposure", "quarter"], ["plain", "depth"]
    rows = list(bench.measure(walks(bench), splits, variants, [0, 1], 7))
    assert [count for count, _ in made] == [60] * 4 + [15] * 4
    assert [config.seed for _, config in made[:4]] == [0, 1, 0, 1]
    assert all(config.iterations == 7 for _, config in made)
    plain, depth = made[0][1], made[2][1]
    assert plain == replace(bench.FastMapConfig(), iterations=7, stereo=None, landmarks=None)
    assert depth == replace(bench.FastMapConfig(), iterations=7, use_depth=True)
    assert len(rows) == 2 * 2 * (1 + 2 + 1)
    assert {row["5 cm/5°"] for row in rows if row["variant"] == "plain"} == {100.0}
    refused = [row for row in rows if row["variant"] == "depth"]
    assert {(row["25 cm/10°"], row["median cm"]) for row in refused} == {(0.0, None)}
    table = bench.table(rows).splitlines()
    assert len(table) == 2 + len(rows) // 2
    assert table[2].startswith("| all | reprojection only | 4 | 100 (100 to 100) |")
    assert table[3].endswith("| none (none to none) |")


def test_the_command_maps_and_judges_the_office(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "figures.json"
    chosen = ["--splits", "all,stretch", "--variants", "stereo", "--json", str(target)]
    assert bench.main([*TINY, *chosen]) == 0
    content = json.loads(target.read_text())
    assert [row["split"] for row in content["rows"]] == [
        "all: between", "all: beside", "all: a metre beside", "stretch"
    ]  # fmt: skip
    assert [row["frames"] for row in content["rows"]] == [12, 12, 12, 2]
    assert "| stretch | + depth from features | 2 |" in capsys.readouterr().out


def test_what_is_unknown_is_refused(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--splits", "all,half"])
    assert "there is no 'half', there are: all, quarter" in capsys.readouterr().err
    assert bench.main(["--dataset", "nowhere"]) == 2
    assert capsys.readouterr().err == "error: no recording at nowhere\n"


def test_landmarks_and_regression_are_judged_on_the_same_maps(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench import landmarks

    del bench
    figures = tmp_path / "figures.json"
    assert landmarks.main([*TINY, "--splits", "all", "--json", str(figures)]) == 0
    rows = json.loads(figures.read_text())["rows"]
    assert [row["use"] for row in rows[:3]] == ["both", "regression", "landmarks"]
    assert {row["frames"] for row in rows} == {12}
    for row in rows:
        assert row["5 cm/5°"] <= row["10 cm/5°"] <= row["25 cm/10°"]
    assert capsys.readouterr().out.count("| all") == len(rows)
