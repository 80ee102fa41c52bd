# SPDX-License-Identifier: Apache-2.0
"""7-Scenes, as its documentation describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsac_core.data.open_dataset import choose_split, open_dataset
from dsac_core.data.seven_scenes import COLOUR_T_DEPTH, SevenScenes
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import is_rigid, pose_error

REAL = Path(__file__).parents[4] / "shared" / "data" / "redkitchen"


def test_splits_and_frames_in_order(seven_scenes: Any) -> None:
    dataset = open_dataset(seven_scenes.path)
    assert isinstance(dataset, SevenScenes)
    assert dataset.splits() == ("train", "test")
    assert (dataset.count("train"), dataset.count("test")) == (3, 1)
    names = [frame.name for frame in dataset.frames("train")]
    assert names == ["seq-01/frame-000000", "seq-01/frame-000005", "seq-03/frame-000000"]
    assert [frame.name for frame in dataset.frames("train", indices={2})] == names[2:]


def test_png_is_exact_and_jpeg_is_near_and_both_are_rgb(seven_scenes: Any) -> None:
    dataset = open_dataset(seven_scenes.path)
    for frame in dataset.frames("train"):
        np.testing.assert_array_equal(frame.image, seven_scenes.images[frame.name])
    (frame,) = dataset.frames("test")
    difference = frame.image.astype(int) - seven_scenes.images[frame.name]
    assert np.abs(difference).mean() < 3
    assert frame.depth is None


def test_stamps_are_those_of_a_camera_of_30_hz(seven_scenes: Any) -> None:
    stamps = [frame.stamp for frame in open_dataset(seven_scenes.path).frames("train")]
    assert stamps[1] - stamps[0] == pytest.approx(5 / 30)


def test_the_pose_is_that_of_the_colour_camera(seven_scenes: Any) -> None:
    """A point of the depth camera, through both ways into the world."""
    assert is_rigid(COLOUR_T_DEPTH, 1e-6)
    in_depth = np.array([0.3, -0.2, 2.0, 1.0])
    for frame in open_dataset(seven_scenes.path).frames("train"):
        in_world = seven_scenes.poses[frame.name] @ in_depth
        np.testing.assert_allclose(
            frame.world_T_cam @ COLOUR_T_DEPTH @ in_depth, in_world, atol=1e-5
        )
        assert 0.02 < pose_error(frame.world_T_cam, seven_scenes.poses[frame.name])[0] < 0.03


def test_depth_is_registered_and_in_metres(seven_scenes: Any) -> None:
    frame = next(iter(open_dataset(seven_scenes.path).frames("train", with_depth=True)))
    depth = frame.depth
    assert depth is not None
    assert depth.dtype == np.float32
    assert depth.shape == (480, 640)
    # Below: 1.5 m. The top and left margin have no reading (65535 and 0), and 65 m is none.
    assert np.median(depth[360:420, 200:500]) == pytest.approx(1.5, abs=0.02)
    middle = depth[180:260, 250:450]
    assert np.median(middle[middle > 0]) == pytest.approx(2.0, abs=0.02)
    assert depth.max() < 2.1
    assert (depth[:80] == 0).all()
    assert (depth[:280, :60] == 0).all()


def error_of(path: Path, split: str = "train") -> str:
    with pytest.raises(DatasetError) as caught:
        list(open_dataset(path).frames(split, with_depth=True))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_pose_is_named(seven_scenes: Any) -> None:
    (seven_scenes.path / "seq-01" / "frame-000005.pose.txt").unlink()
    assert "frame-000005.pose.txt" in error_of(seven_scenes.path)


def test_a_missing_sequence_is_named(seven_scenes: Any) -> None:
    (seven_scenes.path / "TrainSplit.txt").write_text("sequence1\nsequence7\n")
    assert "seq-07" in error_of(seven_scenes.path)


def test_a_split_file_with_words_is_named(seven_scenes: Any) -> None:
    (seven_scenes.path / "TrainSplit.txt").write_text("everything\n")
    message = error_of(seven_scenes.path)
    assert "TrainSplit.txt" in message
    assert "'everything'" in message


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no numbers\n",
        "1 0 0 0\n0 1 0 0\n0 0 1 0\n",
        "1 0 0 nan\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
        "2 0 0 0\n0 2 0 0\n0 0 2 0\n0 0 0 1\n",
        "1 0 0 0\n0 1 0 0\n0 0 -1 0\n0 0 0 1\n",
        "1 0 0\n0 1 0 0\n",
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_pose_that_is_none_is_named(seven_scenes: Any, content: str) -> None:
    (seven_scenes.path / "seq-01" / "frame-000005.pose.txt").write_text(content)
    message = error_of(seven_scenes.path)
    assert "frame-000005.pose.txt" in message
    assert "rigid" in message


@pytest.mark.parametrize("ending", ["color.png", "depth.png"])
@pytest.mark.parametrize("content", [b"", b"not a png"])
def test_a_damaged_image_is_named(seven_scenes: Any, ending: str, content: bytes) -> None:
    (seven_scenes.path / "seq-01" / f"frame-000005.{ending}").write_bytes(content)
    assert f"frame-000005.{ending}" in error_of(seven_scenes.path)


def test_a_missing_depth_image_is_named(seven_scenes: Any) -> None:
    (seven_scenes.path / "seq-03" / "frame-000000.depth.png").unlink()
    assert "frame-000000.depth.png" in error_of(seven_scenes.path)


def test_an_image_of_another_size_is_refused(seven_scenes: Any) -> None:
    import cv2

    file = seven_scenes.path / "seq-01" / "frame-000000.color.png"
    cv2.imwrite(str(file), np.zeros((240, 320, 3), np.uint8))
    assert "320x240" in error_of(seven_scenes.path)


def test_a_file_name_without_a_number_is_no_traceback(seven_scenes: Any) -> None:
    folder = seven_scenes.path / "seq-01"
    for file in folder.glob("frame-000005.*"):
        file.rename(folder / file.name.replace("000005", "last"))
    dataset = open_dataset(seven_scenes.path)
    assert next(frame.name for frame in dataset.frames("train")) == "seq-01/frame-000000"


def test_an_unknown_split_lists_those_there_are(seven_scenes: Any) -> None:
    dataset = open_dataset(seven_scenes.path)
    with pytest.raises(DatasetError, match="no split 'val', it has: train, test"):
        choose_split(dataset, "val")
    with pytest.raises(DatasetError, match="no split 'val'"):
        dataset.count("val")


def test_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no recording at"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="no known form"):
        open_dataset(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recording shared/data/redkitchen is absent")
def test_the_real_recording() -> None:
    dataset = open_dataset(REAL)
    assert dataset.splits() == ("train", "test")
    for split in dataset.splits():
        indices = {0, dataset.count(split) - 1}
        frames = list(dataset.frames(split, indices=indices, with_depth=True))
        assert len(frames) == 2
        for frame in frames:
            assert is_rigid(frame.world_T_cam)
            assert frame.image.shape == (480, 640, 3)
            assert frame.depth is not None
            known = frame.depth[frame.depth > 0]
            assert known.size > 50_000
            assert 0.3 < np.median(known) < 6.0
