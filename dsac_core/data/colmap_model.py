# SPDX-License-Identifier: Apache-2.0
"""A COLMAP reconstruction and its images as a recording; the files are those of `colmap_files`.

The model is in the folder itself, in its ``sparse`` or in ``sparse/0``; images are in ``images``
beside it or above it, or there without a folder of their own. Images of the model that are not on
the disk are left out. The layout has no times: images come in the order of their names, one second
apart. Splits are those of ``test.txt`` (Gaussian splatting) or ``list_test.txt`` (hloc), which name
the images of the test, else of names that begin with ``train/`` and ``test/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsac_core.data.colmap_files import (
    find_colmap_file,
    read_colmap_cameras,
    read_colmap_images,
)
from dsac_core.data.frame import ALL
from dsac_core.data.layout_text import in_number_order, lines_of
from dsac_core.data.posed_files import PosedFile, PosedFiles
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from dsac_core.data.colmap_files import ColmapImage

_LISTS = ("test.txt", "list_test.txt")
_SPLITS = ("train", "test")


def recognises(path: Path) -> bool:
    """Whether there are cameras and images of a model."""
    return all(find_colmap_file(path, stem) is not None for stem in ("cameras", "images"))


def open_colmap(path: Path) -> PosedFiles:
    """Read the model; images are read when they are asked for.

    Raises:
        DatasetError: A file is damaged or missing, or no image is found.
    """
    cameras_file, images_file = _model_file(path, "cameras"), _model_file(path, "images")
    cameras = read_colmap_cameras(cameras_file)
    images = sorted(read_colmap_images(images_file), key=lambda image: in_number_order(image.name))
    places = _places(path, images_file.parent)
    root = _image_root(places, images, images_file)
    frames: list[PosedFile] = []
    for index, image in enumerate(images):
        if image.camera not in cameras:
            msg = (
                f"{images_file}: {image.name} has camera {image.camera}, which {cameras_file.name}"
                " lacks: export both again"
            )
            raise DatasetError(msg)
        file = root / image.name
        if file.is_file():
            camera = cameras[image.camera]
            frames.append(PosedFile(image.name, float(index), file, camera, image.world_T_cam))
    return PosedFiles(path.resolve().name, "COLMAP model", _split(frames, places))


def _model_file(path: Path, stem: str) -> Path:
    file = find_colmap_file(path, stem)
    if file is None:
        msg = f"{path} has no {stem}.bin or {stem}.txt, nor has its sparse/0: export the model here"
        raise DatasetError(msg)
    return file


def _places(path: Path, model: Path) -> list[Path]:
    """The model's folder and those above, to the one that was named or, if it was that, to two."""
    if model == path:
        return [path, *path.resolve().parents[:2]]
    return [model, *(above for above in model.parents if above == path or path in above.parents)]


def _image_root(places: list[Path], images: list[ColmapImage], listed_in: Path) -> Path:
    """Where most of the images are; of equals the nearest to the model."""
    roots = [root for place in places for root in (place / "images", place)]
    found = [sum((root / image.name).is_file() for image in images) for root in roots]
    if images and not any(found):
        msg = (
            f"{listed_in} names {images[0].name}, but neither it nor any other image is in"
            f" {places[-1] / 'images'}: put the images there, named as in the model"
        )
        raise DatasetError(msg)
    return roots[found.index(max(found))]


def _split(frames: list[PosedFile], places: list[Path]) -> dict[str, list[PosedFile]]:
    lists = (place / name for place in places for name in _LISTS)
    file = next((file for file in lists if file.is_file()), None)
    if file is not None:
        tests = {line.strip() for line in lines_of(file)} - {""}
        if tests.isdisjoint(frame.name for frame in frames):
            msg = (
                f"{file} names no image of the model: list the test images as {frames[0].name}, one"
                " a line, or remove it"
            )
            raise DatasetError(msg)
        return {
            "train": [frame for frame in frames if frame.name not in tests],
            "test": [frame for frame in frames if frame.name in tests],
        }
    splits: dict[str, list[PosedFile]] = {split: [] for split in _SPLITS}
    for frame in frames:
        splits.setdefault(frame.name.split("/")[0], []).append(frame)
    by_folder = set(splits) == set(_SPLITS) and all(splits.values())
    return splits if by_folder else {ALL: frames}
