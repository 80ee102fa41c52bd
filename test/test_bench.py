# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs, and writes what it says; its times and figures are not judged here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from stand_in import KnowingNetwork, known_scene

from dsac_core.data.frame import Frame
from dsac_core.networks.coordinate_head import CoordinateHead, HeadConfig

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


@pytest.fixture
def query_speed(bench: Any) -> Any:
    del bench  # for its path and threads
    import bench.query_speed

    return bench.query_speed


class Here:
    """In place of a process of its own, which takes seconds to start."""

    def __init__(self, workers: int, context: object) -> None:
        del workers, context

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


def test_query_speed_of_a_small_map(
    query_speed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = replace(known_scene(KnowingNetwork()), regressor=CoordinateHead(HeadConfig()))
    images = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    frames = [Frame("", 0.0, image, scene.camera, np.eye(4)) for image in images]
    monkeypatch.setattr(query_speed, "_scene_and_frames", lambda _: (scene, frames))
    monkeypatch.setattr(query_speed, "ProcessPoolExecutor", Here)
    out = tmp_path / "query.json"
    backends = ["torch float32", "torch bfloat16"]
    options = ["--threads", "1", "--out", str(out), "--backends", *backends]
    assert query_speed.main(options) == 0
    written = json.loads(out.read_text())
    assert written["frames"] == 4
    assert written["machine"]["onnxruntime"]
    assert [(row["threads"], row["backend"]) for row in written["rows"]] == [
        (1, name) for name in backends
    ]
    for row in written["rows"]:
        assert set(row) == set(query_speed.HEADING)
        stages = sum(row[name] for name in query_speed.STAGES)
        assert 0 < row["encode"] < stages < 2 * row["p95"], row


def test_a_backend_that_is_not_installed_is_left_out(
    query_speed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = replace(query_speed.BACKENDS["openvino float32"], module="no_such")
    monkeypatch.setitem(query_speed.BACKENDS, "openvino float32", gone)
    assert query_speed._available(["torch float32", "openvino float32"]) == ["torch float32"]
    assert capsys.readouterr().out == "openvino float32 is left out: no_such is not installed\n"


def test_an_exported_backend_says_the_same(
    query_speed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an image has few cells. Here the networks pass the files by."""
    import bench.query_backends

    networks: dict[Path, torch.nn.Module] = {}

    def write_onnx(network: torch.nn.Module, file: Path, *_: object) -> None:
        networks[file] = network

    def compile_(file: Path, threads: int) -> Any:
        assert threads == 1

        def run(value: np.ndarray) -> list[np.ndarray]:
            out = networks[file](torch.from_numpy(value))
            return [each.numpy() for each in (out if isinstance(out, tuple) else (out,))]

        return run

    monkeypatch.setattr(bench.query_backends, "write_onnx", write_onnx)
    head = CoordinateHead(HeadConfig()).requires_grad_(requires_grad=False)
    scene = replace(known_scene(KnowingNetwork()), regressor=head)
    image = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
    exported = bench.query_backends._exported(compile_, "torch")
    points = [
        backend.make(scene, tmp_path, 1)._regressor(image, scene.camera, None).points_N3
        for backend in (query_speed.BACKENDS["torch float32"], exported)
    ]
    assert points[0].shape == (48, 3)
    torch.testing.assert_close(points[1], points[0], atol=1e-4, rtol=0)
