# SPDX-License-Identifier: Apache-2.0
"""12-Scenes, as its documentation describes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import HEIGHT, WIDTH, error_of, write_image, write_values

from dsac_core.data import twelve_scenes
from dsac_core.geometry.camera import Camera

IDENTITY = "1.000000 0.000000 0.000000 0.000000 0.000000 1.000000 0.000000 0.000000 "
IDENTITY += "0.000000 0.000000 1.000000 0.000000 0.000000 0.000000 0.000000 1.000000 "
INFO = f"""m_versionNumber = 4
m_sensorName = StructureSensor
m_colorWidth = 32
m_colorHeight = 24
m_depthWidth = 16
m_depthHeight = 12
m_depthShift = 1000
m_calibrationColorIntrinsic = 29.0 0 15.5 0 0 30.0 11.5 0 0 0 1 0 0 0 0 1 
m_calibrationColorExtrinsic = {IDENTITY}
m_calibrationDepthIntrinsic = 7.25 0 7.5 0 0 7.5 5.5 0 0 0 1 0 0 0 0 1 
m_calibrationDepthExtrinsic = {IDENTITY}
m_frames.size = 7
"""  # noqa: W291
SPLIT = """sequence0 [frames=2]  [start=0 ; end=1]
sequence1 [frames=3]  [start=2 ; end=4]
sequence2 [frames=2]  [start=5 ; end=6]
"""
LOST = "-1.#INF -1.#INF -1.#INF -1.#INF\n" * 4


def pose_of(number: int) -> np.ndarray:
    """90 degrees about z, a metre further each frame."""
    pose = np.array([[0, -1, 0, number], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], np.float64)
    return pose


def depth_of(number: int) -> np.ndarray:
    depth = np.full((12, 16), 2000 + number, np.uint16)
    depth[:6, :8] = 0
    return depth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "kitchen"
    for number in range(7):
        stem = f"frame-{number:06d}"
        ending = "png" if number else "jpg"
        write_image(path / "data" / f"{stem}.color.{ending}", number)
        write_values(path / "data" / f"{stem}.depth.png", depth_of(number))
        rows = [" ".join(f"{value:.6e}" for value in row) for row in pose_of(number)]
        (path / "data" / f"{stem}.pose.txt").write_text("\n".join(rows) + "\n\n")
    (path / "info.txt").write_text(INFO)
    (path / "split.txt").write_text(SPLIT)
    return path


def names(folder: Path, split: str) -> list[str]:
    return [frame.name for frame in twelve_scenes.open_twelve_scenes(folder).frames(split)]


def test_the_first_sequence_is_for_testing(folder: Path) -> None:
    assert twelve_scenes.recognises(folder)
    dataset = twelve_scenes.open_twelve_scenes(folder)
    assert (dataset.name, dataset.kind) == ("kitchen", "12-Scenes")
    assert dataset.splits() == ("train", "test")
    assert names(folder, "test") == ["frame-000000", "frame-000001"]
    assert names(folder, "train") == [f"frame-{number:06d}" for number in range(2, 7)]


def test_frames(folder: Path) -> None:
    frames = list(twelve_scenes.open_twelve_scenes(folder).frames("train"))
    for number, frame in enumerate(frames, 2):
        assert frame.stamp == pytest.approx(number / 30)
        assert frame.camera == Camera(WIDTH, HEIGHT, 29.0, 30.0, 15.5, 11.5)
        np.testing.assert_allclose(frame.world_T_cam, pose_of(number))
        image = write_image(folder / f"data/frame-{number:06d}.color.png", number)
        np.testing.assert_array_equal(frame.image, image)
        assert frame.depth is None


def test_depth_is_registered_to_colour(folder: Path) -> None:
    """The depth camera sees twice the angle: its corner without readings is half the image."""
    frames = twelve_scenes.open_twelve_scenes(folder).frames("train", with_depth=True)
    for number, frame in enumerate(frames, 2):
        assert frame.depth is not None
        assert frame.depth.shape == (12, 16)
        known = frame.depth > 0
        np.testing.assert_allclose(frame.depth[known], 2.0 + number / 1000, rtol=1e-6)
        assert not known[:6, :8].any()
        # A quarter of the readings fall into the image, less the empty quarter of those.
        assert known.sum() == 16 * 12 // 4 * 3 // 4
        assert known[6:, 8:].any()
        assert known[:6, 8:].any()


def test_the_unit_of_depth(folder: Path) -> None:
    (folder / "info.txt").write_text(INFO.replace("Shift = 1000", "Shift = 500"))
    frame = next(iter(twelve_scenes.open_twelve_scenes(folder).frames("test", with_depth=True)))
    assert frame.depth is not None
    assert frame.depth.max() == pytest.approx(4.0)


def test_without_depth(folder: Path) -> None:
    (folder / "data/frame-000000.depth.png").unlink()
    first, second = twelve_scenes.open_twelve_scenes(folder).frames("test", with_depth=True)
    assert first.depth is None
    assert second.depth is not None


@pytest.mark.parametrize("lost", [LOST, "-inf " * 16, "nan nan nan nan\n" * 4])
def test_lost_poses_are_left_out(folder: Path, lost: str) -> None:
    (folder / "data/frame-000003.pose.txt").write_text(lost)
    expected = [f"frame-{number:06d}" for number in (2, 4, 5, 6)]
    assert names(folder, "train") == expected


def test_a_pose_without_an_image_is_left_out(folder: Path) -> None:
    (folder / "data/frame-000001.color.png").unlink()
    assert names(folder, "test") == ["frame-000000"]


def test_without_splits_all_frames_are_one(folder: Path) -> None:
    (folder / "split.txt").unlink()
    assert twelve_scenes.recognises(folder)
    assert twelve_scenes.open_twelve_scenes(folder).splits() == ("all",)
    assert len(names(folder, "all")) == 7


def test_text_as_windows_writes_it(folder: Path) -> None:
    for file in (folder / "info.txt", folder / "split.txt", folder / "data/frame-000000.pose.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert names(folder, "test") == ["frame-000000", "frame-000001"]


def test_other_folders_are_not_recognised(folder: Path, tmp_path: Path) -> None:
    assert not twelve_scenes.recognises(tmp_path)
    (folder / "info.txt").unlink()
    assert twelve_scenes.recognises(folder)
    (folder / "split.txt").unlink()
    assert not twelve_scenes.recognises(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("m_colorWidth = 32\n", "", "'m_colorWidth = ' and a number"),
        ("m_colorWidth = 32\n", "m_colorWidth = wide\n", "m_colorWidth"),
        ("m_colorWidth = 32\n", "m_colorWidth = -32\n", "must be positive, got -32"),
        ("m_depthShift = 1000\n", "m_depthShift = 0\n", "m_depthShift must be positive"),
        ("m_depthHeight = 12\n", "m_depthHeight = nan\n", "m_depthHeight"),
        ("Intrinsic = 29.0 ", "Intrinsic = ", "m_calibrationColorIntrinsic = ' and 16 numbers"),
        ("Intrinsic = 29.0 ", "Intrinsic = 0 ", "m_calibrationColorIntrinsic: camera is not"),
        ("Intrinsic = 7.25 ", "Intrinsic = x ", "m_calibrationDepthIntrinsic"),
        (f"DepthExtrinsic = {IDENTITY}", f"DepthExtrinsic = 2{IDENTITY}", "not the identity"),
        (INFO[INFO.index("m_calibrationDepthE") :], "", "m_calibrationDepthExtrinsic"),
        (INFO, "", "m_calibrationColorExtrinsic"),
    ],
)
def test_a_bad_calibration_is_named(folder: Path, old: str, new: str, said: str) -> None:
    assert old in INFO
    (folder / "info.txt").write_text(INFO.replace(old, new))
    message = error_of(lambda: twelve_scenes.open_twelve_scenes(folder))
    assert str(folder / "info.txt") in message
    assert said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sequence0 [frames=2]\n", "line 1: expected a line such as"),
        ("\nframes 0 to 3\n", "line 2: expected a line such as"),
        ("sequence0 [frames=4]  [start=3 ; end=0]\n", "line 1: frames 3 to 0 are none"),
        (
            SPLIT + "sequence3 [frames=2] [start=6 ; end=7]\n",
            "line 4: frames 6 to 7 are none, or not new",
        ),
        (SPLIT + "sequence3 [frames=2] [start=7 ; end=8]\n", "line 4: data has none of"),
        ("", "names no sequence"),
    ],
)
def test_a_bad_split_is_named(folder: Path, content: str, said: str) -> None:
    (folder / "split.txt").write_text(content)
    message = error_of(lambda: twelve_scenes.open_twelve_scenes(folder))
    assert str(folder / "split.txt") in message
    assert said in message


@pytest.mark.parametrize("content", [None, "", "1 0 0 0\n0 1 0 0\n", "2 0 0 0\n" * 4, "words\n"])
def test_a_bad_pose_is_named(folder: Path, content: str | None) -> None:
    file = folder / "data/frame-000003.pose.txt"
    file.unlink()
    if content is not None:
        file.write_text(content)
    message = error_of(lambda: twelve_scenes.open_twelve_scenes(folder))
    assert "frame-000003.pose.txt" in message


def test_a_missing_calibration_is_named(folder: Path) -> None:
    (folder / "info.txt").unlink()
    assert "info.txt" in error_of(lambda: twelve_scenes.open_twelve_scenes(folder))


def test_no_images(folder: Path) -> None:
    for file in (folder / "data").glob("*.color.*"):
        file.unlink()
    message = error_of(lambda: twelve_scenes.open_twelve_scenes(folder))
    assert "frame-NNNNNN.color.jpg" in message


def test_nothing_but_lost_poses(folder: Path) -> None:
    for file in (folder / "data").glob("*.pose.txt"):
        file.write_text(LOST)
    assert "no image with a pose" in error_of(lambda: twelve_scenes.open_twelve_scenes(folder))
