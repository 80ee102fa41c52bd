# SPDX-License-Identifier: Apache-2.0
"""Keyframes: of a long recording the images that are about equally far apart in motion.

Chosen from poses alone, so that an hour's bag takes seconds. Where the camera stood still one image
is left; where it moved they are as dense as their number allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, degrees, radians, sqrt
from typing import TYPE_CHECKING

from scipy.spatial.transform import Rotation

from dsac_core.data.frame import ALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.data.stored_frame import StoredFrame, StoredRecording

# A metre changes what a camera sees in a room about as much: half of a usual field of view.
ANGLE_PER_METRE = radians(30.0)
_LEAST_SPACING = 0.01  # metres; less may be noise of poses
_BISECTIONS = 20


@dataclass(frozen=True)
class Spaced:
    """Indices, ascending, each at least ``spacing`` from the one before."""

    indices: list[int]
    spacing: float  # metres; rotation counts by ANGLE_PER_METRE


class Keyframes:
    """A recording of which only the keyframes are there, in each split that has more images."""

    def __init__(self, recording: StoredRecording, most: int) -> None:
        """Choose at most ``most`` of each split."""
        self.name = recording.name
        self._recording = recording
        self._chosen = {
            split: keyframes(recording.poses(split), most)
            for split in recording.splits()
            if recording.count(split) > most
        }
        words = [recording.kind]
        for split, chosen in self._chosen.items():
            of = f"of {recording.count(split)} images"
            if split != ALL:
                of += f" of split {split}"
            distance, angle = chosen.spacing, degrees(chosen.spacing * ANGLE_PER_METRE)
            words.append(f"{of} keyframes {distance:.2f} m or {angle:.1f} deg apart")
        self.kind = ", ".join(words)

    def splits(self) -> tuple[str, ...]:
        """Those of the recording."""
        return self._recording.splits()

    def count(self, split: str) -> int:
        """How many keyframes the split has."""
        chosen = self._chosen.get(split)
        return self._recording.count(split) if chosen is None else len(chosen.indices)

    def poses(self, split: str) -> NDArray[np.float64]:
        """world_T_cam of each keyframe [N x 4 x 4]."""
        poses_N44 = self._recording.poses(split)
        chosen = self._chosen.get(split)
        return poses_N44 if chosen is None else poses_N44[chosen.indices]

    def has_depth(self) -> bool:
        """Whether the recording has it."""
        return self._recording.has_depth()

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[StoredFrame]:
        """See ``Dataset.frames``; an index counts keyframes."""
        wanted, chosen = indices, self._chosen.get(split)
        if chosen is not None:
            wanted = {
                index
                for place, index in enumerate(chosen.indices)
                if indices is None or place in indices
            }
        return self._recording.frames(split, indices=wanted, with_depth=with_depth)


def keyframes(poses_N44: NDArray[np.float64], most: int) -> Spaced:
    """At most ``most`` of N poses [4 x 4], by the least spacing with which they are so few.

    Two poses are so far apart as they are in metres, or in rotation, whichever is more.
    """
    states = _states(poses_N44)
    low = high = _LEAST_SPACING
    best = _spaced(states, high)
    if len(best) <= most:
        return Spaced(best, high)
    while len(best) > most:
        low, high = high, 2 * high
        best = _spaced(states, high)
    spacing = high
    for _ in range(_BISECTIONS):
        middle = sqrt(low * high)
        found = _spaced(states, middle)
        if len(found) > most:
            low = middle
        else:
            best, spacing, high = found, middle, middle
    return Spaced(best, spacing)


_State = tuple[float, float, float, float, float, float, float]


def _states(poses_N44: NDArray[np.float64]) -> list[_State]:
    """Position and quaternion."""
    positions = poses_N44[:, :3, 3].tolist()
    quaternions = Rotation.from_matrix(poses_N44[:, :3, :3]).as_quat().tolist()
    return [(*p, *q) for p, q in zip(positions, quaternions, strict=True)]


def _spaced(states: list[_State], spacing: float) -> list[int]:
    """Plain numbers, as it is asked for many times and each choice hangs on the last."""
    chosen: list[int] = []
    squared, x, y, z, qx, qy, qz, qw = spacing * spacing, *(0.0,) * 7
    for index, (px, py, pz, ox, oy, oz, ow) in enumerate(states):
        far = not chosen or (px - x) ** 2 + (py - y) ** 2 + (pz - z) ** 2 >= squared
        if not far:
            cosine = min(1.0, abs(ox * qx + oy * qy + oz * qz + ow * qw))
            far = 2 * acos(cosine) >= spacing * ANGLE_PER_METRE
        if far:
            chosen.append(index)
            x, y, z, qx, qy, qz, qw = px, py, pz, ox, oy, oz, ow
    return chosen
