# SPDX-License-Identifier: Apache-2.0
"""The layout of Cambridge Landmarks (Kendall et al., PoseNet, ICCV 2015).

``dataset_train.txt`` and ``dataset_test.txt`` have three lines of head, then a line for each image:
``file X Y Z W P Q R``, the camera's centre in the world in metres and the quaternion, scalar first,
that turns the world into the camera (optical axes). ``reconstruction.nvm`` (VisualSFM) has focal
lengths; images may end in ``.jpg`` there that the lists have as ``.png``. The principal point is
the middle of the image, and the small radial distortion of the .nvm is left aside, as by DSAC*.
The layout has no times: images come in the order of the lists, one second apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsac_core.data.corner_camera import centred_camera
from dsac_core.data.image_header import size_in_header
from dsac_core.data.layout_text import numbered_rows, pose_from_wxyz, refusing
from dsac_core.data.nvm_points import read_nvm_focal_lengths
from dsac_core.data.posed_files import PosedFile, PosedFiles
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_LISTS = {"train": "dataset_train.txt", "test": "dataset_test.txt"}
_NVM = "reconstruction.nvm"
_HEAD = 3  # lines
_NUMBERS = 7


def recognises(path: Path) -> bool:
    """Whether the folder has a list of this layout."""
    return any((path / name).is_file() for name in _LISTS.values())


def open_cambridge(path: Path) -> PosedFiles:
    """Read the lists and the focal lengths, and the headers of the images.

    Raises:
        DatasetError: A file is damaged or missing, or lacks an image.
    """
    nvm = path / _NVM
    if not nvm.is_file():
        msg = f"{path} has no {_NVM}, which has the focal lengths: copy it from the dataset"
        raise DatasetError(msg)
    focal_lengths = {_stem(name): focal for name, focal in read_nvm_focal_lengths(nvm).items()}
    splits: dict[str, list[PosedFile]] = {}
    seen: set[str] = set()
    for split, name in _LISTS.items():
        if not (path / name).is_file():
            continue
        splits[split] = []
        for number, fields in numbered_rows(path / name, _HEAD):
            where = f"{path / name}, line {number}"
            with refusing(where, "expected 'file X Y Z W P Q R': copy the list again"):
                image, world_T_cam = " ".join(fields[:-_NUMBERS]), _pose(fields[-_NUMBERS:])
            if image in seen:
                msg = f"{where}: {image} was listed before: remove one of both"
                raise DatasetError(msg)
            if _stem(image) not in focal_lengths:
                msg = f"{where}: {_NVM} has no camera of {image}: copy both of one scene"
                raise DatasetError(msg)
            with refusing(f"{nvm}, {image}", "it has no focal length"):
                width, height = size_in_header(path / image)
                camera = centred_camera(width, height, focal_lengths[_stem(image)])
            posed = PosedFile(image, float(len(seen)), path / image, camera, world_T_cam)
            splits[split].append(posed)
            seen.add(image)
    return PosedFiles(path.resolve().name, "Cambridge Landmarks", splits)


def _pose(fields: list[str]) -> NDArray[np.float64]:
    numbers = [float(field) for field in fields]
    world_T_cam = pose_from_wxyz(numbers[:3], numbers[3:])
    world_T_cam[:3, :3] = world_T_cam[:3, :3].T  # the quaternion is that of cam_R_world
    return world_T_cam


def _stem(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./").rpartition(".")[0]
