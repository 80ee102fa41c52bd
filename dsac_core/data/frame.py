# SPDX-License-Identifier: Apache-2.0
"""What every reader delivers: posed images, one at a time, in the order of the recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera

ALL = "all"


@dataclass(frozen=True)
class Frame:
    """One image of a recording."""

    name: str  # unique within the recording
    stamp: float  # seconds
    image: NDArray[np.uint8]  # H x W x 3, RGB
    camera: Camera  # of this image
    world_T_cam: NDArray[np.float64]  # 4 x 4, optical frame of the camera that took the image
    depth: NDArray[np.float32] | None = None  # H x W, metres along z, registered; 0 is "no depth"


class Dataset(Protocol):
    """A recording that can be mapped or evaluated on."""

    name: str

    def splits(self) -> tuple[str, ...]:
        """The splits that the recording has, ``all`` where it has no others."""

    def count(self, split: str) -> int:
        """How many frames the split has."""

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        """The frames of a split in order, or only those at ``indices``; depth only on demand.

        Raises:
            DatasetError: The split is unknown, or a frame is unreadable.
        """


class Recording(Dataset, Protocol):
    """A dataset as it lies on a disk."""

    kind: str  # in words, such as "7-Scenes"


def spread_indices(count: int, wanted: int) -> set[int]:
    """At most ``wanted`` of ``count`` indices, evenly spread, in the middle of equal stretches."""
    if wanted >= count:
        return set(range(count))
    return {int((index + 0.5) * count / wanted) for index in range(wanted)}
