# SPDX-License-Identifier: Apache-2.0
"""What a loaded scene is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsac_ros.parameters import Settings
from dsac_ros.scene_loading import load_scene


def test_a_scene_is_called_as_it_was_asked_for(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "office").symlink_to(scenes / "corner")
    assert load_scene(tmp_path / "office", Settings()).name == "office"
    monkeypatch.chdir(scenes / "corner")
    assert load_scene(Path(), Settings()).name == "corner"
