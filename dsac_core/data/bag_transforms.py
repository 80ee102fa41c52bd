# SPDX-License-Identifier: Apache-2.0
"""The transforms of a bag: the tree that ``/tf`` and ``/tf_static`` make, at any time."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from dsac_core.data.bag_reader import stamp_nanoseconds
from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import from_quaternion, invert
from dsac_core.geometry.trajectory import MAX_GAP, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MAX_STILL_GAP = 10_000_000_000  # ns, what tf2 remembers: localization may be silent at rest


class TransformTree:
    """Frames and their parents; of a frame with several the one that came last counts, as in tf2.

    Unset quaternions and NaN are no transforms; who needs them is told that there are none.
    """

    def __init__(self) -> None:
        """Start without transforms."""
        self._parents: dict[str, str] = {}
        self._fixed: dict[tuple[str, str], FloatArray] = {}
        # By parent and child, in 64 bytes a sample: an hour of a robot with arms has millions.
        self._samples: dict[tuple[str, str], tuple[array[int], array[float]]] = {}

    def add_static(self, message: Any) -> None:
        """Add a ``tf2_msgs/TFMessage`` of ``/tf_static``."""
        for edge, _, values in _transforms(message):
            self._fixed[edge] = from_quaternion(values[:3], values[3:])
            self._parents[edge[1]] = edge[0]

    def add(self, message: Any) -> None:
        """Add a ``tf2_msgs/TFMessage`` of ``/tf``."""
        for edge, stamp, values in _transforms(message):
            stamps, poses = self._samples.setdefault(edge, (array("q"), array("d")))
            stamps.append(stamp)
            poses.extend(values)
            self._parents[edge[1]] = edge[0]

    def ancestors(self, frame: str) -> list[str]:
        """A frame, its parent, and so on to the root."""
        found = [plain(frame)]
        while (parent := self._parents.get(found[-1])) is not None and parent not in found:
            found.append(parent)
        return found

    def chain(self, target: str, source: str) -> TransformChain:
        """target_T_source over time.

        Raises:
            DatasetError: The tree does not join the two frames.
        """
        up_from_target, up_from_source = self.ancestors(target), self.ancestors(source)
        common = next((frame for frame in up_from_source if frame in up_from_target), None)
        if common is None:
            msg = f"TF does not join '{plain(target)}' and '{plain(source)}'"
            raise DatasetError(msg)
        down = up_from_target[: up_from_target.index(common)]
        up = up_from_source[: up_from_source.index(common)]
        return TransformChain([*map(self._edge, down)], [*map(self._edge, up)])

    def _edge(self, child: str) -> FloatArray | Trajectory:
        edge = self._parents[child], child
        if edge in self._fixed:
            return self._fixed[edge]
        stamps, values = self._samples[edge]
        values_N7 = np.array(values).reshape(-1, 7)
        poses_N44 = np.tile(np.eye(4), (len(values_N7), 1, 1))
        poses_N44[:, :3, :3] = Rotation.from_quat(values_N7[:, 3:]).as_matrix()
        poses_N44[:, :3, 3] = values_N7[:, :3]
        return Trajectory(zip(stamps, poses_N44, strict=True), MAX_GAP, MAX_STILL_GAP)


class TransformChain:
    """target_T_source: from source up to the frame that both descend from, and down to target."""

    def __init__(
        self, down: list[FloatArray | Trajectory], up: list[FloatArray | Trajectory]
    ) -> None:
        """Take parent_T_child of each edge, from target up and from source up."""
        self._down, self._up = down, up

    @property
    def moves(self) -> bool:
        """Whether it depends on time."""
        return any(isinstance(edge, Trajectory) for edge in (*self._down, *self._up))

    def at(self, stamp: int) -> FloatArray | None:
        """The pose [4 x 4] at a time in nanoseconds, each edge interpolated; None without one."""
        ancestor_T_target = _product(self._down, stamp)
        ancestor_T_source = _product(self._up, stamp)
        if ancestor_T_target is None or ancestor_T_source is None:
            return None
        return np.asarray(invert(ancestor_T_target) @ ancestor_T_source)


def plain(frame: str) -> str:
    """A frame's name without the slash that ROS 1 put before it."""
    return frame.strip().lstrip("/")


def _product(edges: list[FloatArray | Trajectory], stamp: int) -> FloatArray | None:
    ancestor_T_frame = np.eye(4)
    for edge in edges:
        parent_T_child = edge.at(stamp) if isinstance(edge, Trajectory) else edge
        if parent_T_child is None:
            return None
        ancestor_T_frame = parent_T_child @ ancestor_T_frame
    return ancestor_T_frame


def _transforms(message: Any) -> list[tuple[tuple[str, str], int, list[float]]]:
    """Parent and child, stamp in nanoseconds, and x, y, z, qx, qy, qz, qw of each."""
    found = []
    for stamped in message.transforms:
        t, q = stamped.transform.translation, stamped.transform.rotation
        values = [t.x, t.y, t.z, q.x, q.y, q.z, q.w]
        if np.isfinite(values).all() and any(values[3:]):
            edge = plain(stamped.header.frame_id), plain(stamped.child_frame_id)
            found.append((edge, stamp_nanoseconds(stamped.header.stamp), values))
    return found
