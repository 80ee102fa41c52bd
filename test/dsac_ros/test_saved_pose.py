# SPDX-License-Identifier: Apache-2.0
"""The last pose survives a restart, and nothing that is not one does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_ros.saved_pose import (
    PoseKeeper,
    SavedPose,
    SavedPoseError,
    read_saved_pose,
    saved_pose_path,
)


def saved(x: float = 1.5) -> SavedPose:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0.1, -0.2, 0.9]).as_matrix()
    pose[:3, 3] = x, -2.0, 0.25
    return SavedPose("office", "map", "base_link", 1_700_000_000.5, pose, np.diag([1e-4] * 6))


class Keeper:
    """A PoseKeeper with a clock and a list of warnings."""

    def __init__(self, path: Path, period: float = 5.0) -> None:
        self.now = 0.0
        self.warnings: list[str] = []
        self.keeper = PoseKeeper(path, period, self.warnings.append, lambda: self.now)


def read(path: Path) -> SavedPose | None:
    return read_saved_pose(path, ["home", "office"], "map", "base_link")


def place(path: Path) -> float:
    found = read(path)
    assert found is not None
    return float(found.map_T_body[0, 3])


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    assert read(path) is None
    Keeper(path).keeper.keep(saved())
    found = read(path)
    assert found is not None
    assert (found.scene, found.stamp) == ("office", saved().stamp)
    np.testing.assert_array_equal(found.map_T_body, saved().map_T_body)
    np.testing.assert_array_equal(found.covariance, saved().covariance)


def test_at_most_one_write_in_a_period_and_the_last_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    made = Keeper(path, period=5.0)
    for second in range(8):
        made.now = float(second)
        made.keeper.keep(saved(float(second)))
    assert place(path) == 5.0
    made.keeper.flush()
    assert place(path) == 7.0
    path.unlink()
    made.keeper.flush()  # nothing new
    assert not path.exists()


def test_two_robots_have_two_files() -> None:
    paths = {str(saved_pose_path("/x", name)) for name in ("/a/relocalizer", "/b/relocalizer")}
    assert paths == {"/x/a.relocalizer.json", "/x/b.relocalizer.json"}
    assert saved_pose_path("", "/n") == Path.home() / ".ros/dsac/last_pose/n.json"
    assert saved_pose_path("~/poses", "/n") == Path.home() / "poses/n.json"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scene": "garage"}, "scene 'garage', not home, office"),
        ({"map_frame": "world"}, "frame 'world', not 'map'"),
        ({"body_frame": "camera"}, "pose of 'camera', not of 'base_link'"),
        ({"format_version": 2}, "format version 1"),
        ({"stamp": "yesterday"}, "damaged"),
        ({"map_T_body": [[1, 0], [0, 1]]}, "damaged"),
        ({"map_T_body": np.zeros((4, 4)).tolist()}, "damaged"),
        ({"covariance": np.zeros((6, 6)).tolist()}, "damaged"),
        ({"covariance": [[1], [2, 3]]}, "damaged"),
    ],
)
def test_what_does_not_fit_is_ignored_in_one_line(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "pose.json"
    Keeper(path).keeper.keep(saved())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SavedPoseError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe", b'{"format_version": 1}'])
def test_a_damaged_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pose.json"
    path.write_bytes(content)
    with pytest.raises(SavedPoseError):
        read(path)


def test_half_a_file_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    Keeper(path).keeper.keep(saved())
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(SavedPoseError):
            read(path)


def test_a_folder_that_cannot_be_written_warns_once_and_goes_on(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    made = Keeper(blocker / "pose.json", period=1.0)
    for second in range(4):
        made.now = 2.0 * second
        made.keeper.keep(saved())
    made.keeper.flush()
    assert len(made.warnings) == 1
    assert str(blocker / "pose.json") in made.warnings[0]

    blocker.unlink()
    made.keeper.flush()
    assert place(blocker / "pose.json") == 1.5
    (blocker / "pose.json").unlink()
    blocker.rmdir()
    blocker.write_text("not a folder")
    made.keeper.keep(saved())
    made.keeper.flush()
    assert len(made.warnings) == 2


def test_what_json_cannot_hold_warns_and_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    made = Keeper(path, period=0.0)
    made.keeper.keep(saved())
    made.keeper.keep(replace(saved(), stamp=float("nan")))
    assert len(made.warnings) == 1
    assert place(path) == 1.5


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import numpy as np
from dsac_ros.saved_pose import PoseKeeper, SavedPose

whole = Path.write_text
def half(self, text):
    whole(self, text[:len(text) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
Path.write_text = half
pose = SavedPose("office", "map", "base_link", 0.0, np.eye(4), np.diag([1e-4] * 6))
PoseKeeper(Path(sys.argv[1]), 0.0, print).keep(pose)
"""


def test_a_kill_during_the_write_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    Keeper(path).keeper.keep(saved())
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        cwd=Path(__file__).parents[2],
    )
    assert killed.returncode == -signal.SIGKILL
    assert place(path) == 1.5
