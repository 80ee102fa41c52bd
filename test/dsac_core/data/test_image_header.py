# SPDX-License-Identifier: Apache-2.0
"""The size of an image from its header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from layouts import write_plain_image

import dsac_core.data.image_header as image_header
from dsac_core.data.image_header import size_in_header
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path


def never(file: Path) -> tuple[int, int]:
    msg = f"{file} was decoded"
    raise AssertionError(msg)


@pytest.mark.parametrize("size", [(32, 24), (7, 300)])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_png_and_jpeg_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, size: tuple[int, int]
) -> None:
    file = write_plain_image(tmp_path / f"a.{ending}", size=size)
    monkeypatch.setattr(image_header, "image_size", never)
    assert size_in_header(file) == size


def test_a_progressive_jpeg_with_a_comment_and_padded_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.jpg"
    image = np.zeros((24, 32, 3), np.uint8)
    assert cv2.imwrite(str(file), image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    data = file.read_bytes()
    assert b"\xff\xc2" in data
    # A comment that holds what looks like a start of frame.
    comment = b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01"
    segment = b"\xff\xff\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    file.write_bytes(data[:2] + segment + data[2:])
    monkeypatch.setattr(image_header, "image_size", never)
    assert size_in_header(file) == (32, 24)
    assert cv2.imread(str(file)).shape == (24, 32, 3)


def test_other_images_are_decoded(tmp_path: Path) -> None:
    assert size_in_header(write_plain_image(tmp_path / "a.bmp")) == (32, 24)


@pytest.mark.parametrize("content", [b"", b"words", b"\xff\xd8", b"\xff\xd8\xff\xc0\x00\x11\x08"])
def test_no_image(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.jpg is not a readable image"):
        size_in_header(file)
    with pytest.raises(DatasetError, match=r"b\.jpg is missing"):
        size_in_header(tmp_path / "b.jpg")
