# SPDX-License-Identifier: Apache-2.0
"""Cameras and images of COLMAP: as it writes them itself, and damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from colmap_writer import cameras_binary, images_binary, write_images, write_model
from layouts import HEIGHT, TRANSLATION, WIDTH, refusal, write_text

from dsac_core.data.colmap_files import read_colmap_cameras, read_colmap_images
from dsac_core.data.colmap_model import open_colmap
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {
    "SIMPLE_PINHOLE": (30.0, 16.0, 12.5),
    "PINHOLE": (30.0, 31.0, 16.0, 12.5),
    "SIMPLE_RADIAL": (30.0, 16.0, 12.5, 0.1),
    "RADIAL": (30.0, 16.0, 12.5, 0.1, -0.05),
    "OPENCV": (30.0, 31.0, 16.0, 12.5, 0.1, -0.05, 0.01, 0.02),
    "FULL_OPENCV": (30.0, 31.0, 16.0, 12.5, 0.1, -0.05, 0.01, 0.02, 0.03, 0.2, 0.01, 0.02),
    "OPENCV_FISHEYE": (30.0, 31.0, 16.0, 12.5, 0.1, -0.05, 0.01, 0.02),
    "SIMPLE_RADIAL_FISHEYE": (30.0, 16.0, 12.5, 0.1),
    "RADIAL_FISHEYE": (30.0, 16.0, 12.5, 0.1, -0.05),
    "SIMPLE_FISHEYE": (30.0, 16.0, 12.5),
    "FISHEYE": (30.0, 31.0, 16.0, 12.5),
}


@pytest.mark.parametrize("kind", ["txt", "bin"])
def test_what_colmap_itself_writes(tmp_path: Path, kind: str) -> None:
    """Its projection of rays, and its poses, against ours, through its own files."""
    pycolmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
    written = pycolmap.Reconstruction()
    rng = np.random.default_rng(3)
    for key, (model, values) in enumerate(MODELS.items(), 1):
        camera = pycolmap.Camera(
            model=model, width=WIDTH, height=HEIGHT, params=values, camera_id=key
        )
        written.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(name=f"{model} {key}.png", camera_id=key, image_id=100 - key)
        image.points2D = pycolmap.Point2DList(
            [pycolmap.Point2D(rng.uniform(0, 20, 2)) for _ in range(key % 3)]
        )
        rotation = pycolmap.Rotation3d(rng.normal(size=4))
        rotation.normalize()
        pose = pycolmap.Rigid3d(rotation, rng.normal(size=3))
        written.add_image_with_trivial_frame(image, pose)
    (written.write_text if kind == "txt" else written.write_binary)(str(tmp_path))
    cameras = read_colmap_cameras(tmp_path / f"cameras.{kind}")
    images = {image.name: image for image in read_colmap_images(tmp_path / f"images.{kind}")}
    assert len(images) == len(cameras) == len(MODELS)
    rays = np.column_stack([rng.uniform(-0.4, 0.4, (20, 2)), np.ones(20)])
    for image in written.images.values():
        ours = images[image.name]
        np.testing.assert_allclose(
            np.linalg.inv(ours.world_T_cam)[:3], image.cam_from_world().matrix(), atol=1e-9
        )
        camera = cameras[ours.camera]
        ideal = rays[:, :2] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
        want = written.cameras[image.camera_id].img_from_cam(rays)
        np.testing.assert_allclose(camera.distort(ideal) + 0.5, want, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("cameras.txt", "30.0 31.0 16.0 12.5\n", "30.0 31.0 16.0\n", "line 3: expected 'id model"),
        ("cameras.txt", "30.0 31.0 16.0 12.5\n", "30.0 31.0 x 12.5\n", "line 3: expected"),
        ("cameras.txt", "30.0 31.0 16.0 12.5\n", "30 31 16 12 0.1\n", "line 3: expected"),
        ("cameras.txt", "PINHOLE 32", "PINHOLE wide", "line 3: expected"),
        ("cameras.txt", "PINHOLE 32", "PINHOLE 0", "line 3: camera: the image size"),
        ("cameras.txt", "30.0 31.0", "-30.0 31.0", "line 3: camera is not calibrated"),
        ("cameras.txt", "OPENCV", "FOV", "line 4: camera model FOV cannot be used"),
        ("cameras.txt", "\n7 ", "\n8 ", "has camera 7, which cameras.txt lacks"),
        ("cameras.txt", f"{WIDTH} {HEIGHT}", "16 12", "its calibration is for 16x12"),
        ("images.txt", "4 0.5", "four 0.5", "line 3: expected 'id qw qx"),
        ("images.txt", "4 0.5 0.5", "4 0.5 half", "line 3: expected"),
        ("images.txt", "4 0.5 0.5", "4 0.5 nan", "line 3: expected"),
        ("images.txt", "0.5 0.5 -0.5 0.5", "0 0 0 0", "line 3: expected"),
        ("images.txt", " b/frame 10.png", "", "line 3: expected"),
        ("images.txt", "png\n\n", "png\n", "line 4: expected 'x y id' of points, or an empty line"),
    ],
)
def test_a_damaged_text_is_named(tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    write_model(tmp_path)
    write_images(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    write_text(tmp_path / file, text.replace(old, new))
    message = refusal(tmp_path)
    assert said in message
    assert str(tmp_path) in message


def test_a_damaged_binary_is_named(tmp_path: Path) -> None:
    write_model(tmp_path, "bin")
    write_images(tmp_path)
    (tmp_path / "cameras.bin").write_bytes(cameras_binary([(3, 10, (1.0,) * 12)]))
    assert "cameras.bin, camera 3: camera model number 10 cannot be used" in refusal(tmp_path)
    (tmp_path / "cameras.bin").write_bytes(cameras_binary())
    broken = [(4, (0.0,) * 4, TRANSLATION, 1, "a.png", 0)]
    (tmp_path / "images.bin").write_bytes(images_binary(broken))
    assert "images.bin, image 4: its pose is damaged" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
def test_wherever_a_binary_is_cut_it_is_refused(tmp_path: Path, name: str) -> None:
    write_model(tmp_path, "bin")
    content = (tmp_path / name).read_bytes()
    for length in range(len(content)):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(DatasetError, match=f"{name} is truncated"):
            open_colmap(tmp_path)
