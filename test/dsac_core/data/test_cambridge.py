# SPDX-License-Identifier: Apache-2.0
"""Cambridge Landmarks, as the dataset's files are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from layouts import WORLD_T_CAM, WXYZ, refusal, write_plain_image, write_text

from dsac_core.data.cambridge import open_cambridge, recognises
from dsac_core.geometry.camera import Camera

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "Visual Landmark Dataset V1\nImageFile, Camera Position [X Y Z W P Q R]\n\n"
POSE = " ".join(map(str, (1, 2, 3, *WXYZ)))
# A turn of the world about x: cosine 0.28, sine 0.96.
OTHER_POSE = "-1.5 0 2 0.8 0.6 0 0"
OTHER_WORLD_T_CAM = np.array(
    [[1.0, 0.0, 0.0, -1.5], [0.0, 0.28, 0.96, 0.0], [0.0, -0.96, 0.28, 2.0], [0.0, 0.0, 0.0, 1.0]]
)
TRAIN = f"seq2/frame00002.png {POSE}\nseq2/frame00001.png {OTHER_POSE}\n"
TEST = f"seq1/frame00001.png {OTHER_POSE}\n"
NVM = """NVM_V3

4
seq1/frame00001.jpg\t30.5 0.9 0.1 -0.2 0.3 1.5 2.5 3.5 -0.04 0
seq2/frame00001.jpg\t31.5 0.9 0.1 -0.2 0.3 1.5 2.5 3.5 -0.04 0
seq2/frame00002.jpg\t32.5 0.9 0.1 -0.2 0.3 1.5 2.5 3.5 -0.04 0
not/listed.jpg\t33.5 0.9 0.1 -0.2 0.3 1.5 2.5 3.5 -0.04 0

1
1.0 2.0 3.0 90 80 70 0
"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    write_text(tmp_path / "dataset_train.txt", HEAD + TRAIN)
    write_text(tmp_path / "dataset_test.txt", HEAD + TEST)
    write_text(tmp_path / "reconstruction.nvm", NVM)
    write_plain_image(tmp_path / "seq2" / "frame00002.png", 10)
    write_plain_image(tmp_path / "seq2" / "frame00001.png", 20)
    write_plain_image(tmp_path / "seq1" / "frame00001.png", 30, size=(24, 33))
    return tmp_path


def test_every_field(scene: Path) -> None:
    assert recognises(scene)
    dataset = open_cambridge(scene)
    assert (dataset.name, dataset.kind) == (scene.name, "Cambridge Landmarks")
    assert dataset.splits() == ("train", "test")
    first, second = dataset.frames("train", with_depth=True)
    (third,) = dataset.frames("test")
    names = ["seq2/frame00002.png", "seq2/frame00001.png", "seq1/frame00001.png"]
    assert [frame.name for frame in (first, second, third)] == names
    assert [frame.stamp for frame in (first, second, third)] == [0.0, 1.0, 2.0]
    assert [int(frame.image[4, 4, 0]) for frame in (first, second, third)] == [10, 20, 30]
    assert first.depth is None
    np.testing.assert_allclose(first.world_T_cam, WORLD_T_CAM, atol=1e-12)
    np.testing.assert_allclose(second.world_T_cam, OTHER_WORLD_T_CAM, atol=1e-12)
    assert first.camera == Camera(32, 24, 32.5, 32.5, 15.5, 11.5)
    assert second.camera == Camera(32, 24, 31.5, 31.5, 15.5, 11.5)
    assert third.camera == Camera(24, 33, 30.5, 30.5, 11.5, 16.0)


def test_one_list_alone(scene: Path) -> None:
    (scene / "dataset_train.txt").unlink()
    assert recognises(scene)
    assert open_cambridge(scene).splits() == ("test",)
    (scene / "dataset_test.txt").unlink()
    assert not recognises(scene)


def test_other_ends_of_lines_blank_lines_and_quaternions(scene: Path) -> None:
    longer = TRAIN.replace("0.8 0.6 0 0", "-2.4 -1.8 0 0").rstrip("\n")
    text = (
        (HEAD + longer)
        .replace("\n", "\r\n")
        .replace("\r\nseq2/frame00001", "\r\n\r\nseq2/frame00001")
    )
    write_text(scene / "dataset_train.txt", text)
    _, second = open_cambridge(scene).frames("train")
    np.testing.assert_allclose(second.world_T_cam, OTHER_WORLD_T_CAM, atol=1e-12)


def test_a_blank_in_a_name(scene: Path) -> None:
    write_plain_image(scene / "seq 3" / "a b.png")
    write_text(scene / "dataset_test.txt", f"{HEAD}seq 3/a b.png {POSE}\n")
    write_text(scene / "reconstruction.nvm", NVM.replace("not/listed", "seq 3/a b"))
    (frame,) = open_cambridge(scene).frames("test")
    assert (frame.name, frame.camera.fx) == ("seq 3/a b.png", 33.5)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("dataset_train.txt", f" {POSE}", " 1 2 3", "line 4: expected 'file X Y Z W P Q R'"),
        ("dataset_train.txt", "1 2 3", "1 two 3", "line 4: expected"),
        ("dataset_train.txt", "1 2 3", "1 nan 3", "line 4: expected"),
        ("dataset_train.txt", "0.8 0.6 0 0", "0 0 0 0", "line 5: expected"),
        (
            "dataset_train.txt",
            "seq2/frame00001",
            "seq2/frame00002",
            "line 5: seq2/frame00002.png was",
        ),
        ("dataset_test.txt", "seq1", "seq2", "line 4: seq2/frame00001.png was listed before"),
        ("dataset_test.txt", "seq1", "seq7", "no camera of seq7/frame00001.png"),
        ("reconstruction.nvm", "seq1", "seq7", "no camera of seq1/frame00001.png"),
        ("reconstruction.nvm", "NVM_V3", "NVM_V2", "does not start with NVM_V3"),
        ("reconstruction.nvm", "\t30.5", "\twide", "reconstruction.nvm is truncated or damaged"),
        ("reconstruction.nvm", "\t30.5 0.9", "\t30.5", "reconstruction.nvm is truncated or"),
        ("reconstruction.nvm", "\n4\n", "\n40\n", "reconstruction.nvm is truncated or damaged"),
        ("reconstruction.nvm", "\t30.5", "\t0", "seq1/frame00001.png: camera is not calibrated"),
    ],
)
def test_damage_is_named(scene: Path, file: str, old: str, new: str, said: str) -> None:
    text = (scene / file).read_text()
    assert old in text
    write_text(scene / file, text.replace(old, new))
    assert said in refusal(scene)


def test_missing_files_are_named(scene: Path) -> None:
    (scene / "seq2" / "frame00001.png").unlink()
    assert f"{scene / 'seq2' / 'frame00001.png'} is missing" in refusal(scene)
    (scene / "reconstruction.nvm").unlink()
    assert "has no reconstruction.nvm" in refusal(scene)


def test_an_empty_list(scene: Path) -> None:
    for name in ("dataset_train.txt", "dataset_test.txt"):
        write_text(scene / name, HEAD)
    assert "has no image with a pose" in refusal(scene)
