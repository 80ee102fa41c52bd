# SPDX-License-Identifier: Apache-2.0
"""TUM RGB-D, as its documentation describes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import HEIGHT, WIDTH, error_of, write_image, write_values
from scipy.spatial.transform import Rotation

from dsac_core.data import tum_rgbd
from dsac_core.data.posed_files import PosedFiles
from dsac_core.geometry.camera import Camera

START = 1305031102
YAML = """image_width: 32
image_height: 24
camera_name: left
camera_matrix:
  rows: 3
  cols: 3
  data: [30.5, 0, 15.25, 0, 31.5, 11.75, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.001, 0.002, 0.3]
"""
CAMERA = Camera(32, 24, 30.5, 31.5, 15.25, 11.75, "plumb_bob", (0.1, -0.2, 0.001, 0.002, 0.3))
HALF_TURN = "0 0 0.707107 0.707107"  # 90 degrees about z, to six digits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images each 0.1 s from .0 to .5, out of order; poses from .05 to .32 and .50 to .60."""
    path = tmp_path / "desk"
    listed = ["# color images", "# timestamp filename"]
    for tenth in (3, 0, 1, 2, 4, 5):
        name = f"rgb/{START}.{tenth}00000.png"
        write_image(path / name, tenth)
        listed.append(f"{START}.{tenth}00000 {name}")
    (path / "rgb.txt").write_text("\n".join(listed) + "\n")
    # At .119 and .110 depth beside .1, at .221 none within 0.02 s of .2, at .280 just within.
    offsets = (1190, 1100, 2210, 2800)
    for value, offset in enumerate(offsets, 1):
        depth = np.full((HEIGHT, WIDTH), 1000 * value, np.uint16)
        write_values(path / f"depth/{offset}.png", depth)
    (path / "depth.txt").write_text(
        "".join(f"{START}.{offset}  depth/{offset}.png\r\n" for offset in offsets)
    )
    (path / "groundtruth.txt").write_text(
        "# ground truth trajectory\n# timestamp tx ty tz qx qy qz qw\n\n"
        f"{START}.0500 1 2 3 0 0 0 1\n"
        f"{START}.1500 2 2 5 {HALF_TURN}\n"
        f"  {START}.2000 4 5 6 0 0 0 1\n"
        f"{START}.2800 0 0 0 0 0 0 1\n"
        f"{START}.3200 1 0 0 0 0 0 1\n"
        f"{START}.4000 nan nan nan nan nan nan nan\n"
        f"{START}.5000 0 1 0 0 0 0 -0.999\n"
        f"{START}.6000 0 9 0 0 0 0 1"
    )
    (path / "camera.yaml").write_text(YAML)
    return path


def test_frames_with_poses_in_order_of_time(folder: Path) -> None:
    assert tum_rgbd.recognises(folder)
    dataset = tum_rgbd.open_tum_rgbd(folder)
    assert (dataset.name, dataset.kind, dataset.splits()) == ("desk", "TUM RGB-D", ("all",))
    frames = list(dataset.frames("all"))
    # .0 is before the poses, .4 is in a gap of 0.18 s.
    names = [f"rgb/{START}.{tenth}00000.png" for tenth in (1, 2, 3, 5)]
    assert [frame.name for frame in frames] == names
    assert [frame.stamp for frame in frames] == [START + tenth / 10 for tenth in (1, 2, 3, 5)]
    assert all(frame.camera == CAMERA for frame in frames)
    np.testing.assert_array_equal(frames[2].image, write_image(folder / names[2], 3))


