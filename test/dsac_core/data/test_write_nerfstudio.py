# SPDX-License-Identifier: Apache-2.0
"""What is written is read back exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from image_files import HEIGHT, WIDTH, error_of, write_image, write_values
from layouts import WORLD_T_CAM

from dsac_core.data.bag import Bag
from dsac_core.data.open_dataset import open_dataset
from dsac_core.data.posed_files import DepthFile, PosedFile, PosedFiles
from dsac_core.data.stored_frame import StoredRecording
from dsac_core.data.write_nerfstudio import write_nerfstudio
from dsac_core.geometry.camera import Camera

if TYPE_CHECKING:
    from collections.abc import Callable

CAMERAS = [
    Camera(WIDTH, HEIGHT, 30.1, 31.7, 15.3, 12.9),
    Camera(WIDTH, HEIGHT, 30.1, 31.7, 15.3, 12.9, "plumb_bob", (0.1, -0.2, 1e-3, 2e-3)),
    Camera(WIDTH, HEIGHT, 30.1, 31.7, 15.3, 12.9, "plumb_bob", (0.1, -0.2, 1e-3, 2e-3, 0.3)),
    Camera(WIDTH, HEIGHT, 30.1, 31.7, 15.3, 12.9, "rational_polynomial", (0.1,) * 12),
    Camera(WIDTH, HEIGHT, 30.1, 31.7, 15.3, 12.9, "equidistant", (0.1, 0.2, 0.3, 0.4)),
]


def converted(recording: Any, folder: Path, *, with_depth: bool = True) -> Any:
    """Written, read back, and compared frame by frame."""
    assert isinstance(recording, StoredRecording)
    folder.mkdir()
    told: list[int] = []
    splits = recording.splits()
    written = write_nerfstudio(
        recording, splits, folder, with_depth=with_depth, progress=told.append
    )
    back = open_dataset(folder)
    assert back.splits() == splits
    assert written == sum(map(back.count, splits)) == len(told) == told[-1]
    for split in splits:
        pairs = zip(
            recording.frames(split, with_depth=with_depth),
            back.frames(split, with_depth=True),
            strict=True,
        )
        for frame, same in pairs:
            np.testing.assert_array_equal(same.image, frame.image)
            np.testing.assert_array_equal(same.world_T_cam, frame.world_T_cam)
            assert (same.camera, same.stamp) == (frame.camera, frame.stamp)
            assert (same.depth is None) == (frame.depth is None)
            if frame.depth is not None:
                np.testing.assert_array_equal(same.depth, frame.depth)
    return back


def files(folder: Path, pattern: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.glob(pattern))]


def test_a_bag(robot_bag: Any, write_bag: Any, tmp_path: Path) -> None:
    converted(Bag(write_bag(robot_bag.messages)), tmp_path / "out")
    assert len(files(tmp_path, "out/depth/*.png")) == 5  # of whole millimetres


def test_depth_of_some_images_in_floats(
    robot_bag: Any, write_bag: Any, ros: Any, tmp_path: Path
) -> None:
    messages = [entry for entry in robot_bag.messages if "depth" not in entry[0]]
    depth = np.random.default_rng(0).uniform(0.3, 99.0, (48, 64)).astype(np.float32)
    depth[0, 0] = np.nan
    messages.append(("/depth", 0.3, ros.image(0.3, depth, "32FC1")))
    converted(Bag(write_bag(messages)), tmp_path / "out")
    assert len(files(tmp_path, "out/depth/*.tiff")) == 1


def test_depth_that_may_stay_behind(robot_bag: Any, write_bag: Any, tmp_path: Path) -> None:
    converted(Bag(write_bag(robot_bag.messages)), tmp_path / "out", with_depth=False)
    assert not (tmp_path / "out" / "depth").exists()


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_compressed_messages_are_copied(
    kind: str, robot_bag: Any, write_bag: Any, ros: Any, tmp_path: Path
) -> None:
    messages = [entry for entry in robot_bag.messages if "image_raw" not in entry[0]]
    sent = []
    for time, pixels in zip(robot_bag.times, robot_bag.images, strict=True):
        message = ros.compressed(time, pixels, kind)
        messages.append(("/camera/image_raw/compressed", time, message))
        sent.append(message.data.tobytes())
    bag = Bag(write_bag(messages))
    assert not bag.has_depth()
    converted(bag, tmp_path / "out", with_depth=False)
    assert files(tmp_path, f"out/images/*.{kind}") == sent


def test_splits_and_files_as_they_are(seven_scenes: Any, tmp_path: Path) -> None:
    recording = open_dataset(seven_scenes.path)
    converted(recording, tmp_path / "out")
    sources = sorted(files(seven_scenes.path, "seq-*/*.color.*"))
    assert sorted(files(tmp_path, "out/images/*")) == sources


@pytest.fixture
def posed(tmp_path: Path) -> Callable[..., PosedFile]:
    def make(index: int, camera: Camera = CAMERAS[0], depth: DepthFile | None = None) -> PosedFile:
        file = tmp_path / "in" / f"{index}.png"
        write_image(file, index)
        pose = WORLD_T_CAM.copy()
        pose[:3, 3] += index / 3
        return PosedFile(file.name, 1_760_000_000.123456 + index, file, camera, pose, depth)

    return make


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.distortion_model)
def test_one_camera_of_any_lens(
    camera: Camera, posed: Callable[..., PosedFile], tmp_path: Path
) -> None:
    recording = PosedFiles("room", "files", {"all": [posed(0, camera), posed(1, camera)]})
    converted(recording, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "transforms.json").read_text())
    assert content["fl_x"] == 30.1  # where other software looks for it
    assert content["cx"] == pytest.approx(15.8)
    assert "fl_x" not in content["frames"][0]


def test_a_lens_that_nerfstudio_knows_is_read_without_our_keys(
    posed: Callable[..., PosedFile], tmp_path: Path
) -> None:
    for camera in (CAMERAS[0], CAMERAS[2], CAMERAS[4]):
        folder = tmp_path / f"{camera.distortion_model}"
        converted(PosedFiles("room", "files", {"all": [posed(0, camera)]}), folder)
        file = folder / "transforms.json"
        content = json.loads(file.read_text())
        del content["ros_camera"]
        file.write_text(json.dumps(content))
        (frame,) = open_dataset(folder).frames("all")
        assert frame.camera.distortion_model == camera.distortion_model
        assert frame.camera.distortion == camera.distortion
        assert frame.camera.cx == pytest.approx(camera.cx, abs=1e-12)


def test_a_lens_that_it_does_not_know_is_refused_by_others(
    posed: Callable[..., PosedFile], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    converted(PosedFiles("room", "files", {"all": [posed(0, CAMERAS[3])]}), folder)
    file = folder / "transforms.json"
    content = json.loads(file.read_text())
    del content["ros_camera"]
    file.write_text(json.dumps(content))
    assert "rational_polynomial cannot be used" in error_of(lambda: open_dataset(folder))


def test_every_image_may_have_its_own_camera(
    posed: Callable[..., PosedFile], tmp_path: Path
) -> None:
    frames = [posed(index, camera) for index, camera in enumerate(CAMERAS)]
    converted(PosedFiles("room", "files", {"all": frames}), tmp_path / "out")


def test_registered_depth_is_copied_in_its_unit(
    posed: Callable[..., PosedFile], tmp_path: Path
) -> None:
    file = tmp_path / "depth.png"
    write_values(file, np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 80)
    depth = DepthFile(file, 1.0 / 5000.0)
    recording = PosedFiles("room", "files", {"all": [posed(0, depth=depth), posed(1)]})
    assert recording.has_depth()
    converted(recording, tmp_path / "out")
    assert files(tmp_path, "out/depth/*") == [file.read_bytes()]


def test_depth_of_another_camera_is_written_registered(
    posed: Callable[..., PosedFile], tmp_path: Path
) -> None:
    file = tmp_path / "depth.png"
    write_values(file, np.full((HEIGHT, WIDTH), 1234, np.uint16))
    depth = DepthFile(file, camera=replace(CAMERAS[0], fx=33.0, fy=33.0))
    converted(PosedFiles("room", "files", {"all": [posed(0, depth=depth)]}), tmp_path / "out")
    assert files(tmp_path, "out/depth/*") != [file.read_bytes()]


def test_the_largest_values_of_depth(posed: Callable[..., PosedFile], tmp_path: Path) -> None:
    """65.535 m is no value of 16 bit: it is what some sensors send for none."""
    for index, farthest in enumerate((65.534, 65.535)):
        file = tmp_path / f"{index}.tiff"
        values = np.full((HEIGHT, WIDTH), farthest, np.float32)
        cv2.imwrite(str(file), values)
        depth = DepthFile(file, 1.0, camera=CAMERAS[0])
        recording = PosedFiles("room", "files", {"all": [posed(0, depth=depth)]})
        converted(recording, tmp_path / f"out{index}")


def test_a_split_without_a_list(posed: Callable[..., PosedFile], tmp_path: Path) -> None:
    recording = PosedFiles("room", "files", {"night": [posed(0)], "train": [posed(1)]})
    message = error_of(lambda: converted(recording, tmp_path / "out"))
    assert "split 'night' has no place in transforms.json" in message
