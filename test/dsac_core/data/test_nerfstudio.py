# SPDX-License-Identifier: Apache-2.0
"""``transforms.json`` as nerfstudio and instant-ngp write it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from layouts import HEIGHT, WIDTH, WORLD_T_CAM, refusal, write_plain_image, write_text

from dsac_core.data.nerfstudio import open_nerfstudio, recognises
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera

if TYPE_CHECKING:
    from pathlib import Path

# The camera of WORLD_T_CAM with OpenGL axes: right is -y, up is z, backward is -x.
OPENGL = [[0, 0, -1, 1], [-1, 0, 0, 2], [0, 1, 0, 3], [0, 0, 0, 1]]
PINHOLE = {"fl_x": 30.0, "fl_y": 31.0, "cx": 16.0, "cy": 12.5, "w": WIDTH, "h": HEIGHT}


def frame(name: str, **more: Any) -> dict[str, Any]:
    return {"file_path": name, "transform_matrix": OPENGL, **more}


def write(folder: Path, frames: list[Any], name: str = "transforms.json", **more: Any) -> Path:
    return write_text(folder / name, json.dumps({**PINHOLE, **more, "frames": frames}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for value, name in enumerate(("b.png", "a.jpg", "c.png")):
        write_plain_image(tmp_path / "images" / name, 100 * value)
    return tmp_path


NAMES = ["images/b.png", "images/a.jpg", "images/c.png"]


def only(path: Path) -> Any:
    (one,) = open_nerfstudio(path).frames("all", with_depth=True)
    return one


@pytest.mark.parametrize("form", ["{}", "./{}", ".\\{}"])
def test_every_field_in_the_order_of_the_file(folder: Path, form: str) -> None:
    file = write(folder, [frame(form.format(name)) for name in NAMES])
    for path in (folder, file):
        assert recognises(path)
        dataset = open_nerfstudio(path)
        assert (dataset.name, dataset.kind) == (folder.name, "nerfstudio or instant-ngp")
        frames = list(dataset.frames("all", with_depth=True))
        assert [one.name for one in frames] == NAMES
        assert [one.stamp for one in frames] == [0.0, 1.0, 2.0]
    for one, red in zip(frames, (0, 100, 200), strict=True):
        assert one.camera == Camera(WIDTH, HEIGHT, 30.0, 31.0, 15.5, 12.0)
        np.testing.assert_array_equal(one.world_T_cam, WORLD_T_CAM)
        assert abs(int(one.image[5, 5, 0]) - red) < 8
        assert one.depth is None


def test_names_without_an_ending_and_missing_images(folder: Path) -> None:
    names = ["images/b", "images/gone", "./images/a", "images/gone.png"]
    write(folder, [frame(name) for name in names])
    assert [one.name for one in open_nerfstudio(folder).frames("all")] == ["images/b", "images/a"]
    write(folder, [frame("images/gone")])
    assert "names images/gone, but neither it nor any other" in refusal(folder)


def test_a_matrix_is_divided_by_its_last_element(folder: Path) -> None:
    matrix = (np.array(OPENGL) * -4).tolist()
    write(folder, [frame(NAMES[0], transform_matrix=matrix)])
    np.testing.assert_array_equal(only(folder).world_T_cam, WORLD_T_CAM)


@pytest.mark.parametrize("rows", [3, 4])
def test_what_nerfstudio_applied_is_undone(folder: Path, rows: int) -> None:
    """Its turn of COLMAP's axes, x z -y, with a shift; then a scale of positions alone."""
    applied = np.array([[1, 0, 0, 5], [0, 0, 1, 6], [0, -1, 0, 7], [0, 0, 0, 1]], dtype=float)
    turned = applied @ OPENGL
    turned[:3, 3] *= 0.25
    write(
        folder,
        [frame(NAMES[0], transform_matrix=turned.tolist())],
        applied_transform=applied[:rows].tolist(),
        applied_scale=0.25,
    )
    np.testing.assert_allclose(only(folder).world_T_cam, WORLD_T_CAM, atol=1e-12)


