# SPDX-License-Identifier: Apache-2.0
"""The forms of recordings: their names, what each is recognised by, and who reads it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsac_core.data.bag_topics import BagTopics
    from dsac_core.data.frame import Recording

    Recognises = Callable[[Path], bool]
    Opens = Callable[[Path, BagTopics | None], Recording]
    Reader = tuple[Recognises, Opens]

AUTO = "auto"


@dataclass(frozen=True)
class Format:
    """One form; its reader is imported on first use."""

    words: str
    marks: str  # what it is recognised by
    reader: Callable[[], Reader]


def _bag() -> Reader:
    from dsac_core.data.bag import Bag

    return Bag.recognises, Bag


def _seven_scenes() -> Reader:
    from dsac_core.data.seven_scenes import SevenScenes

    return SevenScenes.recognises, lambda path, _: SevenScenes(path)


def _layout(module: str, opener: str) -> Callable[[], Reader]:
    """The reader of a layout: a module with ``recognises`` and a function that opens a folder."""

    def reader() -> Reader:
        layout = import_module(f"dsac_core.data.{module}")
        return layout.recognises, lambda path, _: getattr(layout, opener)(path)

    return reader


# Of a folder that fits several the first counts. What was recorded is before what was made of it:
# a COLMAP model may lie in any folder, and transforms.json may be made from it.
FORMATS = {
    "bag": Format("rosbag2", "metadata.yaml or .mcap", _bag),
    "7scenes": Format("7-Scenes", "TrainSplit.txt, TestSplit.txt", _seven_scenes),
    "12scenes": Format(
        "12-Scenes",
        "info.txt, data/frame-*.color.jpg",
        _layout("twelve_scenes", "open_twelve_scenes"),
    ),
    "cambridge": Format(
        "Cambridge Landmarks",
        "dataset_train.txt, dataset_test.txt",
        _layout("cambridge", "open_cambridge"),
    ),
    "euroc": Format("EuRoC", "mav0/cam0/data.csv", _layout("euroc", "open_euroc")),
    "tum": Format("TUM RGB-D", "rgb.txt, groundtruth.txt", _layout("tum_rgbd", "open_tum_rgbd")),
    "dsacstar": Format(
        "layout of DSAC*", "train/rgb, train/poses", _layout("dsacstar_layout", "open_dsacstar")
    ),
    "nerfstudio": Format(
        "nerfstudio or instant-ngp",
        "transforms.json, transforms_train.json",
        _layout("nerfstudio", "open_nerfstudio"),
    ),
    "colmap": Format(
        "COLMAP model",
        "sparse/0/cameras.bin or .txt, images.bin or .txt",
        _layout("colmap_model", "open_colmap"),
    ),
}
