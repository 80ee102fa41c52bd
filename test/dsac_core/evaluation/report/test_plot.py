# SPDX-License-Identifier: Apache-2.0
"""Axes: where values land, and which ticks they get."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from dsac_core.evaluation.report.plot import BOTTOM, LEFT, RIGHT, TOP, Axis, Plot


def test_values_land_between_the_ends() -> None:
    assert [Axis(2.0, 6.0, "").share(v) for v in (2.0, 3.0, 6.0)] == [0.0, 0.25, 1.0]
    log = Axis(0.1, 1000.0, "", log=True)
    assert [log.share(v) for v in (0.1, 10.0, 1000.0)] == pytest.approx([0.0, 0.5, 1.0])
    assert log.share(0.0) < 0


def test_ticks_are_round_numbers_within_the_axis() -> None:
    marks = Axis(-0.93, 1.71, "").marks(6)
    assert [text for _, text in marks] == ["−0.5", "0", "0.5", "1", "1.5"]
    assert [text for _, text in Axis(0.03, 200.0, "", log=True).marks(6)] == [
        "0.1",
        "1",
        "10",
        "100",
    ]


def test_up_is_up_and_words_are_escaped() -> None:
    plot = Plot(Axis(0.0, 1.0, "a < b"), Axis(0.0, 10.0, "y"), "R&D", width=200.0, height=150.0)
    plot.dot(0.0, 0.0, "low", "<first>")
    plot.dot(1.0, 10.0, "high")
    plot.dot(1.5, 10.0, "outside")
    svg = ElementTree.fromstring(plot.svg())
    low, high = svg.iter("circle")
    assert (float(low.get("cx", "")), float(low.get("cy", ""))) == (LEFT, 150.0 - BOTTOM)
    assert (float(high.get("cx", "")), float(high.get("cy", ""))) == (200.0 - RIGHT, TOP)
    assert low[0].text == "<first>"
    assert "a < b" in [text.text for text in svg.iter("text")]
    assert svg.get("aria-label") == "R&D"
