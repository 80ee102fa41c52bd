# SPDX-License-Identifier: Apache-2.0
"""``dsac localize``, with a network that knows the truth."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import write_image, write_values
from scipy.spatial.transform import Rotation
from stand_in import CALIBRATION, CAMERA, KnowingNetwork, depth_image, known_scene, pose_near

from dsac_core.cli.main import main
from dsac_core.scene.scene_map import SceneMap

LENS = CAMERA.scaled(320, 240)
NUMBERS = f"{LENS.fx},{LENS.fy},{LENS.cx},{LENS.cy}"
TRUTH = pose_near(3)


@pytest.fixture(autouse=True)
def scene(monkeypatch: pytest.MonkeyPatch) -> SceneMap:
    """Whatever the name."""
    depth_calibration = replace(CALIBRATION, min_support=0.7)
    scene = known_scene(KnowingNetwork(LENS, TRUTH), LENS, depth_calibration=depth_calibration)
    monkeypatch.setattr(SceneMap, "load", staticmethod(lambda _: scene))
    return scene


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "in" / name for name in ("img9.png", "img10.jpg")]
    for index, file in enumerate(files):
        write_image(file, index, 320, 240)
    return files


def localize(*arguments: Any, capfd: pytest.CaptureFixture[str], code: int = 0) -> list[Any]:
    given = [str(argument) for argument in arguments]
    assert main(["localize", "lab", *given]) == code
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_one_line_for_each_image(images: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    lines = localize(*images, "--camera", NUMBERS, capfd=capfd)
    assert [line["image"] for line in lines] == list(map(str, images))
    for line in lines:
        assert line["localized"] is True
        np.testing.assert_allclose(line["world_T_cam"], TRUTH, atol=1e-3)
        np.testing.assert_allclose(line["translation"], TRUTH[:3, 3], atol=1e-3)
        rotation = Rotation.from_quat(line["quaternion_xyzw"]).as_matrix()
        np.testing.assert_allclose(rotation, TRUTH[:3, :3], atol=1e-3)
        assert np.array(line["covariance"]).shape == (6, 6)
        assert (np.linalg.eigvalsh(line["covariance"]) > 0).all()
        assert 0 <= line["confidence"] <= 1
        assert line["inliers"] > 100
        assert line["landmark_inliers"] == 0
        assert "agree" in line["reason"]
        assert line["ms"] > 0


def test_a_folder_means_its_images_in_the_order_of_numbers(
    images: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    (images[0].parent / "notes.txt").write_text("no image")
    lines = localize(images[0].parent, capfd=capfd)
    assert [line["image"] for line in lines] == list(map(str, images))


def test_paths_from_standard_input(
    images: list[Path], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{images[1]}\n\n{images[0]}\n"))
    lines = localize("-", capfd=capfd)
    assert [line["image"] for line in lines] == [str(images[1]), str(images[0])]


def test_the_others_are_done_where_one_cannot_be(
    images: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    gone, damaged = images[0].with_name("gone.png"), images[0].with_name("damaged.png")
    damaged.write_bytes(images[0].read_bytes()[:50])
    small = images[0].with_name("small.png")
    write_image(small, 0, 160, 120)
    empty = images[0].with_name("empty")
    empty.mkdir()
    lines = localize(gone, damaged, images[0], small, empty, capfd=capfd, code=2)
    assert [set(line) == {"image", "error"} for line in lines] == [True, True, False, True, True]
    words = ("is missing", "is not a readable image", "", "--resized", "")
    for line, expected in zip(lines, words, strict=True):
        assert expected in line.get("error", "")


def test_resized_images(images: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    small = images[0].with_name("small.png")
    write_image(small, 0, 160, 120)
    (line,) = localize(small, "--resized", capfd=capfd)
    assert "error" not in line


def test_no_pose_is_null(
    images: list[Path], capfd: pytest.CaptureFixture[str], scene: SceneMap
) -> None:
    for weights in scene.regressor.parameters():
        weights.data.fill_(float("nan"))
    (line,) = localize(images[0], capfd=capfd)
    assert line["localized"] is False
    for key in ("world_T_cam", "translation", "quaternion_xyzw", "covariance"):
        assert line[key] is None
    assert line["reason"].startswith("no consistent pose")


@pytest.mark.parametrize("unit", [0.001, 0.0002])
def test_depth(
    unit: float, images: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "depth" / f"{index}.png" for index in range(2)]
    for file in files:
        write_values(file, np.rint(depth_image(LENS) / unit).astype(np.uint16))
    more = ["--depth-unit", unit] if unit != 0.001 else []
    for depth in (files, [files[0].parent]):
        lines = localize(*images, "--depth", *depth, *more, capfd=capfd)
        assert len(lines) == 2
        for line in lines:
            assert line["localized"] is True
            assert "depth is not used" not in line["reason"]
            np.testing.assert_allclose(line["world_T_cam"], TRUTH, atol=0.02)


def test_depth_without_an_image(images: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    for names in ([*images, "--depth", images[0]], ["-", "--depth", images[0]]):
        assert main(["localize", "lab", *map(str, names)]) == 2
        assert capfd.readouterr().err.startswith("error: --depth ")


def test_a_calibration_that_is_none(images: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["localize", "lab", str(images[0]), "--camera", "1,2"]) == 2
    told = capfd.readouterr()
    assert "has 2 numbers" in told.err
    assert not told.out
