# SPDX-License-Identifier: Apache-2.0
"""COLMAP models as recordings, in the files that its documentation describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from colmap_writer import (
    IMAGES,
    OTHER_WORLD_T_CAM,
    cameras_text,
    images_text,
    write_images,
    write_model,
)
from layouts import (
    HEIGHT,
    TRANSLATION,
    WIDTH,
    WORLD_T_CAM,
    WXYZ,
    refusal,
    write_plain_image,
    write_text,
)

from dsac_core.data.colmap_model import open_colmap, recognises
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["txt", "bin"])
@pytest.mark.parametrize(
    ("model", "images", "opened"),
    [
        ("sparse/0", "images", ""),
        ("sparse", "images", ""),
        ("", "images", ""),
        ("", "", ""),
        ("sparse/0", "", "sparse/0"),
        ("sparse/0", "images", "sparse/0"),
        ("model", "images", "model"),
    ],
)
def test_every_field(tmp_path: Path, kind: str, model: str, images: str, opened: str) -> None:
    write_model(tmp_path / model, kind)
    write_images(tmp_path / images)
    assert recognises(tmp_path / opened)
    dataset = open_colmap(tmp_path / opened)
    assert dataset.kind == "COLMAP model"
    assert dataset.splits() == ("all",)
    frames = list(dataset.frames("all"))
    assert [frame.name for frame in frames] == ["a.png", "b/frame 9.png", "b/frame 10.png"]
    assert [frame.stamp for frame in frames] == [0.0, 1.0, 2.0]
    poses = [WORLD_T_CAM, OTHER_WORLD_T_CAM, WORLD_T_CAM]
    for frame, pose, red in zip(frames, poses, (20, 10, 0), strict=True):
        np.testing.assert_allclose(frame.world_T_cam, pose, atol=1e-12)
        assert frame.image[3, 4].tolist() == [red, 0, 0]
    pinhole = Camera(WIDTH, HEIGHT, 30.0, 31.0, 15.5, 12.0)
    distorted = (0.1, 0.2, 0.03, 0.04, 0.0)
    assert [frame.camera for frame in frames[:2]] == [pinhole] * 2
    assert frames[2].camera == Camera(WIDTH, HEIGHT, 30.0, 31.0, 15.5, 12.0, "plumb_bob", distorted)


def test_images_of_the_folder_that_was_named_count(tmp_path: Path) -> None:
    """Not those above it; its ``images`` before itself; also through a link to the model."""
    write_images(tmp_path / "images")
    desk = tmp_path / "desk"
    write_model(tmp_path / "model")
    (desk / "sparse").mkdir(parents=True)
    (desk / "sparse" / "0").symlink_to(tmp_path / "model")
    assert f"in {desk / 'images'}: put the images there" in refusal(desk)
    for root, red in ((desk, 60), (desk / "images", 70)):
        write_plain_image(root / "a.png", red)
        (frame,) = open_colmap(desk).frames("all")
        assert frame.image[0, 0, 0] == red


def test_of_both_kinds_the_binary_one_counts(tmp_path: Path) -> None:
    write_model(tmp_path, "bin")
    write_images(tmp_path)
    write_text(tmp_path / "images.txt", "nothing")
    assert open_colmap(tmp_path).count("all") == 3


def test_other_ends_of_lines_blank_lines_and_comments(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_images(tmp_path)
    want = [frame.name for frame in open_colmap(tmp_path).frames("all")]
    images = images_text().replace("\n9 ", "\n\n# the last\n9 ")
    write_text(tmp_path / "images.txt", "\ufeff" + images.rstrip("\n").replace("\n", "\r\n"))
    write_text(tmp_path / "cameras.txt", cameras_text().replace("\n", "\r\n\r\n"))
    assert [frame.name for frame in open_colmap(tmp_path).frames("all")] == want


def test_a_quaternion_of_any_length(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_images(tmp_path)
    longer = [(9, tuple(-3 * value for value in WXYZ), TRANSLATION, 1, "a.png", 0)]
    write_text(tmp_path / "images.txt", images_text(longer))
    (frame,) = open_colmap(tmp_path).frames("all")
    np.testing.assert_allclose(frame.world_T_cam, WORLD_T_CAM, atol=1e-12)


def test_images_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    write_model(tmp_path / "sparse" / "0")
    write_plain_image(tmp_path / "images" / "b" / "frame 9.png")
    assert [frame.name for frame in open_colmap(tmp_path).frames("all")] == ["b/frame 9.png"]
    (tmp_path / "images" / "b" / "frame 9.png").unlink()
    assert f"in {tmp_path / 'images'}: put the images there" in refusal(tmp_path)


@pytest.mark.parametrize("place", ["test.txt", "sparse/0/test.txt", "list_test.txt"])
def test_a_list_of_test_images(tmp_path: Path, place: str) -> None:
    write_model(tmp_path / "sparse" / "0")
    write_images(tmp_path / "images")
    write_text(tmp_path / place, "b/frame 9.png\r\n\r\nnot/there.png\r\n")
    dataset = open_colmap(tmp_path)
    assert dataset.splits() == ("train", "test")
    assert [frame.name for frame in dataset.frames("test")] == ["b/frame 9.png"]
    assert [frame.name for frame in dataset.frames("train")] == ["a.png", "b/frame 10.png"]
    write_text(tmp_path / place, "frame 9\n")
    assert "names no image of the model: list the test images as a.png" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("test/1.png", "train/2.png", "train/1.png"), ("train", "test")),
        (("test/1.png", "train/2.png", "more/1.png"), ("all",)),
        (("train/1.png", "train/2.png", "train/3.png"), ("all",)),
    ],
)
def test_folders_as_splits(tmp_path: Path, names: tuple[str, ...], splits: tuple[str, ...]) -> None:
    write_model(tmp_path)
    images = [(*image[:4], name, 0) for image, name in zip(IMAGES, names, strict=True)]
    write_text(tmp_path / "images.txt", images_text(images))
    for name in names:
        write_plain_image(tmp_path / "images" / name)
    dataset = open_colmap(tmp_path)
    assert dataset.splits() == splits
    want = sorted(name for name in names if splits == ("all",) or name.startswith("train/"))
    assert [frame.name for frame in dataset.frames(splits[0])] == want


def test_one_file_alone_is_no_model(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "images.txt").unlink()
    assert not recognises(tmp_path)
    with pytest.raises(DatasetError, match=r"has no images\.bin or images\.txt"):
        open_colmap(tmp_path)


def test_a_model_without_images_is_said_to_be_that(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_text(tmp_path / "images.txt", "# none\n")
    assert "has no image with a pose" in refusal(tmp_path)
