# SPDX-License-Identifier: Apache-2.0
"""Whether depth lies where the image has it: where depth jumps, the image has an edge more often.

It needs no poses. Edges of depth are laid over the image with another scale and shift, as a depth
camera with its own focal length beside the colour camera would have them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.checks.explain import BEYOND_CHANCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from dsac_core.checks.depth_views import DepthView

    FloatArray = NDArray[np.float64]

_MIN_VIEWS = 8
_MIN_EDGES = 200  # pixels of an image
_LEAST_INSIDE = 0.5  # of the edges, which must lie in the image
_SCALES = np.geomspace(0.5, 2.0, 41)
_COARSE = 4  # every so many edges will do for the widest search
_SHIFTS = np.arange(-0.06, 0.061, 0.015)  # shares of the width


@dataclass(frozen=True)
class Registration:
    """Where in the depth image a pixel of the image is."""

    scale: float = 1.0  # of its way from the principal point
    right: float = 0.0  # shares of the width
    down: float = 0.0

    def displacement(self) -> float:
        """Mean way from where it should be, as share of the width, over a 4:3 image."""
        x, y = np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.375, 0.375, 7))
        away = self.scale - 1.0
        return float(np.hypot(away * x + self.right, away * y + self.down).mean())


@dataclass(frozen=True)
class Alignment:
    """What edges say about the registration."""

    best: Registration
    given: float  # gradient at edges of depth above that of the whole image, mean over the views
    found: float  # the same with the best registration
    better: float  # share of the views in which it is more
    views: int  # that have edges enough; the other fields mean nothing where they are too few

    @property
    def is_known(self) -> bool:
        """Whether there were enough edges."""
        return self.views >= _MIN_VIEWS and self.found > 0.0

    @property
    def is_clear(self) -> bool:
        """Whether the best registration is much better than the given one, not by chance."""
        deviations = (2.0 * self.better - 1.0) * self.views**0.5
        return self.is_known and deviations >= BEYOND_CHANCE and self.given < 0.7 * self.found


def align_edges(depth_views: Sequence[DepthView]) -> Alignment:
    """The registration with which edges of depth lie on edges of the images most."""
    views = [view for view in depth_views if len(view.edges_E2) >= _MIN_EDGES]
    if len(views) < _MIN_VIEWS:
        return Alignment(Registration(), 0.0, 0.0, 0.0, len(views))
    given = scores(views, Registration())
    fewer = [replace(view, edges_E2=view.edges_E2[::_COARSE]) for view in views]
    best = max(_coarse(), key=lambda at: float(scores(fewer, at).mean()))
    most = scores(views, best)
    for candidates in (_shifted, _scaled_a_little, _shifted_a_little):
        for at in list(candidates(best)):
            score = scores(views, at)
            if score.mean() > most.mean():
                best, most = at, score
    if given.mean() >= most.mean():
        best, most = Registration(), given
    better = float((most > given).mean())
    return Alignment(best, float(given.mean()), float(most.mean()), better, len(views))


def scores(views: Sequence[DepthView], at: Registration) -> FloatArray:
    """Gradient [V] at the edges of depth, above that of the whole image."""
    return np.array([_score(view, at) for view in views])


def _score(view: DepthView, at: Registration) -> float:
    height, width = view.depth_HW.shape
    centre = np.array([view.camera.cx, view.camera.cy])
    shift = width * np.array([at.right, at.down])
    x, y = np.rint((view.edges_E2 - centre - shift) / at.scale + centre).astype(np.int64).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if inside.mean() < _LEAST_INSIDE:
        return -1.0
    return float(view.gradient_HW[y[inside], x[inside]].mean() - view.gradient_HW.mean())


def _coarse() -> Iterable[Registration]:
    """Scale together with the shift along the line between two cameras side by side."""
    return (Registration(float(s), float(right)) for s in _SCALES for right in _SHIFTS)


def _shifted(around: Registration) -> Iterable[Registration]:
    grid = [(float(right), float(down)) for right in _SHIFTS for down in _SHIFTS]
    return (Registration(around.scale, right, down) for right, down in grid)


def _scaled_a_little(around: Registration) -> Iterable[Registration]:
    factors = (1.0 + 0.005 * step for step in range(-6, 7))
    return (Registration(around.scale * f, around.right, around.down) for f in factors)


def _shifted_a_little(around: Registration) -> Iterable[Registration]:
    steps = [0.005 * step for step in range(-2, 3)]
    return (
        Registration(around.scale, around.right + right, around.down + down)
        for right in steps
        for down in steps
    )
