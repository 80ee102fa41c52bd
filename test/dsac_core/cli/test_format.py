# SPDX-License-Identifier: Apache-2.0
"""``--format``, and the line that says what a recording was taken for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from layouts import TRANSLATION, WXYZ, write_plain_image, write_text

from dsac_core.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from dsac_core.scene.scene_map import SceneMap

IDENTITY = "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Two images in the layout of DSAC*, and a COLMAP model that was made of one."""
    path = tmp_path / "desk"
    for index in range(2):
        write_plain_image(path / "train" / "rgb" / f"{index}.png", size=(64, 48))
        write_text(path / "train" / "poses" / f"{index}.txt", IDENTITY)
        write_text(path / "train" / "calibration" / f"{index}.txt", "60\n")
    pose = " ".join(map(str, (*WXYZ, *TRANSLATION)))
    write_text(path / "sparse" / "0" / "cameras.txt", "1 SIMPLE_PINHOLE 64 48 60 32 24\n")
    write_text(path / "sparse" / "0" / "images.txt", f"1 {pose} 1 train/rgb/1.png\n\n")
    return path


WORDS = [
    ([], "desk: layout of DSAC*, splits train (2 images)\n"),
    (["--format", "auto"], "desk: layout of DSAC*, splits train (2 images)\n"),
    (["--format", "colmap"], "desk: COLMAP model, 1 images\n"),
]


@pytest.mark.parametrize(("options", "words"), WORDS)
def test_evaluate_says_what_it_reads(
    both: Path,
    scene_map: SceneMap,
    options: list[str],
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    scene = both.parent / "lab"
    scene_map.save(scene)
    assert main(["evaluate", str(scene), str(both), "--split", "train", *options]) == 0
    assert capfd.readouterr().out.startswith(words)


@pytest.mark.parametrize("method", ["fast", "dsacstar"])
@pytest.mark.parametrize(("options", "words"), WORDS)
def test_train_says_what_it_reads(
    both: Path, method: str, options: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """These are too few images to learn from, which is said after it."""
    command = ["train", str(both), "--scene", "desk", "--out", str(both.parent / "out")]
    assert main([*command, "--method", method, "--iterations", "1", *options]) == 2
    told = capfd.readouterr()
    assert told.out.startswith(words)
    assert "at least" in told.err


def test_a_form_that_it_is_not(both: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["train", str(both), "--scene", "desk", "--out", str(both.parent / "out")]
    assert main([*command, "--format", "tum"]) == 2
    assert "is no TUM RGB-D: it lacks rgb.txt" in capfd.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--format", "kitti"])
    assert "choose from" in capfd.readouterr().err
