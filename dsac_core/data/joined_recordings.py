# SPDX-License-Identifier: Apache-2.0
"""Several recordings of one place, one after another, as one dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_core.data.bag_topics import BagTopics
from dsac_core.data.formats import AUTO
from dsac_core.data.frame import ALL
from dsac_core.data.open_dataset import choose_split, open_dataset
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dsac_core.data.frame import Dataset, Frame, Recording


@dataclass(frozen=True)
class RecordingSource:
    """Where a recording is and how it is read."""

    path: Path  # absolute
    split: str
    topics: BagTopics = field(default_factory=BagTopics)
    format: str = AUTO  # a key of FORMATS, or auto

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> RecordingSource:
        """What ``record`` gave.

        Raises:
            KeyError, TypeError: It did not.
        """
        topics, form = BagTopics(**record["topics"]), str(record.get("format", AUTO))
        return cls(Path(record["path"]), str(record["split"]), topics, form)

    @property
    def key(self) -> tuple[Path, str]:
        """The same for the same images."""
        return self.path, self.split

    def record(self, images: int) -> dict[str, Any]:
        """For a scene map's record, as JSON has it; ``images`` is how many there are."""
        topics = {role: topic for role, topic in asdict(self.topics).items() if topic is not None}
        record = {"path": str(self.path), "split": self.split, "topics": topics, "images": images}
        return record if self.format == AUTO else {**record, "format": self.format}

    def opened(self) -> Recording:
        """The recording.

        Raises:
            DatasetError: It is gone, or cannot be read.
        """
        return open_dataset(self.path, self.topics, self.format)


Part = tuple[RecordingSource, "Recording"]  # opened


def named_recordings(
    paths: Sequence[Path],
    split: str,
    topics: BagTopics,
    format: str = AUTO,  # noqa: A002
) -> list[Part]:
    """Recordings as a user names them, each once, with the split that each really has.

    Raises:
        DatasetError: Nothing is there, or it cannot be read, or lacks the split.
    """
    parts: dict[tuple[Path, str], Part] = {}
    for path in paths:
        absolute = path.expanduser().resolve()
        dataset = open_dataset(absolute, topics, format)
        source = RecordingSource(absolute, choose_split(dataset, split), topics, format)
        parts.setdefault(source.key, (source, dataset))
    return list(parts.values())


def joined_or_alone(parts: Sequence[Part]) -> tuple[Dataset, str]:
    """One dataset and its split, whether it is one recording or several."""
    if len(parts) == 1:
        return parts[0][1], parts[0][0].split
    return JoinedRecordings(parts), ALL


class JoinedRecordings:
    """The frames of all, in the order of the recordings; it has no splits of its own."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Take the opened recordings; there is at least one."""
        self._parts = list(parts)
        self.name = " + ".join(dataset.name for _, dataset in parts)
        self.counts = [dataset.count(source.split) for source, dataset in parts]
        self.records = [
            source.record(count) for (source, _), count in zip(parts, self.counts, strict=True)
        ]

    def splits(self) -> tuple[str, ...]:
        """See ``Dataset.splits``."""
        return (ALL,)

    def count(self, split: str) -> int:
        """See ``Dataset.count``."""
        self._check(split)
        return sum(self.counts)

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        """See ``Dataset.frames``; an index counts through all recordings."""
        self._check(split)
        start = 0
        for (source, dataset), count in zip(self._parts, self.counts, strict=True):
            wanted = None
            if indices is not None:
                wanted = {index - start for index in indices if start <= index < start + count}
            start += count
            if wanted is None or wanted:
                yield from dataset.frames(source.split, indices=wanted, with_depth=with_depth)

    def _check(self, split: str) -> None:
        if split != ALL:
            msg = f"{self.name} has no split '{split}', it has: {ALL}"
            raise DatasetError(msg)
