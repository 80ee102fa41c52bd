# SPDX-License-Identifier: Apache-2.0
"""The layout that the public code of DSAC* (Brachmann and Rother, TPAMI 2021) and ACE expects.

``train`` and ``test`` have ``rgb`` with images, ``poses`` with a text file each (4 x 4, camera to
world, metres, optical axes), ``calibration`` with a text file each (the focal length in pixels, and
then the principal point is the middle of the image, or a 3 x 3 matrix), and maybe ``depth`` with
16 bit images in millimetres, registered. Files go together by name, as ``seq-01-frame-000000`` in
``.color.png``, ``.pose.txt``, ``.calibration.txt`` and ``.depth.png``; where no names agree, and
there are as many files of each kind, by order, as in that code. Images whose pose is not finite
(tracking was lost) are left out. The layout has no times: images are one second apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.corner_camera import centred_camera
from dsac_core.data.image_header import size_in_header
from dsac_core.data.layout_text import IMAGE_ENDINGS, in_number_order, refusing
from dsac_core.data.pose_matrix import is_lost, pose_matrix, read_pose_text
from dsac_core.data.posed_files import DepthFile, PosedFile, PosedFiles
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera

if TYPE_CHECKING:
    from pathlib import Path

_SPLITS = ("train", "test")
_KINDS = (".color", ".rgb", ".pose", ".calibration", ".depth")
_DEPTH_UNIT = 1e-3


def recognises(path: Path) -> bool:
    """Whether there are images and poses of a split."""
    return any(
        all((path / split / kind).is_dir() for kind in ("rgb", "poses")) for split in _SPLITS
    )


def open_dsacstar(path: Path) -> PosedFiles:
    """Read poses and calibrations, and the headers of the images.

    Raises:
        DatasetError: A file is damaged, or an image lacks its pose or calibration.
    """
    splits: dict[str, list[PosedFile]] = {}
    for split in _SPLITS:
        if (path / split / "rgb").is_dir():
            splits[split] = _frames(path / split, sum(map(len, splits.values())))
    return PosedFiles(path.resolve().name, "layout of DSAC*", splits)


def _frames(folder: Path, start: int) -> list[PosedFile]:
    images = _files(folder / "rgb", IMAGE_ENDINGS)
    poses = _matching(images, folder / "poses", (".txt",))
    calibrations = _matching(images, folder / "calibration", (".txt",))
    depths = _matching(images, folder / "depth", (".png",))
    frames: list[PosedFile] = []
    for key, image in images.items():
        for files, kind in ((poses, "poses"), (calibrations, "calibration")):
            if key not in files:
                msg = f"{image} has no file in {folder / kind}: add it, or remove the image"
                raise DatasetError(msg)
        text = read_pose_text(poses[key])
        if is_lost(text):
            continue
        depth = DepthFile(depths[key], _DEPTH_UNIT) if key in depths else None
        frames.append(
            PosedFile(
                f"{folder.name}/{key}",
                float(start + len(frames)),
                image,
                _camera(calibrations[key], image),
                pose_matrix(text, poses[key]),
                depth,
            )
        )
    return frames


def _files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Files by what they have in common, in order."""
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir(), key=lambda file: in_number_order(file.name)):
        if file.suffix in endings and not file.name.startswith("."):
            key = file.stem
            for kind in _KINDS:
                key = key.removesuffix(kind)
            if key in found:
                msg = f"{file} and {found[key].name} are of one name: remove one of both"
                raise DatasetError(msg)
            found[key] = file
    return found


def _matching(images: dict[str, Path], folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    files = _files(folder, endings)
    if len(files) == len(images) and files.keys().isdisjoint(images):
        return dict(zip(images, files.values(), strict=True))
    return files


def _camera(file: Path, image: Path) -> Camera:
    width, height = size_in_header(image)
    with refusing(str(file), "expected a focal length in pixels, or a 3x3 matrix: write it again"):
        rows = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines()]
        numbers = np.array([row for row in rows if row], dtype=np.float64)
        if numbers.size == 1:
            return centred_camera(width, height, float(numbers.item()))
        (fx, skew, cx), (below, fy, cy), last = numbers.tolist()
        if skew != 0 or below != 0 or last != [0, 0, 1]:
            raise ValueError
        return Camera(width=width, height=height, fx=fx, fy=fy, cx=cx, cy=cy)
