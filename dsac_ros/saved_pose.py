# SPDX-License-Identifier: Apache-2.0
"""The last pose, kept in a file so that a node that starts again knows where to look first.

Nothing is published because of it: the robot may have been carried away while the node was off.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.errors import DsacError
from dsac_core.files import write_json
from dsac_core.geometry.pose import is_rigid
from dsac_ros.frames import is_honest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

FOLDER = Path("~/.ros/dsac/last_pose")
FORMAT_VERSION = 1


class SavedPoseError(DsacError):
    """A saved pose cannot be used."""


@dataclass(frozen=True)
class SavedPose:
    """Where a robot was."""

    scene: str
    map_frame: str
    body_frame: str  # whose pose it is
    stamp: float  # s since 1970, the clock on the wall: simulated time starts again
    map_T_body: FloatArray  # [4 x 4]
    covariance: FloatArray  # [6 x 6], fixed axes of the map (REP-103)


def saved_pose_path(folder: str | Path, node: str) -> Path:
    """The file of a node, by its fully qualified name.

    Args:
        folder: Empty for ``~/.ros/dsac/last_pose``.
        node: Such as ``/robot_1/relocalizer``.
    """
    name = node.strip("/").replace("/", ".")
    return (Path(folder) if str(folder) not in ("", ".") else FOLDER).expanduser() / f"{name}.json"


def read_saved_pose(
    path: Path, scenes: Collection[str], map_frame: str, body_frame: str
) -> SavedPose | None:
    """The pose in a file; None where there is no such file.

    Args:
        path: Of ``saved_pose_path``.
        scenes: Names of the scene maps, of which it must be one.
        map_frame: Frame of the poses.
        body_frame: Frame whose pose it must be; empty: any.

    Raises:
        SavedPoseError: The file is damaged, of another version, or about something else.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _ignored(path, f"it cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
        raise _ignored(path, f"it is not of format version {FORMAT_VERSION}")
    saved = _parse(path, content)
    if saved.scene not in scenes:
        raise _ignored(path, f"it is of the scene '{saved.scene}', not {', '.join(scenes)}")
    if saved.map_frame != map_frame:
        raise _ignored(path, f"it is in the frame '{saved.map_frame}', not '{map_frame}'")
    if body_frame and saved.body_frame != body_frame:
        raise _ignored(path, f"it is the pose of '{saved.body_frame}', not of '{body_frame}'")
    return saved


class PoseKeeper:
    """Writes the last pose now and then, and at the end. Safe to use from several threads.

    Args:
        path: Of ``saved_pose_path``.
        period: At most one write in so many seconds.
        warn: Told once that writing does not work, and again after it worked in between.
        clock: Seconds, for ``period``.
    """

    def __init__(
        self,
        path: Path,
        period: float,
        warn: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing to write yet."""
        self.period = period
        self._path = path
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._unwritten: SavedPose | None = None
        self._tried_at: float | None = None
        self._warned = False

    def keep(self, pose: SavedPose) -> None:
        """Take the newest pose, and write it if that has not been done for a while."""
        with self._lock:
            self._unwritten = pose
            if self._tried_at is None or self._clock() - self._tried_at >= self.period:
                self._write()

    def flush(self) -> None:
        """Write what is not written yet, as before the node stops."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        pose = self._unwritten
        if pose is None:
            return
        self._tried_at = self._clock()
        try:
            write_json(self._path, _content(pose))
        except (OSError, ValueError) as error:
            if not self._warned:
                self._warn(f"the last pose cannot be kept in {self._path}: {error}")
            self._warned = True
            return
        self._warned = False
        self._unwritten = None


def _content(pose: SavedPose) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "scene": pose.scene,
        "map_frame": pose.map_frame,
        "body_frame": pose.body_frame,
        "stamp": pose.stamp,
        "map_T_body": pose.map_T_body.tolist(),
        "covariance": pose.covariance.tolist(),
    }


def _parse(path: Path, content: dict[str, Any]) -> SavedPose:
    try:
        saved = SavedPose(
            scene=str(content["scene"]),
            map_frame=str(content["map_frame"]),
            body_frame=str(content["body_frame"]),
            stamp=float(content["stamp"]),
            map_T_body=np.array(content["map_T_body"], dtype=np.float64),
            covariance=np.array(content["covariance"], dtype=np.float64),
        )
    except KeyError as error:
        raise _ignored(path, f"it is damaged: {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise _ignored(path, f"it is damaged: {error}") from error
    if not is_rigid(saved.map_T_body) or not is_honest(saved.covariance):
        raise _ignored(path, "it is damaged: what it holds is no pose with a covariance")
    return saved


def _ignored(path: Path, why: str) -> SavedPoseError:
    return SavedPoseError(f"the saved pose {path} is ignored, {why}; the next fix replaces it")
