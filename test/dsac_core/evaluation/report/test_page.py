# SPDX-License-Identifier: Apache-2.0
"""The page as a whole: well formed, needing nothing beside it, whatever the run was like."""

from __future__ import annotations

import base64
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest
from judged import judged

from dsac_core.evaluation.metrics import FrameResult
from dsac_core.evaluation.report.page import write_report
from dsac_core.evaluation.report.worst_frames import Reprojections, WorstFrame, worst_first
from dsac_core.evaluation.run_file import Run

RUNS = {
    "good": [judged(i, 1.0 + i % 7) for i in range(60)],
    "half": [judged(i, math.inf if i % 2 else 2.0) for i in range(40)],
    "false": [judged(i, 3000.0 if i % 3 else 2.0) for i in range(40)],
    "nothing": [judged(i, math.inf) for i in range(30)],
    "unbelieved": [judged(i, 400.0, localized=False) for i in range(30)],
    "one": [judged(0, 1.0)],
    "escaped": [judged(i, 1.0, name=f"<{i}> & \"co\"", reason="a < b & c") for i in range(3)],
}  # fmt: skip


def views(frames: list[FrameResult]) -> list[WorstFrame]:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 60, size=(50, 2))
    spots = Reprojections(pixels, pixels + 3.0, rng.uniform(0, 40, size=50), 0.3)
    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, dtype=np.uint8))[1].tobytes()
    return [
        WorstFrame(frames[i], jpeg, (64, 48), 90.0, spots, spots if frames[i].pose else None)
        for i in worst_first(frames)
    ]


@pytest.fixture(params=RUNS)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[FrameResult], str]:
    frames = RUNS[request.param]
    about = {"scene": "lab & office", "dataset": "walk <2>", "split": "test", "depth": False}
    write_report(tmp_path / "deep" / "report.html", Run(about, frames), views(frames))
    return frames, (tmp_path / "deep" / "report.html").read_text(encoding="utf-8")


def test_it_is_well_formed_and_shows_each_worst_frame(page: tuple[list[FrameResult], str]) -> None:
    frames, text = page
    tree = ElementTree.fromstring(text)
    images = list(tree.iter("img"))
    assert [image.get("alt") for image in images] == [frames[i].name for i in worst_first(frames)]
    for image in images:
        kind, data = image.get("src", "").split(",", 1)
        assert kind == "data:image/jpeg;base64"
        decoded = np.frombuffer(base64.b64decode(data), np.uint8)
        assert cv2.imdecode(decoded, cv2.IMREAD_COLOR).shape == (48, 64, 3)


def test_it_loads_nothing(page: tuple[list[FrameResult], str]) -> None:
    text = page[1]
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<iframe|<object", text)
    tree = ElementTree.fromstring(text)
    sources = [element.get(name) for element in tree.iter() for name in ("src", "href", "srcset")]
    assert all(source is None or source.startswith("data:") for source in sources)


def test_it_has_no_numbers_that_are_none(page: tuple[list[FrameResult], str]) -> None:
    tree = ElementTree.fromstring(page[1])
    for element in tree.iter():
        values = [*element.attrib.values(), element.text or ""]
        assert not any(
            re.search(r"\b(nan|inf)\b", value) for value in values if "base64" not in value
        )


def test_the_figures_are_on_it(tmp_path: Path) -> None:
    frames = [*RUNS["half"], judged(99, 70.0)]
    write_report(tmp_path / "r.html", Run({"scene": "lab"}, frames), [])
    words = " ".join(ElementTree.fromstring((tmp_path / "r.html").read_text()).itertext())
    assert "localized: 21 of 41 frames" in words
    assert "48.8 %" in words  # 20 of 41 within 5 cm
    assert "1 frame of 41 claimed" in words
    assert "not localized (20)" in words


def test_plots_have_the_frames(tmp_path: Path) -> None:
    """Each frame is a mark in both pictures of the path and in the timeline."""
    write_report(tmp_path / "r.html", Run({}, RUNS["half"]), [])
    text = (tmp_path / "r.html").read_text()
    assert len(re.findall("<title>[^<]*not localized</title>", text)) == 3 * 20
    assert len(re.findall('<circle class="b0"[^>]*><title>', text)) == 3 * 20
