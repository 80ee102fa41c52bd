# SPDX-License-Identifier: Apache-2.0
"""The views for RViz and Foxglove, and the examples in docs/: they parse, and name what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsac_ros.parameters import Settings, table
from dsac_ros.state import State

ROOT = Path(__file__).parents[1]
NODE = "/relocalizer"
RVIZ = ROOT / "config" / "relocalize.rviz"
FOXGLOVE = ROOT / "config" / "foxglove.json"
# Topics of others: of the camera, the robot, and ROS itself.
OF_OTHERS = {"/image", "/odom", "/initialpose", "/diagnostics", "/rosout", "/goal_pose",
             "/clicked_point"}  # fmt: skip


def published() -> set[str]:
    """The node's own topics, as its source names them."""
    source = "".join(file.read_text() for file in (ROOT / "dsac_ros").glob("*.py"))
    return {f"{NODE}/{name}" for name in re.findall(r'"~/(\w+)"', source)}


def walk(node: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def fields(message: str) -> set[str]:
    lines = [
        line.split("#")[0] for line in (ROOT / "msg" / f"{message}.msg").read_text().split("\n")
    ]
    return {line.split()[1] for line in lines if len(line.split()) == 2 and "=" not in line}


def test_rviz_shows_only_topics_that_exist() -> None:
    view = yaml.safe_load(RVIZ.read_text())
    topics = [value["Value"] for key, value in walk(view) if key == "Topic"]
    assert all(not topic.startswith("/") for topic in topics), "relative, for robots in namespaces"
    known = published() | OF_OTHERS
    assert {f"/{topic}" for topic in topics} <= known
    mine = {f"/{topic}" for topic in topics} & published()
    assert {f"{NODE}/{name}" for name in ("pose", "debug_image", "scene_points")} <= mine


def foxglove() -> dict[str, Any]:
    return dict(json.loads(FOXGLOVE.read_text()))


def foxglove_topics(layout: dict[str, Any]) -> Iterator[str]:
    for key, value in walk(layout["configById"]):
        if key == "topics":
            yield from value
        elif key.endswith("Topic") or key == "topicToRender":
            yield value
        elif key == "value" and str(value).startswith("/"):
            yield value.split(".")[0]


def test_foxglove_shows_only_topics_that_exist() -> None:
    topics = set(foxglove_topics(foxglove()))
    assert topics <= published() | OF_OTHERS
    assert {
        f"{NODE}/{name}" for name in ("pose", "status", "debug_image", "scene_points")
    } <= topics


def test_foxglove_plots_only_fields_of_the_status() -> None:
    paths = [
        value
        for key, value in walk(foxglove()["configById"])
        if key == "value" and str(value).startswith(f"{NODE}/status.")
    ]
    assert len(paths) > 3
    assert {path.split(".")[1] for path in paths} <= fields("RelocalizationStatus")


def test_foxglove_names_the_states_by_their_numbers() -> None:
    states = next(v for k, v in walk(foxglove()["configById"]) if k == "customStates")["states"]
    assert {each["label"]: int(each["value"]) for each in states} == {s.name: s for s in State}


def test_foxglove_places_every_panel_once() -> None:
    layout = foxglove()

    def placed(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        assert node["direction"] in ("row", "column")
        assert 0 < node["splitPercentage"] < 100
        return [*placed(node["first"]), *placed(node["second"])]

    assert sorted(placed(layout["layout"])) == sorted(layout["configById"])


def examples(document: str) -> list[dict[str, Any]]:
    """The YAML blocks of a document."""
    text = (ROOT / "docs" / document).read_text()
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("document", ["ekf.md", "nav2.md"])
def test_examples_of_parameters_parse_and_ours_are_ours(document: str) -> None:
    known = {row.name for row in table()}
    ours = 0
    for example in examples(document):
        for node, content in example.items():
            assert set(content) == {"ros__parameters"} or node in ("global_costmap",)
            if node == "relocalizer":
                ours += 1
                assert set(content["ros__parameters"]) <= known
                Settings().changed(content["ros__parameters"])
    assert ours == 1


def test_the_filters_of_the_example_have_all_fifteen_states() -> None:
    filters = [c["ros__parameters"] for e in examples("ekf.md") for n, c in e.items() if "ekf" in n]
    assert {each["world_frame"] for each in filters} == {"odom", "map"}
    for each in filters:
        for key, value in each.items():
            if key.endswith(("_config", "_covariance")):
                assert len(value) == 15


@pytest.mark.parametrize("document", ["ekf.md", "nav2.md"])
def test_examples_name_only_topics_that_exist(document: str) -> None:
    text = (ROOT / "docs" / document).read_text()
    named = set(re.findall(r"(?<![\w/])/?relocalizer/(\w+)", text))
    services = re.findall(r'"(\w+)", self\._', (ROOT / "dsac_ros" / "services.py").read_text())
    assert named
    assert {f"{NODE}/{name}" for name in named} <= published() | {f"{NODE}/{s}" for s in services}
