# SPDX-License-Identifier: Apache-2.0
"""Frames that know how they lie in the recording, so that they can be copied as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dsac_core.data.frame import Frame, Recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class StoredImage:
    """An encoded image: a file, or bytes."""

    ending: str  # of a file, with the dot: .jpg, .png
    content: Path | bytes


@dataclass(frozen=True)
class StoredDepth:
    """Registered depth in a file."""

    file: Path
    unit: float  # metres, of a value of one


@dataclass(frozen=True)
class StoredFrame(Frame):
    """A frame, and what it was decoded from where that can stand alone."""

    stored: StoredImage | None = None
    stored_depth: StoredDepth | None = None


@runtime_checkable
class StoredRecording(Recording, Protocol):
    """What the readers of all forms deliver."""

    def poses(self, split: str) -> NDArray[np.float64]:
        """world_T_cam of each frame [N x 4 x 4]; no image is read for it."""

    def has_depth(self) -> bool:
        """Whether any frame has it."""

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[StoredFrame]:
        """See ``Dataset.frames``."""
