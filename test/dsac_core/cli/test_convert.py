# SPDX-License-Identifier: Apache-2.0
"""``dsac convert``: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsac_core.cli.main import main
from dsac_core.data.nerfstudio import open_nerfstudio
from dsac_core.data.open_dataset import open_dataset


def left(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_bag_becomes_a_folder(
    robot_bag: Any, write_bag: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bag, out = write_bag(robot_bag.messages), tmp_path / "more" / "folder"
    assert main(["convert", str(bag), str(out)]) == 0
    told = capfd.readouterr()
    assert told.out.startswith("walk: rosbag2, images on /camera/image_raw, poses of 'base_link'")
    assert told.out.endswith(f"{out} written: 5 images with depth\n")
    assert "converting: 100%" in told.err
    assert "image 5/5" in told.err
    frames = zip(
        open_dataset(bag).frames("all", with_depth=True),
        open_nerfstudio(out).frames("all", with_depth=True),
        strict=True,
    )
    for before, after in frames:
        np.testing.assert_array_equal(after.image, before.image)
        np.testing.assert_array_equal(after.depth, before.depth)
        np.testing.assert_array_equal(after.world_T_cam, before.world_T_cam)
    assert left(out.parent) == {"folder"}


def test_what_to_convert_can_be_chosen(seven_scenes: Any, tmp_path: Path) -> None:
    path = str(seven_scenes.path)
    assert main(["convert", path, str(tmp_path / "both")]) == 0
    assert open_nerfstudio(tmp_path / "both").splits() == ("train", "test")
    options = ["--split", "train", "--keyframes", "2", "--no-depth"]
    assert main(["convert", path, str(tmp_path / "some"), *options]) == 0
    some = open_nerfstudio(tmp_path / "some")
    assert (some.splits(), some.count("train"), some.has_depth()) == (("train",), 2, False)


def test_what_is_there_is_not_touched(
    robot_bag: Any, write_bag: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert main(["convert", str(write_bag(robot_bag.messages)), str(out)]) == 2
    assert "is there already" in capfd.readouterr().err
    assert left(out) == {"mine.txt"}


def test_a_damaged_image_leaves_nothing(
    seven_scenes: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    last = sorted(seven_scenes.path.glob("seq-12/*.color.*"))[-1]
    last.write_bytes(b"damaged")
    before = left(tmp_path)
    assert main(["convert", str(seven_scenes.path), str(tmp_path / "out")]) == 2
    assert "not a readable image" in capfd.readouterr().err
    assert left(tmp_path) == before


def test_ctrl_c_leaves_nothing(
    robot_bag: Any, write_bag: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    bag = write_bag(robot_bag.messages)
    before = left(tmp_path)

    def pressed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dsac_core.progress.ConsoleProgress.__call__", pressed)
    assert main(["convert", str(bag), str(tmp_path / "out")]) == 130
    assert "nothing was changed" in capfd.readouterr().err
    assert left(tmp_path) == before
