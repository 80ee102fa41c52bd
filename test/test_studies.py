# SPDX-License-Identifier: Apache-2.0
"""The studies run and write what they say; their figures are not judged here, but for `inliers`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
NAMES = ["inliers", "selection", "endtoend", "augmentation", "receptive-field", "size"]
TINY = ["--views", "10", "--image-height", "32", "--iterations", "1", "--e2e-iterations", "1",
        "--batch-size", "1", "--quiet"]  # fmt: skip
WRITTEN = {"study", "command", "date", "seconds", "settings", "machine", "rows"}


@pytest.fixture(scope="module")
def studies() -> Iterator[Any]:
    """The command's module; it sets threads for the whole process, which others do not want."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        for name in THREADS:
            patch.setenv(name, "1")
        threads = torch.get_num_threads(), cv2.getNumThreads()
        import bench.studies.__main__ as command

        yield command
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(studies: Any, name: str, docs: Path, cache: Path, *options: str) -> dict[str, Any]:
    arguments = [name, "--docs", str(docs), "--cache", str(cache), *TINY, *options]
    assert studies.main(arguments) == 0
    content: dict[str, Any] = json.loads((docs / "results" / f"{name}.json").read_text())
    return content


def check(studies: Any, name: str, docs: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    """What each study leaves behind, and that the report shows all of it."""
    assert set(content) == WRITTEN
    assert content["study"] == name
    assert content["command"].startswith(f"python3 -m bench.studies {name} --views 10 ")
    assert str(docs) not in json.dumps(content)
    assert (docs / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    report = (docs / "results.md").read_text()
    section = studies.STUDIES[name].section
    assert f"## {section.title}" in report
    assert content["command"] in report
    assert f"](results/{name}.png)" in report
    rows: list[dict[str, Any]] = content["rows"]
    table = [line for line in report.splitlines() if line.startswith("| ")]
    assert len(table) == len(rows) + 2
    known = {column.key for column in section.columns}
    assert known <= set(rows[0])
    for row in rows:
        assert row["frames"] > 0
        assert all(0.0 <= row[key] <= 100.0 for key in row if key.startswith("recall"))
        assert row["median_cm"] is None or math.isfinite(row["median_cm"])
    return rows


def test_inliers(studies: Any, tmp_path: Path, cache: Path) -> None:
    content = run(studies, "inliers", tmp_path, cache, "--frames", "3")
    rows = check(studies, "inliers", tmp_path, content)
    assert content["settings"] == {"frames": 3}
    error = {(row["input"], round(row["inliers"]), row["method"]): row for row in rows}
    for input_ in ("RGB", "RGB-D"):
        ransac, everything = error[input_, 100, "RANSAC"], error[input_, 100, "all"]
        assert abs(ransac["median_cm"] - everything["median_cm"]) < 0.05
        assert everything["recall_5cm_5deg"] == 100.0
        ransac, everything = error[input_, 30, "RANSAC"], error[input_, 30, "all"]
        assert ransac["recall_5cm_5deg"] == 100.0
        assert everything["recall_5cm_5deg"] == 0.0
        assert ransac["median_cm"] < 0.1 * everything["median_cm"]


def test_selection_and_endtoend_share_maps(
    studies: Any, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = run(studies, "selection", tmp_path, cache)
    rows = check(studies, "selection", tmp_path, content)
    pairs = {(row["trained"], row["selection"]) for row in rows}
    assert len(pairs) == len(rows) == 12
    assert content["settings"]["iterations"] == 1
    assert "dataset" not in content["settings"]  # the office
    trained = len(list(cache.iterdir()))
    assert trained == 4

    docs = tmp_path / "other"
    capsys.readouterr()
    rows = check(studies, "endtoend", docs, run(studies, "endtoend", docs, cache))
    assert [row["stage"] for row in rows] == ["before", "initialised longer", "after"] * 6
    assert len(list(cache.iterdir())) == trained + 6
    assert capsys.readouterr().out.count("is there already") == 3


def test_augmentation(studies: Any, tmp_path: Path, cache: Path) -> None:
    rows = check(studies, "augmentation", tmp_path, run(studies, "augmentation", tmp_path, cache))
    assert {(row["augmentation"], row["views"]) for row in rows} == {
        (augmentation, views)
        for augmentation in ("without", "with")
        for views in ("between", "beside")
    }


def test_receptive_field(studies: Any, tmp_path: Path, cache: Path) -> None:
    content = run(studies, "receptive-field", tmp_path, cache)
    rows = check(studies, "receptive-field", tmp_path, content)
    assert {row["network"] for row in rows} == {
        "dsacstar-rf49", "dsacstar", "dsacstar-rf149", "encoder-decoder"
    }  # fmt: skip
    parameters = [row["parameters"] for row in rows]
    assert max(parameters) < 1.05 * min(parameters)


def test_size(studies: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast map's place is taken by one that no training has touched."""
    from bench.studies import maps

    def untrained(*_: Any, **__: Any) -> Any:
        from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig

        folder = next(iter(cache.iterdir()))
        scene = maps.SceneMap.load(folder)
        return replace(scene, regressor=CoordinateHead(HeadConfig()).eval(), training={})

    run(studies, "selection", tmp_path / "before", cache)
    monkeypatch.setattr(maps, "map_scene", untrained)
    monkeypatch.setattr(studies.size, "_FULL_HEIGHT", 48)
    content = run(studies, "size", tmp_path, cache, "--budget-seconds", "0.1")
    rows = check(studies, "size", tmp_path, content)
    size = {row["method"]: row["megabytes"] for row in rows}
    full = "fast on images of 480 px"
    assert list(size) == ["fast", "dsacstar-tiny", "dsacstar", "dsacpp", full]
    assert size["fast"] == size[full]
    assert size["fast"] < size["dsacstar-tiny"] < size["dsacstar"] < size["dsacpp"]


def test_the_report_has_the_studies_that_were_run_and_what_was_written_about_them(
    studies: Any, tmp_path: Path, cache: Path
) -> None:
    assert studies.main(["report", "--docs", str(tmp_path)]) == 0
    report = tmp_path / "results.md"
    assert re.findall("^## (.*)", report.read_text(), re.MULTILINE) == []
    run(studies, "inliers", tmp_path, cache, "--frames", "1")
    written = report.read_text()
    assert re.findall("^## (.*)", written, re.MULTILINE) == [
        studies.STUDIES["inliers"].section.title
    ]
    (tmp_path / "results" / "inliers.md").write_text("RANSAC wins.\n")
    assert studies.main(["report", "--docs", str(tmp_path)]) == 0
    assert report.read_text() == written.rstrip("\n") + "\n\nRANSAC wins.\n"


def test_every_study_is_known(studies: Any) -> None:
    assert list(studies.STUDIES) == NAMES


def test_a_recording_that_is_not_there_is_one_line(
    studies: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["selection", "--dataset", str(tmp_path / "no"), "--docs", str(tmp_path)]
    assert studies.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "no recording at" in captured.err


def test_training_speed(studies: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import training_speed

    monkeypatch.setattr(training_speed, "HEIGHT", 48)
    options = ["--network", "dsacstar-tiny", "--batch", "1", "2", "--steps", "1"]
    assert training_speed.main([*options, "--docs", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "results" / "training-speed.json").read_text())
    rows = content["rows"]
    assert len(rows) == 6  # stages and precisions, batches
    for row in rows:
        assert row["per_second"] > 0.0
        assert (row["hours"] is None) == (row["batch"] != 1)
        assert ("ransac_backward_ms" in row) == (row["stage"] == "e2e")
    assert "## How fast networks" in (tmp_path / "results.md").read_text()
