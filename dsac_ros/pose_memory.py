# SPDX-License-Identifier: Apache-2.0
"""What a node remembers of its pose from one start to the next, by its settings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dsac_ros.image_records import SetPose
from dsac_ros.saved_pose import (
    PoseKeeper,
    SavedPose,
    SavedPoseError,
    read_saved_pose,
    saved_pose_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dsac_ros.image_records import Outcome

    Log = Callable[[str], object]


class PoseMemory:
    """The last accepted pose, in a file of the node's own.

    Args:
        node: The node's fully qualified name.
        folder: Of the files; empty for ``~/.ros/dsac/last_pose``.
        period: At most one write in so many seconds; 0: nothing is written or read.
        map_frame: Frame of the poses.
        body_frame: Frame whose pose it is; empty: that of the image.
        warn: Told in one line what does not work.
    """

    def __init__(
        self, node: str, folder: str, period: float, map_frame: str, body_frame: str, warn: Log
    ) -> None:
        """Nothing is read or written yet."""
        self.path = saved_pose_path(folder, node)
        self._map_frame, self._body_frame = map_frame, body_frame
        self._warn = warn
        self._keeper = PoseKeeper(self.path, period, warn) if period > 0 else None

    def recall(self, scenes: Collection[str], now: int) -> SetPose | None:
        """The pose of the last time, as a prior at ``now`` nanoseconds of the node's clock."""
        if self._keeper is None:
            return None
        try:
            saved = read_saved_pose(self.path, scenes, self._map_frame, self._body_frame)
        except SavedPoseError as error:
            self._warn(str(error))
            return None
        if saved is None:
            return None
        return SetPose(now, self._map_frame, saved.map_T_body, saved.covariance)

    def keep(self, outcome: Outcome, scene: str) -> None:
        """Remember what one image came to, where that was accepted."""
        map_T_body, covariance = outcome.map_T_body, outcome.covariance
        if self._keeper is None or map_T_body is None or covariance is None:
            return
        body = self._body_frame or outcome.frame_id
        saved = SavedPose(scene, self._map_frame, body, time.time(), map_T_body, covariance)
        self._keeper.keep(saved)

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._keeper is not None:
            self._keeper.flush()
