# SPDX-License-Identifier: Apache-2.0
"""Where the camera went and where the map said it was: from above and from the side."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from dsac_core.evaluation.report.bands import MISSED, band, errors_in_words
from dsac_core.evaluation.report.plot import BOTTOM, LEFT, RIGHT, TOP, Axis, Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.evaluation.metrics import FrameResult

_WIDTH, _LEAST_HEIGHT, _MOST_HEIGHT = 360.0, 170.0, 400.0
_LEAST_EXTENT = 0.5  # metres
_MARGIN = 0.12  # of the extent, around the true path
_NAMES = ("x", "y", "z")
# For each upward axis, the two that lie to the right and up on a page seen from above.
_FROM_ABOVE = {(0, 1): (1, 2), (0, -1): (2, 1), (1, 1): (2, 0), (1, -1): (0, 2),
               (2, 1): (0, 1), (2, -1): (1, 0)}  # fmt: skip


CAMERA, ROBOT = "camera", "robot"  # whose poses they are
_UP_IN = {CAMERA: (0.0, -1.0, 0.0), ROBOT: (0.0, 0.0, 1.0)}  # optical frame; REP-103


class Up(NamedTuple):
    """The axis of the map that points most nearly upwards, and which way along it is up."""

    axis: int
    sign: int

    @property
    def name(self) -> str:
        """Such as ``+z``."""
        return ("+" if self.sign > 0 else "−") + _NAMES[self.axis]


def upwards(frames: Sequence[FrameResult], body: str = CAMERA) -> Up:
    """Which axis of the map is up, if cameras (or robots) were held upright on average."""
    quaternions = np.array([frame.truth[3:] for frame in frames if frame.truth is not None])
    mean = Rotation.from_quat(quaternions).apply(_UP_IN[body]).mean(axis=0)
    axis = int(np.abs(mean).argmax())
    return Up(axis, 1 if mean[axis] > 0 else -1)


def trajectories(frames: Sequence[FrameResult], body: str = CAMERA) -> tuple[str, str, int]:
    """Two drawings, from above and from the side, and how many estimates lie beyond them.

    Frames whose truth is not known are left out.
    """
    frames = [frame for frame in frames if frame.truth is not None]
    up = upwards(frames, body)
    right, away = _FROM_ABOVE[up]
    extent = np.ptp(_positions(frames), axis=0)
    along = right if extent[right] >= extent[away] else away
    above, beyond = _draw(frames, (right, 1), (away, 1), "The path from above")
    side, beyond_side = _draw(frames, (along, 1), up, "The path from the side")
    return above, side, max(beyond, beyond_side)


def _draw(
    frames: Sequence[FrameResult],
    across: tuple[int, int],
    upward: tuple[int, int],
    description: str,
) -> tuple[str, int]:
    axes, signs = [across[0], upward[0]], np.array([across[1], upward[1]])
    truth = _positions(frames)
    plot = _equal_plot(truth[:, axes] * signs, axes, signs, description)
    for part in _unbroken(truth):
        plot.line(((x, y) for x, y in truth[part][:, axes] * signs), "truth")
    beyond = 0
    for (x, y), frame in zip((truth[:, axes] * signs).tolist(), frames, strict=True):
        words = f"{frame.name}: {errors_in_words(frame)}"
        if not frame.localized or frame.pose is None:
            plot.cross(x, y, MISSED, f"{words}, not localized", 2.6)
            continue
        to_x, to_y = (np.array(frame.pose[:3])[axes] * signs).tolist()
        if plot.holds(to_x, to_y):
            plot.line([(x, y), (to_x, to_y)], "whisker")
            plot.dot(to_x, to_y, band(frame), words, 2.1)
        else:
            beyond += 1
            plot.dot(x, y, "b4 hollow", f"{words}, estimated beyond this picture", 4.5)
    return plot.svg(), beyond


def _equal_plot(
    points_N2: NDArray[np.float64], axes: list[int], signs: NDArray[np.int_], description: str
) -> Plot:
    """Axes of one scale around the points."""
    low, high = points_N2.min(axis=0), points_N2.max(axis=0)
    centre = (low + high) / 2
    extent = np.maximum((high - low) * (1 + 2 * _MARGIN), _LEAST_EXTENT)
    width = _WIDTH - LEFT - RIGHT
    most, least = _MOST_HEIGHT - TOP - BOTTOM, _LEAST_HEIGHT - TOP - BOTTOM
    metres_per_px = max(extent[0] / width, extent[1] / most)
    height = max(least, extent[1] / metres_per_px)
    half = metres_per_px * np.array([width, height]) / 2
    names = [
        f"{'−' if sign < 0 else ''}{_NAMES[axis]} (m)"
        for axis, sign in zip(axes, signs, strict=True)
    ]
    x, y = (
        Axis(float(c - h), float(c + h), name)
        for c, h, name in zip(centre, half, names, strict=True)
    )
    return Plot(x, y, description, width=_WIDTH, height=height + TOP + BOTTOM)


def _unbroken(places_N3: NDArray[np.float64]) -> list[slice]:
    """The parts of a path between jumps: a split may be made of several walks."""
    steps = np.linalg.norm(np.diff(places_N3, axis=0), axis=1)
    if not len(steps):
        return []
    jumps = np.flatnonzero(steps > max(0.25, 8.0 * float(np.median(steps)))) + 1
    return [slice(a, b) for a, b in pairwise([0, *jumps.tolist(), len(places_N3)])]


def _positions(frames: Sequence[FrameResult]) -> NDArray[np.float64]:
    return np.array([frame.truth[:3] for frame in frames if frame.truth is not None])
