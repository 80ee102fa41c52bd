# SPDX-License-Identifier: Apache-2.0
"""From a path to a dataset, by what lies there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsac_core.data.formats import AUTO, FORMATS
from dsac_core.data.frame import ALL
from dsac_core.data.keyframes import Keyframes
from dsac_core.data.stored_frame import StoredRecording
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from dsac_core.data.bag_topics import BagTopics
    from dsac_core.data.frame import Dataset, Recording


def open_dataset(
    path: str | Path,
    topics: BagTopics | None = None,
    format: str = AUTO,  # noqa: A002
) -> Recording:
    """Open a recording.

    Args:
        path: A folder, or a file of a bag or of nerfstudio.
        topics: Of a bag; and how many keyframes, of any recording.
        format: A key of ``FORMATS``, or ``auto``: the first of them that recognises the path.

    Raises:
        DatasetError: Nothing is there, it is of no known form, or not of the one that was named.
    """
    path = Path(path).expanduser()
    if not path.exists():
        msg = f"no recording at {path}"
        raise DatasetError(msg)
    if format not in (AUTO, *FORMATS):
        msg = f"no form of recordings is called '{format}': choose of {AUTO}, {', '.join(FORMATS)}"
        raise DatasetError(msg)
    for name, form in FORMATS.items():
        if format in (AUTO, name):
            recognises, opens = form.reader()
            if recognises(path):
                recording = opens(path, topics)
                most = None if topics is None else topics.keyframes
                if most is not None and isinstance(recording, StoredRecording):
                    return Keyframes(recording, most)
                return recording
    if format != AUTO:
        form = FORMATS[format]
        msg = f"{path} is no {form.words}: it lacks {form.marks}; name another --format, or none"
        raise DatasetError(msg)
    known = "; ".join(f"{form.words} ({form.marks})" for form in FORMATS.values())
    msg = f"{path} is of no known form: expected {known}"
    raise DatasetError(msg)


def describe(dataset: Recording) -> str:
    """What was recognised, in one line."""
    counts = {split: f"{dataset.count(split)} images" for split in dataset.splits()}
    if list(counts) == [ALL]:
        parts = counts[ALL]
    else:
        parts = "splits " + ", ".join(f"{split} ({count})" for split, count in counts.items())
    return f"{dataset.name}: {dataset.kind}, {parts}"


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
