# SPDX-License-Identifier: Apache-2.0
"""A run as JSON and back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from image_files import error_of
from judged import judged

from dsac_core.evaluation.run_file import Run, read_run, write_run

RUN = Run({"scene": "lab", "split": "test", "depth": False}, [judged(0, 1.0), judged(1, math.inf)])


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    write_run(tmp_path / "run.json", RUN)
    assert read_run(tmp_path / "run.json") == RUN


def test_programs_find_figures_settings_and_frames(tmp_path: Path) -> None:
    write_run(tmp_path / "run.json", RUN)
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["run"] == RUN.about
    assert content["summary"]["localized_percent"] == 50.0
    assert sum(row["poses"] for row in content["reliability"]) == 2
    first, second = content["frames"]
    assert first["translation_error"] == pytest.approx(0.01)
    assert first["stages"] == {"encode": 0.02, "ransac": 0.01}
    assert (second["translation_error"], second["pose"]) == (None, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "name a file of 'dsac evaluate"),
        ("no JSON", "was not written by"),
        ("[1, 2]", "was not written by"),
        ('{"frames": 100, "recall": {}}', "was not written by"),
        ('{"format_version": 1, "run": {}, "frames": [{"name": "a"}]}', "was not written by"),
        ('{"format_version": 1, "run": {}, "frames": []}', "no frames"),
    ],
)
def test_another_file_is_told_in_one_line(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "run.json"
    if text is not None:
        file.write_text(text)
    message = error_of(lambda: read_run(file))
    assert words in message
    assert str(file) in message


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run.json", RUN)
    text = (tmp_path / "run.json").read_text()
    newer = text.replace('"format_version": 1', '"format_version": 2')
    (tmp_path / "run.json").write_text(newer)
    assert "format version 2" in error_of(lambda: read_run(tmp_path / "run.json"))
