# SPDX-License-Identifier: Apache-2.0
"""Which form a recording is of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from layouts import TRANSLATION, WXYZ, refusal, write_plain_image, write_text

from dsac_core.data.bag_topics import BagTopics
from dsac_core.data.formats import FORMATS
from dsac_core.data.frame import ALL
from dsac_core.data.joined_recordings import RecordingSource, named_recordings
from dsac_core.data.open_dataset import describe, open_dataset
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POSE = "0 0 0 0 0 0 1"
IDENTITY = "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"


def seven_scenes(path: Path) -> None:
    write_text(path / "TestSplit.txt", "sequence1\n")
    write_plain_image(path / "seq-01" / "frame-000000.color.png", size=(640, 480))
    write_text(path / "seq-01" / "frame-000000.pose.txt", IDENTITY)


def twelve_scenes(path: Path) -> None:
    sizes = "m_colorWidth = 32\nm_colorHeight = 24\nm_depthWidth = 32\nm_depthHeight = 24\n"
    matrix = "30 0 16 0 0 30 12 0 0 0 1 0 0 0 0 1"
    identity = IDENTITY.replace("\n", " ")
    named = [
        f"m_calibration{kind}Intrinsic = {matrix}\nm_calibration{kind}Extrinsic = {identity}\n"
        for kind in ("Color", "Depth")
    ]
    write_text(path / "info.txt", sizes + "m_depthShift = 1000\n" + "".join(named))
    write_plain_image(path / "data" / "frame-000000.color.jpg")
    write_text(path / "data" / "frame-000000.pose.txt", IDENTITY)


def cambridge(path: Path) -> None:
    head = "Visual Landmark Dataset V1\nImageFile, Camera Position [X Y Z W P Q R]\n\n"
    for split, count in (("train", 2), ("test", 1)):
        names = [f"{split}/{index}.png" for index in range(count)]
        rows = [
            f"{write_plain_image(path / name).relative_to(path)} 0 0 0 1 0 0 0\n" for name in names
        ]
        write_text(path / f"dataset_{split}.txt", head + "".join(rows))
    cameras = [
        f"{split}/{index}.jpg 30 1 0 0 0 0 0 0 0 0\n"
        for split in ("train", "test")
        for index in (0, 1)
    ]
    write_text(path / "reconstruction.nvm", "NVM_V3\n\n4\n" + "".join(cameras) + "\n0\n")


def euroc(path: Path) -> None:
    data = path / "mav0" / "cam0"
    write_plain_image(data / "data" / "1000000000.png")
    write_text(data / "data.csv", "#timestamp,filename\n1000000000,1000000000.png\n")
    write_text(
        data / "sensor.yaml",
        "camera_model: pinhole\nintrinsics: [30, 30, 16, 12]\nresolution: [32, 24]\n"
        "distortion_model: radial-tangential\ndistortion_coefficients: [0, 0, 0, 0]\n"
        "T_BS:\n  rows: 4\n  cols: 4\n  data: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]\n",
    )
    rows = [f"{stamp},0,0,0,1,0,0,0\n" for stamp in (990000000, 1010000000)]
    write_text(path / "mav0" / "state_groundtruth_estimate0" / "data.csv", "".join(rows))


def tum(path: Path) -> None:
    write_plain_image(path / "rgb" / "1.png", size=(640, 480))
    write_text(path / "rgb.txt", "1.0 rgb/1.png\n")
    write_text(path / "groundtruth.txt", f"0.99 {POSE}\n1.01 {POSE}\n")


def dsacstar(path: Path) -> None:
    write_plain_image(path / "train" / "rgb" / "1.png")
    write_text(path / "train" / "poses" / "1.txt", IDENTITY)
    write_text(path / "train" / "calibration" / "1.txt", "30\n")


def nerfstudio(path: Path) -> None:
    write_plain_image(path / "images" / "1.png")
    matrix = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    frames = [{"file_path": "images/1.png", "transform_matrix": matrix}]
    write_text(path / "transforms.json", json.dumps({"fl_x": 30, "frames": frames}))


def colmap(path: Path) -> None:
    write_plain_image(path / "images" / "1.png")
    write_text(path / "sparse" / "0" / "cameras.txt", "1 SIMPLE_PINHOLE 32 24 30 16 12\n")
    numbers = " ".join(map(str, (*WXYZ, *TRANSLATION)))
    write_text(path / "sparse" / "0" / "images.txt", f"1 {numbers} 1 1.png\n\n")


WRITERS = {
    "7scenes": seven_scenes,
    "12scenes": twelve_scenes,
    "cambridge": cambridge,
    "euroc": euroc,
    "tum": tum,
    "dsacstar": dsacstar,
    "nerfstudio": nerfstudio,
    "colmap": colmap,
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """TUM RGB-D knows its cameras by the folder's name."""
    return tmp_path / "rgbd_dataset_freiburg3_office"


def test_there_is_a_test_for_each_form() -> None:
    assert {"bag", *WRITERS} == set(FORMATS)


@pytest.mark.parametrize(("name", "write"), WRITERS.items(), ids=list(WRITERS))
def test_each_form_is_recognised_and_read(
    place: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(place)
    for form in ("auto", name):
        dataset = open_dataset(place, format=form)
        assert FORMATS[name].words in dataset.kind
        for split in dataset.splits():
            assert len(list(dataset.frames(split))) == dataset.count(split) > 0
    for other in FORMATS.keys() - {name}:
        assert "name another --format, or none" in refusal(place, other)


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "colmap"])
def test_a_recording_is_before_the_model_made_of_it(place: Path, name: str) -> None:
    WRITERS[name](place)
    colmap(place)
    assert FORMATS[name].words in open_dataset(place).kind
    assert open_dataset(place, format="colmap").kind == "COLMAP model"


@pytest.mark.parametrize("name", ["7scenes", "12scenes", "cambridge", "euroc", "tum", "dsacstar"])
def test_a_recording_is_before_its_export_for_nerfstudio(place: Path, name: str) -> None:
    WRITERS[name](place)
    nerfstudio(place)
    assert FORMATS[name].words in open_dataset(place).kind
    assert open_dataset(place, format="nerfstudio").kind == FORMATS["nerfstudio"].words


def test_what_was_recognised_in_one_line(tmp_path: Path) -> None:
    cambridge(tmp_path / "court")
    words = "court: Cambridge Landmarks, splits train (2 images), test (1 images)"
    assert describe(open_dataset(tmp_path / "court")) == words
    colmap(tmp_path / "desk")
    assert describe(open_dataset(tmp_path / "desk")) == "desk: COLMAP model, 1 images"


def test_an_unknown_form_lists_the_known_ones(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert f"{tmp_path} is of no known form" in message
    for form in FORMATS.values():
        assert f"{form.words} ({form.marks})" in message
    with pytest.raises(DatasetError, match="no form of recordings is called 'kitti'"):
        open_dataset(tmp_path, format="kitti")


def test_a_recording_remembers_the_form_that_was_named(place: Path) -> None:
    tum(place)
    colmap(place)
    ((source, dataset),) = named_recordings([place], ALL, BagTopics(), "colmap")
    assert dataset.kind == source.opened().kind == "COLMAP model"
    record = source.record(dataset.count(ALL))
    assert RecordingSource.from_record(record) == source
    assert RecordingSource.from_record(record).opened().kind == "COLMAP model"
    ((source, _),) = named_recordings([place], ALL, BagTopics())
    assert "format" not in source.record(1)