def test_intrinsics_of_a_frame_come_first(folder: Path) -> None:
    own = {"fl_x": 40.0, "fl_y": 41.0, "cx": 10.0, "cy": 11.0, "w": 16, "h": 12, "k1": 0.5}
    write_plain_image(folder / "images" / "small.png", size=(16, 12))
    write(folder, [frame(NAMES[0]), frame("images/small.png", **own)], k2=0.25)
    first, second = (one.camera for one in open_nerfstudio(folder).frames("all"))
    assert first.distortion == (0.0, 0.25, 0.0, 0.0, 0.0)
    distortion = (0.5, 0.25, 0.0, 0.0, 0.0)
    assert second == Camera(16, 12, 40.0, 41.0, 9.5, 10.5, "plumb_bob", distortion)


def test_angles_and_what_they_leave_to_the_image(folder: Path) -> None:
    angles = {"camera_angle_x": 2 * math.atan(0.4), "camera_angle_y": 2 * math.atan(0.3)}
    file = folder / "transforms.json"
    write_text(file, json.dumps({**angles, "frames": [frame(NAMES[0])]}))
    camera = only(folder).camera
    assert (camera.width, camera.height, camera.cx, camera.cy) == (WIDTH, HEIGHT, 15.5, 11.5)
    assert (camera.fx, camera.fy) == (pytest.approx(16 / 0.4), pytest.approx(12 / 0.3))
    del angles["camera_angle_y"]
    write_text(file, json.dumps({**angles, "frames": [frame(NAMES[0])]}))
    assert only(folder).camera.fy == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("keys", "model", "distortion"),
    [
        ({"camera_model": "PINHOLE"}, "none", ()),
        ({"k1": 0.0, "k4": 0.0}, "none", ()),
        (
            {"camera_model": "OPENCV", "k1": 1, "k2": 2, "p1": 3, "p2": 4, "k3": 5},
            "plumb_bob",
            (1.0, 2.0, 3.0, 4.0, 5.0),
        ),
        (
            {"camera_model": "OPENCV_FISHEYE", "k1": 1, "k2": 2, "k3": 3, "k4": 4},
            "equidistant",
            (1.0, 2.0, 3.0, 4.0),
        ),
        ({"is_fisheye": True, "k1": 1}, "equidistant", (1.0, 0.0, 0.0, 0.0)),
    ],
)
def test_lenses(
    folder: Path, keys: dict[str, Any], model: str, distortion: tuple[float, ...]
) -> None:
    write(folder, [frame(NAMES[0])], **keys)
    camera = only(folder).camera
    assert (camera.distortion_model, camera.distortion) == (model, distortion)


@pytest.mark.parametrize(("more", "unit"), [({}, 0.001), ({"depth_unit_scale_factor": 0.01}, 0.01)])
def test_depth(folder: Path, more: dict[str, float], unit: float) -> None:
    write_plain_image(folder / "depth" / "b.png", 1500, dtype=np.uint16)
    frames = [frame(NAMES[0], depth_file_path="./depth/b.png"), frame(NAMES[1])]
    write(folder, frames, **more)
    dataset = open_nerfstudio(folder)
    first, second = dataset.frames("all", with_depth=True)
    np.testing.assert_allclose(first.depth, np.full((HEIGHT, WIDTH), 1500 * unit), rtol=1e-6)
    assert second.depth is None
    assert [one.depth for one in dataset.frames("all")] == [None, None]


def test_lists_as_splits(folder: Path) -> None:
    """A frame in no list is in no split."""
    names = [NAMES[2], f"./{NAMES[0]}", NAMES[1]]
    lists = {"train_filenames": [NAMES[0], f"./{NAMES[1]}"], "test_filenames": [NAMES[2], "gone"]}
    write(folder, [frame(name) for name in names], **lists, val_filenames=[])
    dataset = open_nerfstudio(folder)
    assert dataset.splits() == ("train", "test")
    assert [one.name for one in dataset.frames("train")] == NAMES[:2]
    assert [one.name for one in dataset.frames("test")] == NAMES[2:]
    write(folder, [frame(name) for name in NAMES], train_filenames=["gone"])
    assert "name no image of its frames" in refusal(folder)


