# SPDX-License-Identifier: Apache-2.0
"""Axes drawn as inline SVG; colours and type come from the style sheet of the page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEFT, RIGHT, TOP, BOTTOM = 40.0, 14.0, 26.0, 40.0  # margins, for labels
_TICK_GAP = 6.0


@dataclass(frozen=True)
class Axis:
    """A range of values, and what they are."""

    low: float
    high: float
    label: str  # with the unit
    log: bool = False
    ticks: tuple[tuple[float, str], ...] | None = None  # value and text; None: round numbers

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one; beyond them outside."""
        if self.log:
            value = max(value, self.low * 1e-3)
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def marks(self, most: int) -> list[tuple[float, str]]:
        """Values and texts of about so many ticks."""
        if self.ticks is not None:
            return list(self.ticks)
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [(10.0**power, f"{10.0**power:g}") for power in range(first, last + 1)]
        from matplotlib.ticker import MaxNLocator

        values = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        slack = 1e-9 * (self.high - self.low)
        inside = [v for v in values if self.low - slack <= v <= self.high + slack]
        return [(float(v), _number(float(v))) for v in inside]


class Plot:
    """One drawing in a box with two axes."""

    def __init__(
        self, x: Axis, y: Axis, description: str, *, width: float = 360.0, height: float = 230.0
    ) -> None:
        """An empty box; sizes are of the whole drawing."""
        self.x, self.y, self._description = x, y, description
        self._width, self._height = width, height
        self._parts: list[str] = []

    def line(self, points: Iterable[tuple[float, float]], css: str) -> None:
        """Straight from point to point."""
        path = " ".join(f"{self._at_x(x):.1f},{self._at_y(y):.1f}" for x, y in points)
        if path:
            self._parts.append(f'<polyline class="{css}" points="{path}"/>')

    def area(
        self, points: Sequence[tuple[float, float]], css: str, *, down_to: float = 0.0
    ) -> None:
        """Filled between a line and a height."""
        if points:
            ends = [(points[-1][0], down_to), (points[0][0], down_to)]
            path = " ".join(f"{self._at_x(x):.1f},{self._at_y(y):.1f}" for x, y in [*points, *ends])
            self._parts.append(f'<polygon class="{css}" points="{path}"/>')

    def bar(self, x: tuple[float, float], y: tuple[float, float], css: str, title: str) -> None:
        """A box between two values on each axis."""
        left, right = sorted((self._at_x(x[0]), self._at_x(x[1])))
        top, bottom = sorted((self._at_y(y[0]), self._at_y(y[1])))
        self._parts.append(
            f'<rect class="{css}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}"'
            f' height="{bottom - top:.1f}">{_title(title)}</rect>'
        )

    def dot(self, x: float, y: float, css: str, title: str = "", radius: float = 3.2) -> None:
        """A disc; what lies beyond the box is not drawn."""
        if self.holds(x, y):
            self._parts.append(
                f'<circle class="{css}" cx="{self._at_x(x):.1f}" cy="{self._at_y(y):.1f}"'
                f' r="{radius:g}">{_title(title)}</circle>'
            )

    def cross(self, x: float, y: float, css: str, title: str = "", size: float = 3.5) -> None:
        """An x; what lies beyond the box is not drawn."""
        if self.holds(x, y):
            left, top = self._at_x(x) - size, self._at_y(y) - size
            span = 2 * size
            self._parts.append(
                f'<path class="{css}" d="M{left:.1f} {top:.1f}l{span:g} {span:g}'
                f'm0 {-span:g}l{-span:g} {span:g}">{_title(title)}</path>'
            )

    def rule(self, css: str, *, x: float | None = None, y: float | None = None) -> None:
        """A line across the box at a value."""
        if x is not None:
            self.line([(x, self.y.low), (x, self.y.high)], css)
        if y is not None:
            self.line([(self.x.low, y), (self.x.high, y)], css)

    def text(
        self, x: float, y: float, words: str, *, css: str = "", anchor: str = "start",
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> None:  # fmt: skip
        """Words at a place, moved by so many pixels; ``anchor``: start, middle or end."""
        self._parts.append(
            f'<text class="{css}" x="{self._at_x(x) + shift[0]:.1f}"'
            f' y="{self._at_y(y) + shift[1]:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies within the axes."""
        return -1e-6 <= self.x.share(x) <= 1 + 1e-6 and -1e-6 <= self.y.share(y) <= 1 + 1e-6

    def svg(self) -> str:
        """The drawing."""
        width, height = self._width, self._height
        return (
            f'<svg class="plot" viewBox="0 0 {width:g} {height:g}" role="img"'
            f' aria-label="{escape(self._description)}">{self._grid()}'
            f"<g>{''.join(self._parts)}</g></svg>"
        )

    def _grid(self) -> str:
        left, right = LEFT, self._width - RIGHT
        top, bottom = TOP, self._height - BOTTOM
        parts = []
        for value, text in self.x.marks(max(3, int((right - left) / 55))):
            x = self._at_x(value)
            parts.append(f'<path class="grid" d="M{x:.1f} {top:g}V{bottom:g}"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 14:.1f}" class="mid">{text}</text>')
        for value, text in self.y.marks(max(3, int((bottom - top) / 28))):
            y = self._at_y(value)
            parts.append(f'<path class="grid" d="M{left:g} {y:.1f}H{right:g}"/>')
            x = left - _TICK_GAP
            parts.append(f'<text x="{x:g}" y="{y + 4:.1f}" class="end">{text}</text>')
        parts.append(f'<path class="axis" d="M{left:g} {bottom:g}H{right:g}"/>')
        middle = (left + right) / 2
        parts.append(
            f'<text class="mid label" x="{middle:g}" y="{self._height - 8:g}">'
            f"{escape(self.x.label)}</text>"
            f'<text class="label" x="4" y="13">{escape(self.y.label)}</text>'
        )
        return "".join(parts)

    def _at_x(self, value: float) -> float:
        return LEFT + self.x.share(value) * (self._width - LEFT - RIGHT)

    def _at_y(self, value: float) -> float:
        bottom = self._height - BOTTOM
        return bottom - self.y.share(value) * (bottom - TOP)


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
