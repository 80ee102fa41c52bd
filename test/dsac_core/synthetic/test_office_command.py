# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from rosbags.rosbag2 import Reader

from dsac_core.cli.main import main

SHORT = ("--seconds", "0.2", "--fast", "--processes", "1")


def test_writes_both_walks_and_keeps_them(tmp_path, capsys):
    assert main(["office", str(tmp_path), *SHORT]) == 0
    for name in ("office_mapping", "office_test"):
        with Reader(tmp_path / name) as reader:
            assert reader.topics["/camera/image_raw"].msgcount == 3
    assert "office_test: 100%" in capsys.readouterr().err
    assert main(["office", str(tmp_path), *SHORT]) == 0
    assert capsys.readouterr().out.count("is already there") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-3"], "-3"),
        (["--processes", "0"], "processes"),
        (["--seconds", "-1"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--seconds", "inf"], "--seconds"),
    ],
)
def test_bad_settings_are_one_line_and_exit_2(tmp_path, capsys, arguments, words):
    assert main(["office", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_something_else_is_one_line_and_exit_2(tmp_path, capsys):
    (tmp_path / "office_mapping").mkdir()
    assert main(["office", str(tmp_path), *SHORT]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "no whole recording" in error
    assert main(["office", str(tmp_path), "--overwrite", "--walk", "mapping", *SHORT]) == 0
