# SPDX-License-Identifier: Apache-2.0
"""Which frames of a recording are trained on, and which are kept aside to check the map with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from dsac_core.data.frame import spread_indices
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

    Raises:
        DatasetError: There are too few frames.
    """
    count = dataset.count(split)
    if count < MIN_FRAMES:
        msg = f"{dataset.name} has {count} posed images: mapping needs at least {MIN_FRAMES}"
        raise DatasetError(msg)
    chosen = spread_indices(count, config.max_frames)
    share = min(config.held_out_share, config.max_held_out / len(chosen))
    return chosen, held_out_positions(len(chosen), share, config.held_out_stretches)


def held_out_positions(count: int, share: float, stretches: int) -> set[int]:
    """Positions in ``stretches`` runs, evenly spread, that make up ``share`` of ``count``.

    Runs, because a frame whose two neighbours are trained on says nothing about new views.
    """
    stretches = max(1, min(stretches, int(count * share)))
    length = max(1, round(count * share / stretches))
    starts = [int((run + 0.5) * count / stretches - length / 2) for run in range(stretches)]
    return {start + offset for start in starts for offset in range(length)}
