# SPDX-License-Identifier: Apache-2.0
"""From a path to a dataset, by what lies there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsac_core.data.frame import ALL
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from dsac_core.data.bag_topics import BagTopics
    from dsac_core.data.frame import Dataset


def open_dataset(path: str | Path, topics: BagTopics | None = None) -> Dataset:
    """Open a rosbag2 or a 7-Scenes folder.

    Raises:
        DatasetError: Nothing is there, or it is of no known form.
    """
    from dsac_core.data.bag import Bag
    from dsac_core.data.seven_scenes import SevenScenes

    path = Path(path).expanduser()
    if not path.exists():
        msg = f"no recording at {path}"
        raise DatasetError(msg)
    if Bag.recognises(path):
        return Bag(path, topics)
    if SevenScenes.recognises(path):
        return SevenScenes(path)
    msg = (
        f"{path} is of no known form: expected a rosbag2 (metadata.yaml or .mcap) or a 7-Scenes"
        " folder (TrainSplit.txt, TestSplit.txt)"
    )
    raise DatasetError(msg)


def choose_split(dataset: Dataset, wanted: str) -> str:
    """The split called ``wanted``, or ``all`` of a recording that has no splits.

    Raises:
        DatasetError: The recording has splits, but not this one.
    """
    splits = dataset.splits()
    if wanted in splits:
        return wanted
    if splits == (ALL,):
        return ALL
    msg = f"{dataset.name} has no split '{wanted}', it has: {', '.join(splits)}"
    raise DatasetError(msg)
