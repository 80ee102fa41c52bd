# SPDX-License-Identifier: Apache-2.0
"""A pose in a file of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import error_of

from dsac_core.data.pose_matrix import is_lost, pose_matrix, read_pose_text


def test_a_pose(tmp_path: Path) -> None:
    file = tmp_path / "pose.txt"
    file.write_bytes(b"0 -1 0 1.5\r\n1 0 0 -2e-1\r\n\r\n 0\t0 1 3\r\n0 0 0 1")
    text = read_pose_text(file)
    assert not is_lost(text)
    expected = [[0, -1, 0, 1.5], [1, 0, 0, -0.2], [0, 0, 1, 3], [0, 0, 0, 1]]
    np.testing.assert_array_equal(pose_matrix(text, file), expected)


@pytest.mark.parametrize("word", ["-inf", "INF", "-1.#INF", "nan", "NaN", "-1.#IND", "1.#QNAN"])
def test_words_for_lost(word: str) -> None:
    assert is_lost(f"1 0 0 {word}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
        "1 0 0 0\n0 1 0 0\n0 0 -1 0\n0 0 0 1",
        "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 2",
    ],
)
def test_no_pose(text: str) -> None:
    assert "a.txt does not hold" in error_of(lambda: pose_matrix(text, Path("a.txt")))


def test_a_missing_file(tmp_path: Path) -> None:
    assert "a.txt cannot be read" in error_of(lambda: read_pose_text(tmp_path / "a.txt"))
