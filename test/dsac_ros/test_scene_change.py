# SPDX-License-Identifier: Apache-2.0
"""Other scenes are used when they are ready, and not at all where they cannot be."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from queue import Queue
from typing import Any

import pytest

from dsac_core.errors import ConfigError, SceneMapError
from dsac_ros.parameters import Settings
from dsac_ros.scene_change import BUSY, SceneChange
from dsac_ros.scene_set import LoadedScene

PATIENCE = 30.0  # s


class Rig:
    """A change of scenes whose loading ends when the test lets it."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.error: Exception | None = None
        self.frame = "map"
        self.used: list[str] = []
        self.refuse = ""
        self.ends: Queue[tuple[bool, str]] = Queue()
        self.change = SceneChange(self._load, "map", self._use)

    def _load(self, settings: Settings) -> list[LoadedScene]:
        self.ready.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return [LoadedScene(settings.scene, self.frame, lambda *_: pytest.fail("not asked for"))]

    def _use(self, scenes: Sequence[LoadedScene]) -> str:
        if self.refuse:
            raise ConfigError(self.refuse)
        self.used += [scene.name for scene in scenes]
        return "in use"

    def start(self, scene: str = "office", **settings: Any) -> None:
        self.change.start(Settings(scene=scene, **settings), self.ends.put)

    def end(self) -> tuple[bool, str]:
        self.ready.set()
        return self.ends.get(timeout=PATIENCE)


def test_scenes_are_used_when_they_are_ready() -> None:
    rig = Rig()
    rig.start()
    assert rig.ends.empty()
    assert not rig.used
    assert rig.end() == (True, "in use")
    assert rig.used == ["office"]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (SceneMapError("it is truncated"), "nothing has changed: it is truncated"),
        (ValueError("a bug"), "nothing has changed: internal error: ValueError: a bug"),
    ],
)
def test_broken_ones_are_not(error: Exception, why: str) -> None:
    rig = Rig()
    rig.error = error
    rig.start()
    assert rig.end() == (False, why)
    assert not rig.used


def test_another_frame_is_refused_unless_the_node_names_its_own() -> None:
    rig = Rig()
    rig.frame = "cellar"
    rig.start()
    in_use, why = rig.end()
    assert not in_use
    assert "'office' is in frame 'cellar', this node gives poses in 'map'" in why
    rig.start(map_frame_id="map")
    assert rig.end() == (True, "in use")


def test_a_refusal_of_the_node_is_an_answer() -> None:
    rig = Rig()
    rig.refuse = "the node was cleaned up"
    rig.start()
    assert rig.end() == (False, "nothing has changed: the node was cleaned up")


def test_one_change_at_a_time() -> None:
    rig = Rig()
    rig.start()
    rig.start("lab")
    assert rig.ends.get_nowait() == (False, BUSY)
    assert rig.end() == (True, "in use")
    assert rig.used == ["office"]


def test_whoever_waits_is_told_once() -> None:
    rig = Rig()
    rig.start()
    rig.change.end(in_use=False, why="the node ends")
    assert rig.ends.get_nowait() == (False, "the node ends")
    rig.ready.set()
    while not rig.used:
        pass
    assert rig.ends.empty()
