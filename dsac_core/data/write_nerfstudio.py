# SPDX-License-Identifier: Apache-2.0
"""Any recording as a folder with ``transforms.json``, which `nerfstudio` reads back exactly.

Images that are files or compressed messages are copied byte by byte, others become PNG. Depth
becomes PNG of 16 bit in millimetres where that is exact, else TIFF of 32 bit floats in metres.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from dsac_core.data.frame import ALL
from dsac_core.data.nerfstudio_keys import STAMP, camera_keys
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from dsac_core.data.stored_frame import StoredFrame, StoredRecording

_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_MILLIMETRE = 1e-3
_NO_READING = 65535
_LZW = 5  # of TIFF: a third of the size, and fast
SPLITS = ("train", "val", "test")  # that the layout has lists for


def write_nerfstudio(
    recording: StoredRecording,
    splits: Sequence[str],
    folder: Path,
    *,
    with_depth: bool,
    progress: Callable[[int], None],
) -> int:
    """Write the splits into an empty folder; returns how many images these are.

    Args:
        recording: What to write.
        splits: Of it: ``all`` alone, or some of train, val and test.
        folder: Is there.
        with_depth: Write depth, where a frame has it.
        progress: Told after each image how many are done.

    Raises:
        DatasetError: A split has no list in this layout, or a frame is unreadable.
    """
    for split in splits:
        if split not in (ALL, *SPLITS):
            msg = f"split '{split}' has no place in transforms.json, which has {', '.join(SPLITS)}"
            raise DatasetError(msg)
    frames: list[dict[str, Any]] = []
    lists: dict[str, list[str]] = {}
    (folder / "images").mkdir()
    for split in splits:
        first = len(frames)
        for frame in recording.frames(split, with_depth=with_depth):
            frames.append(_write_frame(frame, folder, f"{len(frames):06d}"))
            progress(len(frames))
        if split != ALL:
            lists[f"{split}_filenames"] = [entry["file_path"] for entry in frames[first:]]
    content = {**_shared(frames), **lists, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    return len(frames)


def _write_frame(frame: StoredFrame, folder: Path, name: str) -> dict[str, Any]:
    entry = {
        "file_path": _write_image(frame, folder, f"images/{name}"),
        "transform_matrix": (frame.world_T_cam @ _TO_OPENGL).tolist(),
        STAMP: frame.stamp,
        **camera_keys(frame.camera),
    }
    if frame.depth is not None:
        (folder / "depth").mkdir(exist_ok=True)
        entry |= _write_depth(frame, frame.depth, folder, f"depth/{name}")
    return entry


def _write_image(frame: StoredFrame, folder: Path, name: str) -> str:
    stored = frame.stored
    if stored is None:
        name += ".png"
        _encode(folder / name, cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
        return name
    name += stored.ending
    _copy(stored.content, folder / name)
    return name


def _write_depth(
    frame: StoredFrame, depth: NDArray[np.float32], folder: Path, name: str
) -> dict[str, Any]:
    if frame.stored_depth is not None:
        name += frame.stored_depth.file.suffix
        _copy(frame.stored_depth.file, folder / name)
        return _depth_keys(name, frame.stored_depth.unit)
    millimetres = np.rint(depth / _MILLIMETRE)
    if millimetres.max(initial=0) < _NO_READING:
        whole = millimetres.astype(np.uint16)
        if np.array_equal(whole.astype(np.float32) * np.float32(_MILLIMETRE), depth):
            _encode(folder / f"{name}.png", whole)
            return _depth_keys(f"{name}.png", _MILLIMETRE)
    _encode(folder / f"{name}.tiff", depth)
    return _depth_keys(f"{name}.tiff", 1.0)


def _depth_keys(name: str, unit: float) -> dict[str, Any]:
    return {"depth_file_path": name, "depth_unit_scale_factor": unit}


def _copy(content: Path | bytes, file: Path) -> None:
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        shutil.copyfile(content, file)


def _encode(file: Path, pixels: NDArray[Any]) -> None:
    _, encoded = cv2.imencode(file.suffix, pixels, (cv2.IMWRITE_TIFF_COMPRESSION, _LZW))
    file.write_bytes(encoded.tobytes())  # imwrite says nothing of a full disk


def _shared(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Takes out of all frames what they have in common, for the file; other readers want it there.

    Keys of a frame come first, so what only some have stays with them.
    """
    own = {"file_path", "transform_matrix", STAMP, "depth_file_path"}
    keys = set.intersection(*(set(frame) for frame in frames)) - own if frames else set()
    shared = {
        key: frames[0][key]
        for key in frames[0]
        if key in keys and all(frame[key] == frames[0][key] for frame in frames)
    }
    for frame in frames:
        for key in shared:
            del frame[key]
    return shared
