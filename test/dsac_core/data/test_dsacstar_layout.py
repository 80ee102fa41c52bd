# SPDX-License-Identifier: Apache-2.0
"""The layout of DSAC*'s public code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from layouts import HEIGHT, WIDTH, WORLD_T_CAM, refusal, write_plain_image, write_text

from dsac_core.data.dsacstar_layout import open_dsacstar, recognises
from dsac_core.geometry.camera import Camera

if TYPE_CHECKING:
    from pathlib import Path

POSE = "\n".join("\t".join(f"{value:.7e}" for value in row) for row in WORLD_T_CAM) + "\n"
MATRIX = "30 0 15.25\n0 31 11.75\n0 0 1\n"


def add(split: Path, name: str, value: int = 90, calibration: str = "30.5\n") -> None:
    """With the names that the scripts of the public code make of 7-Scenes."""
    write_plain_image(split / "rgb" / f"{name}.color.png", value)
    write_text(split / "poses" / f"{name}.pose.txt", POSE)
    write_text(split / "calibration" / f"{name}.calibration.txt", calibration)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    add(tmp_path / "train", "seq-02-frame-000010", 10)
    add(tmp_path / "train", "seq-02-frame-000009", 20, MATRIX)
    add(tmp_path / "test", "seq-01-frame-000000", 30)
    write_plain_image(
        tmp_path / "test" / "depth" / "seq-01-frame-000000.depth.png", 2500, dtype=np.uint16
    )
    return tmp_path


def test_every_field(scene: Path) -> None:
    assert recognises(scene)
    dataset = open_dsacstar(scene)
    assert (dataset.name, dataset.kind) == (scene.name, "layout of DSAC*")
    assert dataset.splits() == ("train", "test")
    first, second = dataset.frames("train", with_depth=True)
    (third,) = dataset.frames("test", with_depth=True)
    names = ["train/seq-02-frame-000009", "train/seq-02-frame-000010", "test/seq-01-frame-000000"]
    assert [frame.name for frame in (first, second, third)] == names
    assert [frame.stamp for frame in (first, second, third)] == [0.0, 1.0, 2.0]
    assert [int(frame.image[4, 4, 0]) for frame in (first, second, third)] == [20, 10, 30]
    for frame in (first, second, third):
        np.testing.assert_allclose(frame.world_T_cam, WORLD_T_CAM, atol=1e-9)
    assert first.camera == Camera(WIDTH, HEIGHT, 30.0, 31.0, 15.25, 11.75)
    assert second.camera == third.camera == Camera(WIDTH, HEIGHT, 30.5, 30.5, 15.5, 11.5)
    assert first.depth is None
    np.testing.assert_array_equal(third.depth, np.full((HEIGHT, WIDTH), 2.5, np.float32))


def test_jpeg_and_one_name_for_all_and_other_files(tmp_path: Path) -> None:
    """As of Cambridge Landmarks; what no image asks for is left alone."""
    for name in ("seq1_frame00002", "seq1_frame00010", "seq1_frame00001"):
        write_text(tmp_path / "train" / "poses" / f"{name}.txt", POSE.replace("\n", "\r\n\r\n"))
        write_text(tmp_path / "train" / "calibration" / f"{name}.txt", "\r\n 30.5\r\n")
    write_plain_image(tmp_path / "train" / "rgb" / "seq1_frame00010.jpg")
    write_plain_image(tmp_path / "train" / "rgb" / "seq1_frame00002.jpg")
    write_text(tmp_path / "train" / "rgb" / "list.txt", "words")
    write_text(tmp_path / "train" / "rgb" / "._seq1_frame00002.jpg", "of a Mac")
    dataset = open_dsacstar(tmp_path)
    assert dataset.splits() == ("train",)
    names = [frame.name for frame in dataset.frames("train")]
    assert names == ["train/seq1_frame00002", "train/seq1_frame00010"]


def test_files_of_other_names_go_together_in_order(tmp_path: Path) -> None:
    train = tmp_path / "train"
    first, *others = POSE.splitlines()
    for index in (10, 9):
        write_plain_image(train / "rgb" / f"image{index}.png", index)
        row = first.rsplit("\t", 1)[0] + f"\t{index}"
        write_text(train / "poses" / f"pose{index}.txt", "\n".join([row, *others]))
        write_text(train / "calibration" / f"k{index}.txt", f"{100 + index}")
    frames = list(open_dsacstar(tmp_path).frames("train"))
    assert [frame.image[0, 0, 0] for frame in frames] == [9, 10]
    assert [frame.world_T_cam[0, 3] for frame in frames] == [9.0, 10.0]
    assert [frame.camera.fx for frame in frames] == [109.0, 110.0]
    (train / "poses" / "pose9.txt").unlink()
    assert "image9.png has no file in" in refusal(tmp_path)


def test_lost_poses_are_left_out(scene: Path) -> None:
    lost = "\n".join(["-inf -inf -inf -inf"] * 4)
    write_text(scene / "train" / "poses" / "seq-02-frame-000009.pose.txt", lost)
    (frame,) = open_dsacstar(scene).frames("train")
    assert frame.name == "train/seq-02-frame-000010"


NAME = "seq-02-frame-000010"


@pytest.mark.parametrize("kind", ["pose", "calibration"])
def test_a_missing_file_is_named(scene: Path, kind: str) -> None:
    folder = {"pose": "poses"}.get(kind, kind)
    (scene / "train" / folder / f"{NAME}.{kind}.txt").unlink()
    message = refusal(scene)
    assert f"{NAME}.color.png has no file in {scene / 'train' / folder}" in message


def test_two_images_of_one_name(scene: Path) -> None:
    write_plain_image(scene / "train" / "rgb" / f"{NAME}.jpg")
    assert "are of one name: remove one of both" in refusal(scene)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (f"poses/{NAME}.pose.txt", "1 0 0\n", "does not hold a 4x4 rigid"),
        (f"poses/{NAME}.pose.txt", "", "does not hold a 4x4 rigid"),
        (f"poses/{NAME}.pose.txt", POSE.replace("-1.0", "-1.2"), "does not hold a 4x4 rigid"),
        (f"poses/{NAME}.pose.txt", POSE.replace("1.0", "one"), "does not hold a 4x4 rigid"),
        (f"calibration/{NAME}.calibration.txt", "", "expected a focal length"),
        (f"calibration/{NAME}.calibration.txt", "wide", "expected a focal length"),
        (f"calibration/{NAME}.calibration.txt", "30 31", "expected a focal length"),
        (f"calibration/{NAME}.calibration.txt", MATRIX[:-7], "expected a focal length"),
        (f"calibration/{NAME}.calibration.txt", MATRIX.replace("0 0 1", "0 0 2"), "expected a"),
        (f"calibration/{NAME}.calibration.txt", MATRIX.replace("30 0", "30 1"), "expected a focal"),
        (f"calibration/{NAME}.calibration.txt", "-30", "camera is not calibrated"),
        (f"rgb/{NAME}.color.png", "words", "is not a readable image"),
    ],
)
def test_damage_is_named(scene: Path, file: str, content: str, said: str) -> None:
    write_text(scene / "train" / file, content)
    message = refusal(scene)
    assert said in message
    assert str(scene / "train" / file) in message


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "train" / "rgb").mkdir(parents=True)
    assert not recognises(tmp_path)
    (tmp_path / "train" / "poses").mkdir()
    assert recognises(tmp_path)
    assert "has no image with a pose" in refusal(tmp_path)
