# SPDX-License-Identifier: Apache-2.0
"""The table of parameters, and the file that ships with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dsac_core.errors import ConfigError
from dsac_ros.parameters import Settings, table

CONFIG = Path(__file__).parents[2] / "config"


def parameters_of(file: Path) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text())
    return dict(content["/**"]["ros__parameters"])


def test_defaults_are_valid_and_every_row_is_described() -> None:
    settings = Settings()
    for row in table():
        assert row.description
        assert getattr(settings, row.name) == row.default
        assert row.between is None or row.between[0] <= row.default <= row.between[1]


def test_the_shipped_file_holds_every_parameter_at_its_default() -> None:
    file = CONFIG / "relocalizer.yaml"
    # ROS reads no empty lists, so these stand there as a comment.
    lists = {row.name for row in table() if isinstance(row.default, tuple)}
    assert parameters_of(file) == {r.name: r.default for r in table() if r.name not in lists}
    assert all(f"# {name}: [" in file.read_text() for name in lists)


@pytest.mark.parametrize("file", sorted((CONFIG / "scenes").glob("*.yaml")), ids=lambda f: f.stem)
def test_scene_files_hold_valid_parameters_only(file: Path) -> None:
    given = parameters_of(file)
    assert set(given) <= {row.name for row in table()}
    Settings().changed(given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tf_mode": "sideways"}, "tf_mode must be one of auto, map_to_odom.*'sideways'"),
        ({"lost_after": 0.0}, r"lost_after must lie between 0.1 and 3600, got 0.0"),
        ({"lost_after": float("nan")}, "lost_after"),
        ({"gate_initial_fixes": 0}, "gate_initial_fixes"),
        ({"tf_mode": "map_to_odom"}, "needs odom_frame_id"),
        ({"tf_mode": "map_to_base"}, "needs base_frame_id"),
        ({"odom_frame_id": "odom", "base_frame_id": "odom"}, "must be different frames"),
        ({"cameras": ("left", "right")}, "several cameras need base_frame_id"),
        ({"cameras": ("left", "left"), "base_frame_id": "base"}, "cameras must be different"),
        ({"cameras": ("left", ""), "base_frame_id": "base"}, "cameras must be different names"),
        (
            {"cameras": ("left",), "base_frame_id": "base", "image_topic": "/camera/image_raw"},
            "with cameras, image_topic must be relative",
        ),
        ({"mode": "twice"}, "mode must be one of continuous, once"),
    ],
)
def test_nonsense_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings().changed(values)


def test_tf_mode_follows_the_frames() -> None:
    assert Settings().resolved_tf_mode == "none"
    assert Settings(odom_frame_id="odom").resolved_tf_mode == "map_to_odom"
    assert Settings(odom_frame_id="odom", tf_mode="none").resolved_tf_mode == "none"


def test_values_reach_the_gate() -> None:
    limits = Settings(gate_jump_fixes=7, lost_after=3.0, gate_speed=2.5).gate_limits()
    assert (limits.jump_fixes, limits.agree_within, limits.speed) == (7, 3.0, 2.5)


def test_changed_ignores_what_is_not_ours() -> None:
    assert Settings().changed({"use_sim_time": True, "lost_after": 1.0}).lost_after == 1.0


def test_summary_names_everything_in_one_line() -> None:
    summary = Settings().summary()
    assert "\n" not in summary
    assert all(f"{row.name}=" in summary for row in table())