def test_a_file_for_each_split(folder: Path) -> None:
    write(folder, [frame("images/b"), frame("images/a")], "transforms_train.json")
    write(folder, [frame("images/c")], "transforms_test.json")
    assert recognises(folder)
    dataset = open_nerfstudio(folder)
    assert dataset.splits() == ("train", "test")
    assert [one.name for one in dataset.frames("train")] == ["images/b", "images/a"]
    assert [(one.name, one.stamp) for one in dataset.frames("test")] == [("images/c", 2.0)]


def test_a_folder_without_the_file(tmp_path: Path) -> None:
    assert not recognises(tmp_path)
    assert not recognises(write_text(tmp_path / "other.json", "{}"))
    with pytest.raises(DatasetError, match=r"has no transforms\.json"):
        open_nerfstudio(tmp_path)


SHEARED = [[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"transform_matrix": OPENGL[:3]}, "frame 1: its 'transform_matrix' is no 4x4 rigid"),
        ({"transform_matrix": SHEARED}, "frame 1: its 'transform_matrix'"),
        ({"transform_matrix": [*OPENGL[:3], [0, 0, 0, 0]]}, "frame 1: its 'transform_matrix'"),
        ({"transform_matrix": [*OPENGL[:3], [0, 0, 1, 1]]}, "frame 1: its 'transform_matrix'"),
        ({"transform_matrix": [*OPENGL[:3], [0, 0, 0, "x"]]}, "frame 1: its 'transform_matrix'"),
        ({"transform_matrix": [*OPENGL[:2], OPENGL[2][:3]]}, "frame 1: its 'transform_matrix'"),
        ({"transform_matrix": None}, "frame 1: its 'transform_matrix'"),
        ({"file_path": 3}, "frame 1: expected a 'file_path'"),
        ({"file_path": NAMES[0]}, "frame 1: images/b.png was named before"),
        ({"fl_x": "long"}, "frame 1: its intrinsics"),
        ({"fl_x": None}, "frame 1: its intrinsics"),
        ({"fl_x": 0}, "frame 1: camera is not calibrated"),
        ({"w": 16}, "its calibration is for 16x24"),
        ({"camera_model": "EQUIRECTANGULAR"}, "frame 1: a lens of model EQUIRECTANGULAR"),
        ({"k4": 0.1}, "frame 1: a lens of model OPENCV with k4"),
        ({"camera_model": "OPENCV_FISHEYE", "p1": 0.1}, "a lens of model OPENCV_FISHEYE with p1"),
        ({"depth_file_path": "gone.png"}, "gone.png is"),
        ({"depth_file_path": 7}, "frame 1: its intrinsics, or its depth"),
    ],
)
def test_a_bad_frame_is_named(folder: Path, own: dict[str, Any], said: str) -> None:
    write(folder, [frame(NAMES[0]), {**frame(NAMES[1]), **own}])
    assert said in refusal(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not JSON"),
        ('{"frames": [', "is not JSON"),
        ("[]", "has no list of 'frames'"),
        ('{"frames": 3}', "has no list of 'frames'"),
        ('{"frames": []}', "has no image with a pose"),
        ('{"frames": [3]}', "frame 0: expected a 'file_path'"),
        ('{"frames": [], "applied_transform": [[1]]}', "applied_transform"),
        (f'{{"frames": [], "applied_transform": {SHEARED}}}', "applied_transform"),
        ('{"frames": [], "applied_scale": 0}', "applied_scale"),
        ('{"frames": [], "train_filenames": 3}', "train_filenames: expected a list"),
    ],
)
def test_a_bad_file_is_named(folder: Path, content: str, said: str) -> None:
    write_text(folder / "transforms.json", content)
    message = refusal(folder)
    assert said in message
    assert folder.name in message


def test_without_a_focal_length(folder: Path) -> None:
    write_text(folder / "transforms.json", json.dumps({"frames": [frame(NAMES[0])]}))
    assert "frame 0: there is no 'fl_x' and no 'camera_angle_x'" in refusal(folder)
