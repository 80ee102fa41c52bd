# SPDX-License-Identifier: Apache-2.0
"""Which frames of a recording are trained on, and which are kept aside to check the map with."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from dsac_core.data.frame import spread_indices
from dsac_core.data.joined_recordings import JoinedRecordings
from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from dsac_core.data.frame import Dataset

MIN_FRAMES = 10


class FrameChoice(Protocol):
    """The settings that decide."""

    @property
    def max_frames(self) -> int:
        """Spread evenly over a longer recording."""

    @property
    def held_out_share(self) -> float:
        """Of the frames."""

    @property
    def max_held_out(self) -> int:
        """However long the recording."""

    @property
    def held_out_stretches(self) -> int:
        """In so many runs of consecutive frames."""


def choose_frames(dataset: Dataset, split: str, config: FrameChoice) -> tuple[set[int], set[int]]:
    """Indices of the frames to read, and positions among these that are held out of training.

    Which stretches of a recording are held out does not depend on the recordings beside it: what a
    map was checked with is not trained on when the map is continued with another recording.

    Raises:
        DatasetError: There are too few frames.
    """
    count = dataset.count(split)
    if count < MIN_FRAMES:
        msg = f"{dataset.name} has {count} posed images: mapping needs at least {MIN_FRAMES}"
        raise DatasetError(msg)
    reserved = reserved_indices(count, config)
    if isinstance(dataset, JoinedRecordings) and max(dataset.counts) >= MIN_FRAMES:
        starts = accumulate([0, *dataset.counts[:-1]])
        reserved = {
            start + index
            for start, part in zip(starts, dataset.counts, strict=True)
            if part >= MIN_FRAMES
            for index in reserved_indices(part, config)
        }
    chosen = spread_indices(count, config.max_frames)
    held_out = sorted(chosen & reserved)
    kept = {held_out[place] for place in spread_indices(len(held_out), config.max_held_out)}
    chosen -= reserved - kept
    return chosen, {place for place, index in enumerate(sorted(chosen)) if index in kept}


def reserved_indices(count: int, config: FrameChoice) -> set[int]:
    """What is held out of a recording of ``count`` frames, whether it is read or not."""
    read = min(count, config.max_frames)
    share = min(config.held_out_share, config.max_held_out / read)
    positions = held_out_positions(read, share, config.held_out_stretches)
    # A frame that is not read goes with the nearest one that is.
    return {index for index in range(count) if (2 * index + 1) * read // (2 * count) in positions}


def held_out_positions(count: int, share: float, stretches: int) -> set[int]:
    """Positions in ``stretches`` runs, evenly spread, that make up ``share`` of ``count``.

    Runs, because a frame whose two neighbours are trained on says nothing about new views.
    """
    stretches = max(1, min(stretches, int(count * share)))
    length = max(1, round(count * share / stretches))
    starts = [int((run + 0.5) * count / stretches - length / 2) for run in range(stretches)]
    return {start + offset for start in starts for offset in range(length)}
