# SPDX-License-Identifier: Apache-2.0
"""A camera that is silent is named, with a hint where to look."""

from __future__ import annotations

import pytest

from dsac_ros.camera_diagnostics import CameraDiagnostics
from dsac_ros.diagnostics import Level, Report

IMAGE, INFO = "/robot/camera/image_raw", "/robot/camera/camera_info"
DEPTH = "/robot/depth"


def camera(transport: str = "raw", depth: str = "") -> CameraDiagnostics:
    made = CameraDiagnostics(IMAGE, INFO, transport, depth, timeout=5.0)
    made.open(100.0)
    return made


def report(made: CameraDiagnostics, now: float, publishers: tuple[int, int] = (1, 1)) -> Report:
    return made.report(now, {IMAGE: publishers[0], INFO: publishers[1], DEPTH: 1})


def feed(made: CameraDiagnostics, until: float, *, image: bool = True, info: bool = True) -> None:
    for index in range(int((until - 100.0) * 10) + 1):
        if image:
            made.on_image(100.0 + index / 10, "optical")
        if info:
            made.on_camera_info(100.0 + index / 10)


def test_images_and_calibration_come() -> None:
    made = camera()
    feed(made, 103.0)
    found = report(made, 103.0)
    assert (found.level, found.message) == (Level.OK, "images at 10.0 Hz")
    assert found.values["optical frame"] == "optical"
    assert made.rate(103.0) == pytest.approx(10.0)
    assert "hint" not in found.values


def test_a_camera_may_take_a_moment_to_start() -> None:
    assert report(camera(), 104.9).level is Level.OK
    assert report(camera(), 105.1).level is Level.WARN


@pytest.mark.parametrize(
    ("publishers", "words"),
    [(0, ("nobody publishes", "image_topic")), (1, ("image_transport compressed", "fastdds.xml"))],
)
def test_no_image_names_the_topic_and_what_to_check(publishers: int, words: tuple[str]) -> None:
    made = camera("compressed")
    feed(made, 110.0, image=False)
    found = report(made, 110.0, (publishers, 1))
    assert (found.level, found.message) == (Level.WARN, f"no image yet on {IMAGE}")
    for word in words:
        assert word in found.values["hint"]


def test_no_calibration_names_its_topic() -> None:
    made = camera()
    feed(made, 110.0, info=False)
    found = report(made, 110.0, (1, 0))
    assert (found.level, found.message) == (Level.WARN, f"no camera_info yet on {INFO}")
    assert "camera_info_topic" in found.values["hint"]
    assert found.values["time since last camera_info (s)"] == "none"


def test_depth_is_watched_where_it_is_used() -> None:
    made = camera(depth=DEPTH)
    assert made.topics == [IMAGE, INFO, DEPTH]
    feed(made, 110.0)
    assert report(made, 110.0).message == f"no depth yet on {DEPTH}"
    made.on_depth(110.0)
    assert report(made, 110.0).level is Level.OK
    assert camera().topics == [IMAGE, INFO]


def test_a_camera_that_stops() -> None:
    made = camera()
    feed(made, 110.0)
    assert report(made, 114.0).level is Level.OK
    found = report(made, 117.0)
    assert (found.level, found.message) == (Level.WARN, f"no image for 7 s on {IMAGE}")


def test_while_nobody_looks_it_is_stale_and_opening_starts_anew() -> None:
    made = camera()
    feed(made, 101.0)
    made.shut()
    assert report(made, 200.0).level is Level.STALE
    made.open(200.0)
    found = report(made, 201.0)
    assert (found.level, found.values["time since last image (s)"]) == (Level.OK, "none")
