# SPDX-License-Identifier: Apache-2.0
"""Writes COLMAP models as https://colmap.github.io/format.html describes them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from layouts import HEIGHT, TRANSLATION, WIDTH, WXYZ, write_plain_image

if TYPE_CHECKING:
    from pathlib import Path

CAMERAS = [
    (1, "PINHOLE", (30.0, 31.0, 16.0, 12.5)),
    (7, "OPENCV", (30.0, 31.0, 16.0, 12.5, 0.1, 0.2, 0.03, 0.04)),
]
OTHER = ((0.8, 0.6, 0.0, 0.0), (1.0, 0.0, 0.0))  # a turn about x: cosine 0.28, sine 0.96
OTHER_WORLD_T_CAM = np.array(
    [[1.0, 0.0, 0.0, -1.0], [0.0, 0.28, 0.96, 0.0], [0.0, -0.96, 0.28, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
# Not in the order of their names; the first has no points.
IMAGES = [
    (4, WXYZ, TRANSLATION, 7, "b/frame 10.png", 0),
    (2, *OTHER, 1, "b/frame 9.png", 2),
    (9, WXYZ, TRANSLATION, 1, "a.png", 1),
]
IDS = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4}


def cameras_text(cameras: Any = CAMERAS) -> str:
    rows = [
        f"{key} {model} {WIDTH} {HEIGHT} {' '.join(map(str, values))}"
        for key, model, values in cameras
    ]
    head = ["# Camera list with one line of data per camera:", f"# Number of cameras: {len(rows)}"]
    return "\n".join([*head, *rows]) + "\n"


def images_text(images: Any = IMAGES) -> str:
    lines = ["# Image list with two lines of data per image:", "# Number of images: 3"]
    for key, wxyz, translation, camera, name, points in images:
        numbers = " ".join(map(str, (*wxyz, *translation)))
        lines += [f"{key} {numbers} {camera} {name}", " ".join(["1.5 2.5 -1"] * points)]
    return "\n".join(lines) + "\n"


def cameras_binary(cameras: Any = CAMERAS) -> bytes:
    data = struct.pack("<Q", len(cameras))
    for key, model, values in cameras:
        data += struct.pack("<IiQQ", key, IDS.get(model, model), WIDTH, HEIGHT)
        data += struct.pack(f"<{len(values)}d", *values)
    return data


def images_binary(images: Any = IMAGES) -> bytes:
    data = struct.pack("<Q", len(images))
    for key, wxyz, translation, camera, name, points in images:
        data += struct.pack("<I7dI", key, *wxyz, *translation, camera) + name.encode() + b"\0"
        data += struct.pack("<Q", points) + struct.pack("<2dQ", 1.5, 2.5, 2**64 - 1) * points
    return data


def write_model(place: Path, kind: str = "txt") -> Path:
    place.mkdir(parents=True, exist_ok=True)
    cameras = cameras_text().encode() if kind == "txt" else cameras_binary()
    images = images_text().encode() if kind == "txt" else images_binary()
    (place / f"cameras.{kind}").write_bytes(cameras)
    (place / f"images.{kind}").write_bytes(images)
    return place


def write_images(root: Path) -> None:
    for value, image in enumerate(IMAGES):
        write_plain_image(root / image[4], 10 * value)
