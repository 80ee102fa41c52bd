# SPDX-License-Identifier: Apache-2.0
"""``transforms.json`` of nerfstudio (Tancik et al., SIGGRAPH 2023) and instant-ngp (Müller 2022).

As https://docs.nerf.studio/quickstart/data_conventions.html says: ``frames`` have a ``file_path``
below the file's folder, here with or without its ending, and a ``transform_matrix``, camera to
world with OpenGL axes (x right, y up, z backward), up to scale of all 16 numbers. Intrinsics stand
beside ``frames``, or in a frame, where they come first: ``fl_x``, ``fl_y`` (else
``camera_angle_x``, ``camera_angle_y``), ``cx``, ``cy`` from the corner of the image, ``w``, ``h``,
``k1`` to ``k4``, ``p1``, ``p2``, and ``camera_model``. ``depth_file_path`` is an image of depth,
of which one is ``depth_unit_scale_factor`` metres (0.001 where it is not given).

``applied_transform`` [3 x 4 or 4 x 4] and ``applied_scale`` are what nerfstudio did to the poses:
both are undone. Splits are ``train_filenames``, ``val_filenames`` and ``test_filenames``, or
``transforms_train.json`` and so on, as of the Blender scenes of NeRF. Frames without an image are
left out; the layout has no times: images keep the file's order, one second apart, unless
`write_nerfstudio` wrote it, which adds each image's ``stamp`` and ``ros_camera``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.data.frame import ALL
from dsac_core.data.layout_text import IMAGE_ENDINGS, refusing
from dsac_core.data.nerfstudio_camera import nerfstudio_camera
from dsac_core.data.nerfstudio_keys import STAMP, own_camera
from dsac_core.data.posed_files import DepthFile, PosedFile, PosedFiles
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import invert, is_rigid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_FILE = "transforms.json"
_SPLITS = ("train", "val", "test")
_OPTICAL = np.diag([1.0, -1.0, -1.0, 1.0])  # from OpenGL's axes, and back
_DEPTH_UNIT = 1e-3


def recognises(path: Path) -> bool:
    """Whether it is such a file, or a folder that has one."""
    return bool(_files(path))


def open_nerfstudio(path: Path) -> PosedFiles:
    """Read the file, or those of the splits; of images at most the headers.

    Raises:
        DatasetError: A file is damaged or lacks something, or no image is there.
    """
    splits: dict[str, list[PosedFile]] = {}
    files = _files(path)
    if not files:
        msg = f"{path} has no {_FILE} and no transforms_train.json: export the poses there"
        raise DatasetError(msg)
    for split, file in files.items():
        count = sum(map(len, splits.values()))
        content = _content(file)
        frames = _frames(file, content, count)
        splits.update(_by_lists(file, content, frames) if split == ALL else {split: frames})
    folder = path if path.is_dir() else path.parent
    return PosedFiles(folder.resolve().name, "nerfstudio or instant-ngp", splits)


def _files(path: Path) -> dict[str, Path]:
    if path.is_file():
        named = path.suffix == ".json" and path.stem.startswith("transforms")
        return {ALL: path} if named else {}
    if (path / _FILE).is_file():
        return {ALL: path / _FILE}
    files = {split: path / f"transforms_{split}.json" for split in _SPLITS}
    return {split: file for split, file in files.items() if file.is_file()}


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        msg = f"{file} is not JSON ({error}): it is truncated or damaged, export it again"
        raise DatasetError(msg) from None
    if not (isinstance(content, dict) and isinstance(content.get("frames"), list)):
        msg = f"{file} has no list of 'frames': export it again"
        raise DatasetError(msg)
    return content


def _frames(file: Path, content: dict[str, Any], start: int) -> list[PosedFile]:
    with refusing(f"{file}: applied_transform, applied_scale", "expected a rigid matrix, a number"):
        original_T_world = _undone(content.get("applied_transform", np.eye(4)))
        scale = float(content.get("applied_scale", 1.0))
        if not 0.0 < scale < np.inf:
            raise ValueError
    frames: dict[str, PosedFile] = {}
    missing = ""
    for index, frame in enumerate(content["frames"]):
        where = f"{file}, frame {index}"
        with refusing(where, "expected a 'file_path' and an object"):
            name = _plain(frame["file_path"])
        image = _image_file(file.parent / name)
        if image is None:
            missing = missing or name
            continue
        if name in frames:
            msg = f"{where}: {name} was named before: remove one of both"
            raise DatasetError(msg)
        with refusing(where, "its 'transform_matrix' is no 4x4 rigid matrix: export it again"):
            world_T_cam = original_T_world @ _pose(frame["transform_matrix"], scale)
        both = {**content, **frame}
        depth = None
        with refusing(where, "its intrinsics, or its depth, cannot be read: export it again"):
            camera = own_camera(both) or nerfstudio_camera(both, image, where)
            if both.get("depth_file_path"):
                unit = float(both.get("depth_unit_scale_factor", _DEPTH_UNIT))
                depth = DepthFile(file.parent / _plain(both["depth_file_path"]), unit)
            stamp = float(both.get(STAMP, start + len(frames)))
        frames[name] = PosedFile(name, stamp, image, camera, world_T_cam, depth)
    if missing and not frames:
        msg = f"{file} names {missing}, but neither it nor any other image is beside it: copy them"
        raise DatasetError(msg)
    return list(frames.values())


def _plain(path: str) -> str:
    """As Windows writes it, too, and without a leading ``./``."""
    return path.replace("\\", "/").removeprefix("./")


def _image_file(file: Path) -> Path | None:
    endings = ("", *IMAGE_ENDINGS)
    candidates = (file.with_name(file.name + ending) for ending in endings if file.name)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _pose(matrix: Any, scale: float) -> NDArray[np.float64]:
    world_T_gl = np.array(matrix, dtype=np.float64)
    if world_T_gl.shape != (4, 4) or world_T_gl[3, 3] == 0:
        raise ValueError
    world_T_gl /= world_T_gl[3, 3]
    if not is_rigid(world_T_gl):
        raise ValueError
    world_T_gl[:3, 3] /= scale
    return world_T_gl @ _OPTICAL


def _undone(matrix: Any) -> NDArray[np.float64]:
    applied = np.eye(4)
    rows = np.array(matrix, dtype=np.float64)
    applied[: len(rows)] = rows
    if not is_rigid(applied):
        raise ValueError
    return invert(applied)


def _by_lists(
    file: Path, content: dict[str, Any], frames: list[PosedFile]
) -> dict[str, list[PosedFile]]:
    lists = {split: content.get(f"{split}_filenames") for split in _SPLITS}
    if not any(lists.values()):
        return {ALL: frames}
    splits = {}
    for split, names in lists.items():
        with refusing(f"{file}: {split}_filenames", "expected a list of names"):
            wanted = {_plain(name) for name in names or ()}
        splits[split] = [frame for frame in frames if frame.name in wanted]
    if not any(splits.values()):
        msg = f"{file}: its train_filenames and test_filenames name no image of its frames"
        raise DatasetError(msg)
    return splits
