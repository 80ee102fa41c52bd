# SPDX-License-Identifier: Apache-2.0
"""Several scenes as one relocalizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dsac_core.errors import ConfigError
from dsac_core.geometry.camera import Camera
from dsac_core.relocalizer import PoseEstimate
from dsac_ros.scene_set import LoadedScene, SceneSet

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
IMAGE = np.zeros((48, 64), np.uint8)


def estimate(confidence: float, *, localized: bool = True, inliers: int = 50) -> PoseEstimate:
    return PoseEstimate(
        world_T_cam=np.eye(4),
        covariance=np.eye(6),
        localized=localized,
        inliers=inliers,
        correspondences=100,
        score=0.5,
        reason=f"confidence {confidence}",
        confidence=confidence,
        timings={"ransac": 0.25},
    )


NOTHING = estimate(0.1, localized=False)


@dataclass
class House:
    """Scenes that answer what the test says, and who was asked for each image."""

    answers: dict[str, PoseEstimate]
    localized: bool = False
    per_image: int = 4
    asked: list[list[str]] = field(default_factory=list)
    given: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        scenes = [LoadedScene(name, "map", self._answer(name)) for name in self.answers]
        self.scenes = SceneSet(scenes, lambda: self.localized, self.per_image)

    def _answer(self, name: str) -> Any:
        def relocalize(_image: Any, _camera: Any, depth: Any = None, **hints: Any) -> Any:
            self.asked[-1].append(name)
            self.given.append((depth, hints))
            return self.answers[name]

        return relocalize

    def see(self, **hints: Any) -> PoseEstimate:
        self.asked.append([])
        return self.scenes(IMAGE, CAMERA, **hints)


def test_one_scene_answers_for_itself() -> None:
    house = House({"office": estimate(0.8)})
    assert house.see() is house.answers["office"]
    assert (house.scenes.answered, house.scenes.current) == ("office", "office")


def test_the_most_confident_of_those_that_localize_wins() -> None:
    house = House(
        {"hall": estimate(0.6), "lab": estimate(0.95, localized=False), "office": estimate(0.8)}
    )
    found = house.see()
    assert house.asked == [["hall", "lab", "office"]]
    assert (house.scenes.answered, found.confidence, found.localized) == ("office", 0.8, True)
    assert found.reason == "best of 3 scenes, 'office': confidence 0.8"
    assert found.timings == {"ransac": 0.75}


def test_of_equals_the_one_with_more_inliers_then_the_first() -> None:
    assert House({"a": estimate(0.8), "b": estimate(0.8, inliers=51)}).see().inliers == 51
    house = House({"a": estimate(0.8), "b": estimate(0.8)})
    house.see()
    assert house.scenes.answered == "a"


def test_a_localized_robot_asks_its_own_scene_alone() -> None:
    house = House({"hall": estimate(0.9), "lab": estimate(0.5)})
    house.see()
    house.localized = True
    house.answers["hall"] = estimate(0.2)
    house.answers["lab"] = estimate(0.99)
    house.see()
    assert house.asked[1:] == [["hall"]]
    house.localized = False
    house.see()
    assert house.asked[2] == ["hall", "lab"]
    assert house.scenes.current == "lab"


def test_a_localized_robot_that_left_its_scene_asks_the_others_soon() -> None:
    house = House({"hall": estimate(0.9), "lab": NOTHING})
    house.see()
    house.localized = True
    house.answers.update(hall=NOTHING, lab=estimate(0.9))
    for _ in range(4):
        house.see()
    assert house.asked[1:] == [["hall"], ["hall"], ["hall"], ["hall", "lab"]]
    assert house.scenes.current == "lab"
    house.see()
    assert house.asked[-1] == ["lab"]


def test_many_scenes_take_turns() -> None:
    house = House(dict.fromkeys("abcdefg", NOTHING), per_image=3)
    for _ in range(7):
        assert not house.see().localized
    assert house.asked[:3] == [["a", "b", "c"], ["d", "e", "f"], ["g", "a", "b"]]
    turns = [name for names in house.asked for name in names]
    assert {turns.count(name) for name in "abcdefg"} == {3}
    assert house.scenes.current == ""


def test_the_scene_that_localized_last_is_asked_every_time() -> None:
    """Or fixes in it could never confirm each other."""
    house = House({**dict.fromkeys("abcd", NOTHING), "e": estimate(0.7)}, per_image=2)
    for _ in range(6):
        house.see()
    assert house.asked == [["a", "b"], ["c", "d"], ["e", "a"], ["e", "b"], ["e", "c"], ["e", "d"]]


def test_depth_and_prior_reach_the_scene_and_no_prior_is_not_passed() -> None:
    house = House({"office": estimate(0.8)})
    depth, prior = np.ones((48, 64), np.float32), np.eye(4)
    house.see(depth=depth, prior=prior)
    house.see()
    (given, hints), (no_depth, no_hints) = house.given
    assert given is depth
    assert hints["prior"] is prior
    assert (no_depth, no_hints) == (None, {})


def test_an_image_of_another_camera_leaves_no_trace() -> None:
    house = House({"a": NOTHING, "b": NOTHING, "c": estimate(0.6), "d": estimate(0.9)}, per_image=2)
    house.asked.append([])
    name, found = house.scenes.localize(IMAGE, CAMERA)
    assert house.asked == [["a", "b", "c", "d"]]
    assert (name, found.confidence) == ("d", 0.9)
    assert (house.scenes.current, house.scenes.answered) == ("", "")
    house.see()
    assert house.asked[1] == ["a", "b"]

    assert house.scenes.localize(IMAGE, CAMERA, scene="c") == ("c", house.answers["c"])
    with pytest.raises(ConfigError, match="'attic' is not loaded; loaded scenes: a, b, c, d"):
        house.scenes.localize(IMAGE, CAMERA, scene="attic")


def test_in_words() -> None:
    assert str(House({"hall": NOTHING}).scenes) == "scene 'hall'"
    assert str(House({"hall": NOTHING, "lab": NOTHING}).scenes) == "scenes 'hall', 'lab'"


def test_two_scenes_of_one_name_are_refused() -> None:
    scene = LoadedScene("office", "map", lambda *_: NOTHING)
    with pytest.raises(ConfigError, match="two scenes are called 'office'"):
        SceneSet([scene, LoadedScene("lab", "map", lambda *_: NOTHING), scene])
