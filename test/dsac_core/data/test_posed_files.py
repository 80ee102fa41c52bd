# SPDX-License-Identifier: Apache-2.0
"""Image files with poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image_files import HEIGHT, WIDTH, error_of, write_image, write_values

from dsac_core.data.posed_files import DepthFile, PosedFile, PosedFiles, image_size
from dsac_core.geometry.camera import Camera

CAMERA = Camera(WIDTH, HEIGHT, 30.0, 31.0, 15.0, 12.5)


@pytest.fixture
def posed(tmp_path: Path) -> Callable[..., PosedFile]:
    def make(index: int, depth: DepthFile | None = None) -> PosedFile:
        file = tmp_path / f"{index}.png"
        write_image(file, index)
        pose = np.eye(4)
        pose[0, 3] = index
        return PosedFile(f"image {index}", 10.0 + index, file, CAMERA, pose, depth)

    return make


def test_frames_are_read_in_order(posed: Callable[..., PosedFile]) -> None:
    dataset = PosedFiles("room", "test files", {"train": [posed(2), posed(1)], "test": [posed(3)]})
    assert (dataset.name, dataset.kind) == ("room", "test files")
    assert dataset.splits() == ("train", "test")
    assert [dataset.count(split) for split in ("train", "test", "all")] == [2, 1, 3]
    first, second = dataset.frames("train")
    assert (first.name, first.stamp, first.camera) == ("image 2", 12.0, CAMERA)
    np.testing.assert_array_equal(first.image, write_image(posed(2).file, 2))
    assert first.world_T_cam[0, 3] == 2.0
    assert first.depth is None
    assert second.name == "image 1"


def test_chosen_frames_and_all_of_them(posed: Callable[..., PosedFile]) -> None:
    dataset = PosedFiles("room", "files", {"train": [posed(2), posed(1)], "test": [posed(3)]})
    assert [frame.name for frame in dataset.frames("all")] == ["image 2", "image 1", "image 3"]
    assert [frame.name for frame in dataset.frames("all", indices={1, 2})] == ["image 1", "image 3"]


def test_only_the_frames_asked_for_are_read(posed: Callable[..., PosedFile]) -> None:
    good, gone = posed(0), posed(1)
    gone.file.unlink()
    dataset = PosedFiles("room", "files", {"all": [good, gone]})
    assert len(list(dataset.frames("all", indices={0}))) == 1
    assert "1.png is missing" in error_of(lambda: list(dataset.frames("all")))


def test_a_split_without_frames_is_none(posed: Callable[..., PosedFile]) -> None:
    dataset = PosedFiles("room", "files", {"train": [posed(0)], "test": []})
    assert dataset.splits() == ("train",)
    assert "no split 'test', it has: train" in error_of(lambda: dataset.count("test"))


def test_nothing_at_all() -> None:
    message = error_of(lambda: PosedFiles("room", "TUM RGB-D", {"train": []}))
    assert message == "room was taken for TUM RGB-D, but has no image with a pose"


def test_depth_of_16_bit(posed: Callable[..., PosedFile], tmp_path: Path) -> None:
    write_values(tmp_path / "depth.png", np.array([[0, 65535, 65534, 1000, 1]], np.uint16))
    file = posed(0, DepthFile(tmp_path / "depth.png", unit=1 / 5000))
    dataset = PosedFiles("room", "files", {"all": [file]})
    (frame,) = dataset.frames("all", with_depth=True)
    assert frame.depth is not None
    assert frame.depth.dtype == np.float32
    np.testing.assert_allclose(frame.depth, [[0, 0, 65534 / 5000, 0.2, 0.0002]], rtol=1e-6)
    assert next(iter(dataset.frames("all"))).depth is None


def test_depth_of_floats(posed: Callable[..., PosedFile], tmp_path: Path) -> None:
    values = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0, 65535.0, 2.5]], np.float32)
    write_values(tmp_path / "depth.tiff", values)
    file = posed(0, DepthFile(tmp_path / "depth.tiff", unit=2.0))
    (frame,) = PosedFiles("room", "files", {"all": [file]}).frames("all", with_depth=True)
    np.testing.assert_array_equal(frame.depth, [[0, 0, 0, 0, 0, 131070.0, 5.0]])


def test_depth_of_another_camera_is_registered(
    posed: Callable[..., PosedFile], tmp_path: Path
) -> None:
    """Half the size of the image, twice its field of view: the middle half remains."""
    depth_camera = Camera(16, 12, 7.5, 7.75, (15.5 / 2 - 0.25), (13.0 / 2 - 0.25))
    values = np.arange(1, 16 * 12 + 1, dtype=np.uint16).reshape(12, 16) + 2000
    write_values(tmp_path / "depth.png", values)
    depth = DepthFile(tmp_path / "depth.png", 1e-3, depth_camera)
    file = replace(posed(0, depth), camera=replace(CAMERA, cx=15.5, cy=13.0))
    (frame,) = PosedFiles("room", "files", {"all": [file]}).frames("all", with_depth=True)
    assert frame.depth is not None
    assert frame.depth.shape == (12, 16)
    scaled = frame.camera.scaled(16, 12)
    seen = np.argwhere(frame.depth > 0)
    assert 40 <= len(seen) <= 56
    for row, column in seen:
        source_column = (column - scaled.cx) / scaled.fx * depth_camera.fx + depth_camera.cx
        source_row = (row - scaled.cy) / scaled.fy * depth_camera.fy + depth_camera.cy
        near = values[round(source_row), round(source_column)]
        assert abs(float(frame.depth[row, column]) - near / 1000) < 0.018  # a row is 16 mm


@pytest.mark.parametrize("content", [None, b"", b"not an image"])
def test_a_damaged_image_is_named(posed: Callable[..., PosedFile], content: bytes | None) -> None:
    file = posed(0)
    file.file.unlink()
    if content is not None:
        file.file.write_bytes(content)
    message = error_of(lambda: list(PosedFiles("room", "files", {"all": [file]}).frames("all")))
    assert "0.png" in message
    assert ("is missing" in message) == (content is None)


@pytest.mark.parametrize("content", [None, b"", "colour", "8 bit", "other size"])
def test_damaged_depth_is_named(
    posed: Callable[..., PosedFile], tmp_path: Path, content: object
) -> None:
    file = tmp_path / "depth.png"
    if content == "colour":
        write_image(file)
    elif content == "8 bit":
        write_values(file, np.ones((4, 4), np.uint8))
    elif content == "other size":
        write_values(file, np.ones((4, 4), np.uint16))
    elif isinstance(content, bytes):
        file.write_bytes(content)
    dataset = PosedFiles("room", "files", {"all": [posed(0, DepthFile(file, camera=CAMERA))]})
    message = error_of(lambda: list(dataset.frames("all", with_depth=True)))
    assert "depth.png" in message
    assert ("is missing" in message) == (content is None)
    assert ("is 4x4, its calibration is for 32x24" in message) == (content == "other size")


def test_an_image_of_another_size_is_refused(posed: Callable[..., PosedFile]) -> None:
    file = posed(0)
    write_image(file.file, width=20, height=10)
    dataset = PosedFiles("room", "files", {"all": [file]})
    assert "0.png is 20x10, its calibration is for 32x24" in error_of(
        lambda: list(dataset.frames("all"))
    )


def test_image_size(posed: Callable[..., PosedFile], tmp_path: Path) -> None:
    assert image_size(posed(0).file) == (WIDTH, HEIGHT)
    assert "nothing.png is missing" in error_of(lambda: image_size(tmp_path / "nothing.png"))


def test_gray_images_become_rgb(posed: Callable[..., PosedFile]) -> None:
    file = posed(0)
    gray = np.arange(WIDTH * HEIGHT, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    write_values(file.file, gray)
    (frame,) = PosedFiles("room", "files", {"all": [file]}).frames("all")
    np.testing.assert_array_equal(frame.image, np.repeat(gray[..., None], 3, axis=2))
