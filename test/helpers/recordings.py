# SPDX-License-Identifier: Apache-2.0
"""Recordings that are not on any disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dsac_core.data.frame import ALL, Frame


class Recording:
    """Frames in memory; depth only on demand."""

    name = "corner"

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def splits(self) -> tuple[str, ...]:
        return (ALL,)

    def count(self, split: str) -> int:
        return len(self._frames)

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        for index, frame in enumerate(self._frames):
            if indices is None or index in indices:
                yield frame if with_depth else replace(frame, depth=None)
