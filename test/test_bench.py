# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs, and writes what it says; its times and figures are not judged here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
ROW = {"method", "input", "inliers", "noise", "ms_median", "t_median_cm", "t_p95_cm",
       "r_median_deg", "success"}  # fmt: skip
STEP = {"input", "inliers", "noise", "forward_ms", "backward_ms", "total_ms"}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark's module; it sets threads for the whole process, which others do not want."""
    monkeypatch.syspath_prepend(ROOT)
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    threads = torch.get_num_threads(), cv2.getNumThreads()
    import bench.ransac

    yield bench.ransac
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


@pytest.fixture
def written(bench: Any, tmp_path: Path) -> dict[str, Any]:
    out = tmp_path / "new" / "ransac.json"
    options = ["--frames", "1", "--inliers", "0.5", "--methods", "dsac_ros", "floor"]
    assert bench.main([*options, "--out", str(out)]) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def test_a_frame_of_each_input(written: dict[str, Any]) -> None:
    assert set(written) == {"rows", "step", "machine"}
    rows, steps = written["rows"], written["step"]
    assert all(set(row) == ROW for row in rows)
    assert all(set(row) == STEP for row in steps)
    assert {(row["method"], row["input"], row["noise"]) for row in rows} == {
        (method, input_, noise)
        for method in ("dsac_ros", "floor")
        for input_ in ("rgb", "rgbd")
        for noise in (1.0, 5.0)
    }
    for row in rows:
        assert (row["ms_median"] is None) == (row["method"] == "floor")
        assert row["t_median_cm"] < 5.0, row
        assert row["r_median_deg"] < 5.0, row
        assert row["success"] == 100.0, row
    assert {(row["input"], row["noise"]) for row in steps} == {
        ("rgb", 1.0), ("rgb", 8.0), ("rgbd", 1.0), ("rgbd", 8.0)
    }  # fmt: skip
    assert all(row["total_ms"] > 0.0 for row in steps)
    assert written["machine"]["threads"] == 1
    assert {"platform", "processor", "torch", "opencv", "poselib", "pycolmap", "date"} <= set(
        written["machine"]
    )


def test_no_pose_is_an_infinite_error_and_no_figure(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = bench.METHODS["dsac_ros"].__class__(lambda _: lambda: None, ("rgb",))
    monkeypatch.setitem(bench.METHODS, "dsac_ros", nothing)
    (row,) = bench.measure("rgb", 0.5, 1.0, 1, ["dsac_ros"])
    assert row["t_median_cm"] is row["t_p95_cm"] is row["r_median_deg"] is None
    assert row["success"] == 0.0
    assert math.isfinite(row["ms_median"])
    assert list(bench.measure("rgbd", 0.5, 1.0, 1, ["dsac_ros"])) == []


def test_a_method_that_is_not_installed_is_left_out(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = bench.METHODS["floor"].__class__(lambda _: lambda: None, ("rgb",), module="no_such")
    monkeypatch.setitem(bench.METHODS, "pycolmap", gone)
    assert bench._available(["floor", "pycolmap"]) == ["floor"]
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "pycolmap" in out
