# SPDX-License-Identifier: Apache-2.0
"""Each format of a 3D model, written here byte by byte as its documentation says."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsac_core.data.scene_model import load_scene_model
from dsac_core.errors import DatasetError

# The first two are equal and the third is in no face: none of them may be merged or dropped.
POINTS = np.array(
    [[1, 2, 3], [1, 2, 3], [9, 9, 9], [-1.5, 0, 4], [0, 2.25, -5], [7, 8, 6.5], [3, 1, 2]],
    dtype=np.float64,
)
TRIANGLES = [[0, 3, 4], [1, 4, 5], [5, 6, 0]]
QUADS = [[0, 3, 4, 5], [1, 4, 5, 6]]
ENDIAN = {"binary_little_endian": "<", "binary_big_endian": ">"}


def ply(
    encoding: str, points: Any = POINTS, faces: Any = None, *, kind: str = "float", extra: str = ""
) -> bytes:
    """A PLY with colours of the vertices, as scanners write them."""
    lines = [
        "ply",
        f"format {encoding} 1.0",
        "comment made by hand",
        f"element vertex {len(points)}",
    ]
    lines += [f"property {kind} {axis}" for axis in "xyz"]
    lines += [f"property uchar {colour}" for colour in ("red", "green", "blue")]
    if faces is not None:
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    header = "\n".join([*lines, *filter(None, [extra]), "end_header\n"]).encode()
    if encoding == "ascii":
        rows = [f"{x!r} {y!r} {z!r} 10 20 30" for x, y, z in np.asarray(points).tolist()]
        rows += [" ".join(map(str, [len(face), *face])) for face in faces or []]
        return header + "\n".join(rows).encode() + b"\n"
    vertex = ENDIAN[encoding] + ("3d3B" if kind == "double" else "3f3B")
    body = b"".join(struct.pack(vertex, *point, 10, 20, 30) for point in points)
    for face in faces or []:
        body += struct.pack(f"{ENDIAN[encoding]}B{len(face)}i", len(face), *face)
    return header + body


def colmap_text(points: Any = POINTS) -> str:
    lines = [
        "# 3D point list with one line of data per point:",
        "#   POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)",
        f"# Number of points: {len(points)}, mean track length: 1",
    ]
    for row, (x, y, z) in enumerate(np.asarray(points).tolist()):
        track = " ".join(f"{image} {7 * image}" for image in range(1, 1 + row % 3))
        lines.append(f"{10 * row + 3} {x!r} {y!r} {z!r} 1 2 3 0.75 {track}")
    return "\n".join(lines) + "\n"


def colmap_binary(points: Any = POINTS) -> bytes:
    data = struct.pack("<Q", len(points))
    for row, point in enumerate(points):
        track = row % 3
        data += struct.pack("<Q3d3BdQ", 10 * row + 3, *point, 1, 2, 3, 0.75, track)
        data += struct.pack(f"<{2 * track}I", *range(2 * track))
    return data


def nvm(points: Any = POINTS, first_line: str = "NVM_V3", gap: str = "\n") -> str:
    lines = [first_line, gap + "2"]
    lines += [f"seq1/frame{i}.jpg\t1670.5 0.9 0.1 -0.2 0.3 1.5 2.5 3.5 -0.04 0" for i in range(2)]
    lines.append(f"{gap}{len(points)}")
    for row, (x, y, z) in enumerate(np.asarray(points).tolist()):
        seen = row % 3
        measurements = "".join(f" {i} {40 + i} 12.5 -7.25" for i in range(seen))
        lines.append(f"{x!r} {y!r} {z!r} 90 80 70 {seen}{measurements} ")
    second_model = ["", "1", "other.jpg\t1 1 0 0 0 0 0 0 0 0", "", "1", "5 5 5 0 0 0 0", "", "0"]
    return "\n".join([*lines, *second_model, "#the last part points to PLY files", "0"]) + "\n"


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        load_scene_model(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("encoding", ["ascii", *ENDIAN])
def test_a_ply_mesh_keeps_its_points_in_order(tmp_path: Path, encoding: str, kind: str) -> None:
    points = POINTS + (1e-9 if kind == "double" else 0.0)
    path = written(tmp_path, "scan.PLY", ply(encoding, points, TRIANGLES, kind=kind))
    model = load_scene_model(path)
    np.testing.assert_array_equal(model.points_N3, points)
    np.testing.assert_array_equal(model.triangles_T3, TRIANGLES)
    assert model.points_N3.dtype == np.float64
    assert model.triangles_T3 is not None
    assert model.triangles_T3.dtype == np.int64


def polygons_as_sets(triangles: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(triangle) for triangle in triangles.tolist()}


@pytest.mark.parametrize("encoding", ["ascii", *ENDIAN])
def test_quads_become_triangles(tmp_path: Path, encoding: str) -> None:
    model = load_scene_model(written(tmp_path, "a.ply", ply(encoding, faces=QUADS)))
    assert model.triangles_T3 is not None
    assert model.triangles_T3.shape == (4, 3)
    for a, b, c, d in QUADS:
        halves = polygons_as_sets(model.triangles_T3)
        along_ac = {frozenset((a, b, c)), frozenset((a, c, d))} <= halves
        along_bd = {frozenset((a, b, d)), frozenset((b, c, d))} <= halves
        assert along_ac or along_bd
    np.testing.assert_array_equal(model.points_N3, POINTS)


def test_triangles_quads_and_larger_polygons_in_one_text_file(tmp_path: Path) -> None:
    faces = [*TRIANGLES, QUADS[0], [0, 3, 4, 5, 6]]
    model = load_scene_model(written(tmp_path, "a.ply", ply("ascii", faces=faces)))
    assert model.triangles_T3 is not None
    assert model.triangles_T3.shape == (3 + 2 + 3, 3)
    assert {frozenset(face) for face in TRIANGLES} <= polygons_as_sets(model.triangles_T3)


def test_textures_do_not_disconnect_a_mesh(tmp_path: Path) -> None:
    """MeshLab writes texture coordinates per corner, and the name of a picture."""
    text = ply("ascii", faces=TRIANGLES, extra="property list uchar float texcoord").decode()
    text = text.replace("comment made by hand", "comment TextureFile no_such_picture.png")
    rows = text.rstrip("\n").split("\n")
    rows[-3:] = [f"{row} 6 0.1 0.{i} 0.3 0.4 0.5 0.6" for i, row in enumerate(rows[-3:])]
    model = load_scene_model(written(tmp_path, "a.ply", "\n".join(rows) + "\n"))
    np.testing.assert_array_equal(model.points_N3, POINTS)
    np.testing.assert_array_equal(model.triangles_T3, TRIANGLES)


@pytest.mark.parametrize("faces", [None, []])
@pytest.mark.parametrize("encoding", ["ascii", *ENDIAN])
def test_a_ply_without_faces_is_a_cloud(tmp_path: Path, encoding: str, faces: Any) -> None:
    model = load_scene_model(written(tmp_path, "a.ply", ply(encoding, faces=faces)))
    np.testing.assert_array_equal(model.points_N3, POINTS)
    assert model.triangles_T3 is None


@pytest.mark.parametrize("place", ["", "points3D.{}", "sparse/0/points3D.{}"])
@pytest.mark.parametrize("kind", ["txt", "bin"])
def test_colmap(tmp_path: Path, kind: str, place: str) -> None:
    content = colmap_text() if kind == "txt" else colmap_binary()
    file = written(tmp_path, (place or "points3D.{}").format(kind), content)
    model = load_scene_model(tmp_path if place else file)
    np.testing.assert_array_equal(model.points_N3, POINTS)
    assert model.triangles_T3 is None


def test_of_both_files_of_colmap_the_binary_one_counts(tmp_path: Path) -> None:
    written(tmp_path, "points3D.txt", colmap_text(POINTS + 1))
    written(tmp_path, "points3D.bin", colmap_binary())
    np.testing.assert_array_equal(load_scene_model(tmp_path).points_N3, POINTS)


@pytest.mark.parametrize("first_line", ["NVM_V3", "NVM_V3 ", "NVM_V3 FixedK 1670 960 1670 540 0"])
@pytest.mark.parametrize("gap", ["", "\n", "\n\n"])
def test_visualsfm(tmp_path: Path, first_line: str, gap: str) -> None:
    path = written(tmp_path, "reconstruction.nvm", nvm(first_line=first_line, gap=gap))
    model = load_scene_model(path)
    np.testing.assert_array_equal(model.points_N3, POINTS)
    assert model.triangles_T3 is None


def test_line_ends_of_windows(tmp_path: Path) -> None:
    for name, text in (("a.nvm", nvm()), ("points3D.txt", colmap_text())):
        path = written(tmp_path, name, text.replace("\n", "\r\n"))
        np.testing.assert_array_equal(load_scene_model(path).points_N3, POINTS)


def with_nan(row: int) -> np.ndarray:
    points = POINTS.copy()
    points[row, 1] = np.nan if row % 2 else np.inf
    return points


def test_points_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    kept = np.delete(POINTS, 3, axis=0)
    for name, content in (
        ("points3D.bin", colmap_binary(with_nan(3))),
        ("points3D.txt", colmap_text(with_nan(3))),
        ("a.nvm", nvm(with_nan(3))),
        ("a.ply", ply("binary_little_endian", with_nan(3))),
    ):
        model = load_scene_model(written(tmp_path, name, content))
        np.testing.assert_array_equal(model.points_N3, kept)


def test_triangles_with_a_corner_that_is_not_finite_are_left_out(tmp_path: Path) -> None:
    content = ply("binary_little_endian", with_nan(3), TRIANGLES)
    model = load_scene_model(written(tmp_path, "a.ply", content))
    assert model.triangles_T3 is not None
    np.testing.assert_array_equal(model.points_N3[model.triangles_T3], POINTS[TRIANGLES[1:]])
    nothing = ply("binary_little_endian", with_nan(3), TRIANGLES[:1])
    assert "no faces" in refusal(written(tmp_path, "b.ply", nothing))


def test_nothing_there_or_of_no_known_form(tmp_path: Path) -> None:
    assert "no 3D model at" in refusal(tmp_path / "missing.ply")
    assert ".ply" in refusal(written(tmp_path, "scan.obj", "v 0 0 0\n"))
    assert "no known form" in refusal(written(tmp_path, "points.txt", colmap_text()))
    (tmp_path / "empty").mkdir()
    assert "sparse/0" in refusal(tmp_path / "empty")
    (tmp_path / "points3D.bin").mkdir()
    refusal(tmp_path / "points3D.bin")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ply", ply("ascii", np.empty((0, 3)))),
        ("a.ply", ply("binary_big_endian", np.empty((0, 3)))),
        ("a.ply", ply("ascii", np.full((3, 3), np.nan))),
        ("points3D.txt", colmap_text([])),
        ("points3D.bin", colmap_binary([])),
        ("a.nvm", nvm([])),
        ("a.nvm", "NVM_V3\n\n0\n"),
    ],
)
def test_no_points(tmp_path: Path, name: str, content: str | bytes) -> None:
    path = written(tmp_path, name, content)
    assert re.search("no points|damaged", refusal(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ascii.ply", ply("ascii", faces=TRIANGLES)),
        ("points.ply", ply("ascii")),
        ("quads.ply", ply("ascii", faces=QUADS)),
        ("little.ply", ply("binary_little_endian", faces=TRIANGLES)),
        ("cloud.ply", ply("binary_big_endian")),
        ("points3D.txt", colmap_text().encode()),
        ("points3D.bin", colmap_binary()),
        ("a.nvm", nvm().partition("\n\n1\nother.jpg")[0].encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wherever_a_file_is_cut_it_is_refused_or_read_rightly(
    tmp_path: Path, name: str, content: bytes
) -> None:
    """A cut text file may be whole: at the end of a line, within its last number or polygon."""
    refused = 0
    for length in range(len(content)):
        path = written(tmp_path, name, content[:length])
        try:
            model = load_scene_model(path)
        except DatasetError:
            refused += 1
            continue
        count = len(model.points_N3)
        assert count == len(POINTS) or name == "points3D.txt"
        np.testing.assert_array_equal(model.points_N3, POINTS[:count])
        if model.triangles_T3 is not None:
            assert len(model.triangles_T3) == 3 or name == "quads.ply"
    whole = 400 if name == "points3D.txt" else 25
    assert refused >= len(content) - whole


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ply", b"\x00\xff" * 100),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 3\n"),
        ("a.ply", ply("ascii").replace(b"property float y\n", b"")),
        ("a.ply", ply("ascii").replace(b"property float y", b"property strange y")),
        ("a.ply", ply("binary_little_endian", faces=[*TRIANGLES, QUADS[0]])),
        ("a.ply", ply("ascii", faces=[[0, 1, 7]])),
        ("a.ply", ply("binary_big_endian", faces=[[0, -1, 2]])),
        ("points3D.txt", "1 0.5 zero 0.5 1 2 3 0.1\n"),
        ("points3D.txt", "1 0.5 0.5 0.5 1 2 3 0.1 4\n"),
        ("points3D.bin", colmap_text().encode()),
        ("a.nvm", b"# Bundle file v0.3\n1 2\n"),
        ("a.nvm", nvm().replace("90 80 70 0", "90 80 70 2")),
        ("a.nvm", nvm().replace("90 80 70 1", "90 80 70 0")),
        ("a.nvm", nvm().replace("1.0 2.0", "one 2.0")),
    ],
)
def test_damaged(tmp_path: Path, name: str, content: str | bytes) -> None:
    message = refusal(written(tmp_path, name, content))
    assert re.search("export|copy|save", message)