def test_poses_are_interpolated(folder: Path) -> None:
    first, second, third, last = tum_rgbd.open_tum_rgbd(folder).frames("all")
    eighth = Rotation.from_euler("z", 45, degrees=True).as_matrix()
    np.testing.assert_allclose(first.world_T_cam[:3, :3], eighth, atol=1e-6)
    np.testing.assert_allclose(first.world_T_cam[:3, 3], [1.5, 2, 4])
    np.testing.assert_allclose(second.world_T_cam[:3, 3], [4, 5, 6])
    np.testing.assert_allclose(third.world_T_cam[:3, 3], [0.5, 0, 0])
    np.testing.assert_allclose(last.world_T_cam[:3, :3], np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(first.world_T_cam[3], [0, 0, 0, 1])


def test_the_order_of_a_quaternion(folder: Path) -> None:
    """A turn about z takes x to y: q_z is third, q_w last."""
    line = f"{START}.{{}} 0 0 0 {HALF_TURN}\n"
    (folder / "groundtruth.txt").write_text(line.format("09") + line.format("11"))
    (frame,) = tum_rgbd.open_tum_rgbd(folder).frames("all")
    np.testing.assert_allclose(frame.world_T_cam[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-5)


def test_depth_is_the_nearest_in_time_and_in_metres(folder: Path) -> None:
    frames = list(tum_rgbd.open_tum_rgbd(folder).frames("all", with_depth=True))
    depths = [None if frame.depth is None else float(frame.depth[3, 4]) for frame in frames]
    assert depths == pytest.approx([0.4, None, 0.8, None])


def test_without_depth(folder: Path) -> None:
    (folder / "depth.txt").unlink()
    frames = list(tum_rgbd.open_tum_rgbd(folder).frames("all", with_depth=True))
    assert [frame.depth for frame in frames] == [None] * 4


@pytest.mark.parametrize(
    ("name", "fx", "k1"),
    [
        ("rgbd_dataset_freiburg1_desk", 517.3, 0.2624),
        ("rgbd_dataset_freiburg2_xyz", 520.9, 0.2312),
        ("rgbd_dataset_freiburg3_long_office_household", 535.4, None),
        ("fr1_room", 517.3, 0.2624),
    ],
)
def test_the_camera_follows_from_the_name(
    folder: Path, name: str, fx: float, k1: float | None
) -> None:
    (folder / "camera.yaml").unlink()
    for file in (folder / "rgb").iterdir():
        write_image(file, width=640, height=480)
    renamed = folder.rename(folder.with_name(name))
    frame = next(iter(tum_rgbd.open_tum_rgbd(renamed).frames("all")))
    assert (frame.camera.width, frame.camera.height, frame.camera.fx) == (640, 480, fx)
    assert frame.camera.distortion[:1] == (() if k1 is None else (k1,))


def test_a_calibration_comes_before_the_name(folder: Path) -> None:
    renamed = folder.rename(folder.with_name("freiburg1"))
    (renamed / "camera.yaml").rename(renamed / "calibration.yaml")
    assert next(iter(tum_rgbd.open_tum_rgbd(renamed).frames("all"))).camera == CAMERA


def test_without_calibration_the_error_says_what_to_add(folder: Path) -> None:
    (folder / "camera.yaml").unlink()
    renamed = folder.rename(folder.with_name("freiburg10"))
    message = error_of(lambda: tum_rgbd.open_tum_rgbd(renamed))
    assert "add camera.yaml" in message


def test_the_folder_may_be_the_current_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    dataset = tum_rgbd.open_tum_rgbd(Path())
    assert dataset.name == "desk"
    assert len(list(dataset.frames("all", with_depth=True))) == 4


def test_a_file_listed_twice_is_one_frame(folder: Path) -> None:
    text = (folder / "rgb.txt").read_text()
    (folder / "rgb.txt").write_text(text + text)
    assert tum_rgbd.open_tum_rgbd(folder).count("all") == 4


def test_other_folders_are_not_recognised(folder: Path, tmp_path: Path) -> None:
    assert not tum_rgbd.recognises(tmp_path)
    assert not tum_rgbd.recognises(folder / "rgb.txt")


def edit(file: Path, line: int, text: str) -> None:
    lines = file.read_text().splitlines()
    lines[line - 1] = text
    file.write_text("\n".join(lines))


def reading(folder: Path) -> PosedFiles:
    return tum_rgbd.open_tum_rgbd(folder)


@pytest.mark.parametrize(
    ("name", "line", "text", "said"),
    [
        ("rgb.txt", 3, "1305031102.1", "expected 'stamp file'"),
        ("rgb.txt", 3, "1.0 rgb/a.png 1.0 depth/a.png", "expected 'stamp file'"),
        ("rgb.txt", 4, "soon rgb/a.png", "line 4: 'soon' is not a stamp"),
        ("rgb.txt", 4, f"{START}.7 rgb/gone.png", "gone.png is missing"),
        ("depth.txt", 1, f"{START}.7 depth/gone.png", "gone.png is missing"),
        ("depth.txt", 2, "nan depth/1190.png", "'nan' is not a stamp"),
        ("groundtruth.txt", 5, "1305031102.15 2 2 5 0 0", "line 5: expected 'stamp tx"),
        ("groundtruth.txt", 5, "1305031102.15 2 2 5 0 0 0 1 1", "line 5: expected 'stamp tx"),
        ("groundtruth.txt", 5, "1305031102.15 2 2 x 0 0 0 1", "line 5: expected 'stamp tx"),
        ("groundtruth.txt", 5, "inf 2 2 1 0 0 0 1", "'inf' is not a stamp"),
        ("groundtruth.txt", 5, "1305031102.15 1 1 1 1 1 1 1", "length 2, not 1"),
        ("camera.yaml", 1, "image_width: wide", "camera.yaml"),
    ],
)
def test_a_malformed_line_is_named(
    folder: Path, name: str, line: int, text: str, said: str
) -> None:
    edit(folder / name, line, text)
    message = error_of(lambda: reading(folder))
    assert str(folder / name) in message
    assert said in message


@pytest.mark.parametrize("content", [None, "", "# nothing\n", "1.0 0 0 0 0 0 0 0\n"])
def test_no_ground_truth(folder: Path, content: str | None) -> None:
    (folder / "groundtruth.txt").unlink()
    if content is not None:
        (folder / "groundtruth.txt").write_text(content)
    assert "groundtruth.txt" in error_of(lambda: reading(folder))


def test_an_unset_quaternion_is_no_pose(folder: Path) -> None:
    with (folder / "groundtruth.txt").open("a") as file:
        file.write(f"\n{START}.4000 5 5 5 0 0 0 0\n")
    assert f"rgb/{START}.400000.png" not in [f.name for f in reading(folder).frames("all")]


def test_stamps_of_another_clock(folder: Path) -> None:
    (folder / "groundtruth.txt").write_text("1.0 0 0 0 0 0 0 1\n1.05 0 0 0 0 0 0 1\n")
    message = error_of(lambda: reading(folder))
    assert "rgb.txt" in message
    assert "one clock" in message


def test_no_images(folder: Path) -> None:
    (folder / "rgb.txt").write_text("# color images\n")
    assert "no image with a pose" in error_of(lambda: reading(folder))
