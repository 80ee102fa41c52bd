# SPDX-License-Identifier: Apache-2.0
"""A 3D model of a scene: a scanned mesh, or the points of a structure-from-motion tool."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.colmap_points import BINARY, TEXT, find_colmap_points, read_colmap_points
from dsac_core.data.nvm_points import read_nvm_points
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMS = f"a .ply, a .nvm of VisualSFM, or COLMAP's {BINARY} or {TEXT} or a folder with one"
_ELEMENT = re.compile(rb"element\s+(\w+)\s+(\d+)\s*")


@dataclass(frozen=True)
class SceneModel:
    """A mesh, or a cloud of points, in the frame of the recording's poses; metres."""

    points_N3: NDArray[np.float64]
    triangles_T3: NDArray[np.int64] | None  # rows of points; None: a point cloud


def load_scene_model(path: Path) -> SceneModel:
    """Read a PLY (mesh or points), COLMAP's points, or the points of a VisualSFM .nvm.

    Points whose coordinates are not finite are left out, and triangles that have such a corner.
    The order of the others stays, and none are merged. A polygon of a PLY becomes triangles.

    Raises:
        DatasetError: Nothing is there, it is of no known form, damaged, or holds no points.
    """
    path = path.expanduser()
    if not path.exists():
        msg = f"no 3D model at {path}: expected {FORMS}"
        raise DatasetError(msg)
    try:
        points_N3, triangles_T3 = _read(path)
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}): check the path and its permissions"
        raise DatasetError(msg) from error
    return _finite(path, points_N3, triangles_T3)


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    if path.is_dir():
        file = find_colmap_points(path)
        if file is None:
            msg = f"{path} has no {BINARY} or {TEXT}, nor has its sparse/0: expected {FORMS}"
            raise DatasetError(msg)
        return read_colmap_points(file), None
    suffix = path.suffix.lower()
    if suffix == ".ply":
        return _read_ply(path)
    if suffix == ".nvm":
        return read_nvm_points(path), None
    if path.name in (BINARY, TEXT):
        return read_colmap_points(path), None
    msg = f"{path} is a 3D model of no known form: expected {FORMS}"
    raise DatasetError(msg)


def _read_ply(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    # Only this format needs it, and it takes its time to import.
    from trimesh.exchange.ply import load_ply
    from trimesh.geometry import triangulate_quads

    declared = _declared_elements(path)
    try:
        with path.open("rb") as file:
            # This is what trimesh.load(process=False) reads, before it sees to colour and texture.
            read = load_ply(file, fix_texture=False, skip_materials=True)
        points_N3 = np.asarray(read.get("vertices", np.empty((0, 3))), dtype=np.float64)
        faces = read.get("faces")
        triangles_T3 = None if faces is None else np.asarray(triangulate_quads(faces), np.int64)
    except OSError:
        raise
    except Exception as error:  # of many kinds, as the file is damaged in one way or another
        msg = (
            f"{path} is damaged or not a PLY that trimesh reads: export it again with x, y, z and,"
            " if it is a mesh, triangles only"
        )
        raise DatasetError(msg) from error
    if triangles_T3 is None or not declared.get("face"):
        return points_N3, None
    # Of a face that a text file ends in, trimesh takes what there is.
    if len(triangles_T3) < declared["face"]:
        raise DatasetError(_truncated(path))
    if triangles_T3.size and not 0 <= triangles_T3.min() <= triangles_T3.max() < len(points_N3):
        msg = f"{path} has faces with corners that do not exist: export it again"
        raise DatasetError(msg)
    return points_N3, triangles_T3.reshape(-1, 3)


def _declared_elements(path: Path) -> dict[str, int]:
    """How many of each element the header promises; a text file has a line for each."""
    counts: dict[str, int] = {}
    is_text = False
    with path.open("rb") as file:
        if file.readline(16).strip() == b"ply":
            for line in file:
                if line.strip() == b"end_header":
                    if is_text and sum(1 for row in file if row.strip()) < sum(counts.values()):
                        raise DatasetError(_truncated(path))
                    return counts
                is_text |= line.split() == [b"format", b"ascii", b"1.0"]
                if element := _ELEMENT.fullmatch(line):
                    counts[element[1].decode()] = int(element[2])
    msg = f"{path} does not have the header of a PLY file: export it again, or name it rightly"
    raise DatasetError(msg)


def _truncated(path: Path) -> str:
    return f"{path} is truncated: it holds less than its header promises; copy or export it again"


def _finite(
    path: Path, points_N3: NDArray[np.float64], triangles_T3: NDArray[np.int64] | None
) -> SceneModel:
    finite_N = np.asarray(np.isfinite(points_N3).all(axis=1))
    if not finite_N.any():
        msg = f"{path} holds no points with finite coordinates: choose another 3D model"
        raise DatasetError(msg)
    if triangles_T3 is not None:
        whole_T = np.asarray(finite_N[triangles_T3].all(axis=1))
        if not whole_T.any():
            msg = f"{path} holds no faces with finite corners: choose another 3D model"
            raise DatasetError(msg)
        new_row_N = np.cumsum(finite_N) - 1
        triangles_T3 = new_row_N[triangles_T3[whole_T]]
    return SceneModel(points_N3[finite_N], triangles_T3)
