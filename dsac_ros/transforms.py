# SPDX-License-Identifier: Apache-2.0
"""Transforms from TF as 4x4 arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros import TransformException

from dsac_core.geometry.pose import from_quaternion
from dsac_ros.image_records import TransformError
from dsac_ros.stamps import NANOSECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rclpy.node import Node
    from tf2_ros import Buffer


class TfTransforms:
    """Looks up in a tf2 buffer that another thread fills.

    Where a lookup may wait, it is for the worker's thread only.

    Args:
        buffer: Filled by a TransformListener.
        timeout: Seconds to wait for a transform; may be replaced at any time.
    """

    def __init__(self, buffer: Buffer, timeout: float) -> None:
        """Nothing looked up yet."""
        self._buffer = buffer
        self.timeout = timeout

    def lookup(
        self, target: str, source: str, stamp: int, *, wait: bool = True
    ) -> NDArray[np.float64]:
        """target_T_source [4 x 4] at ``stamp`` nanoseconds.

        Raises:
            TransformError: It was not known within the timeout, or without ``wait`` at once.
        """
        return self._found(target, source, stamp, self.timeout if wait else 0.0)[0]

    def latest(self, target: str, source: str) -> tuple[NDArray[np.float64], int]:
        """target_T_source [4 x 4] as of late, and its stamp in nanoseconds; never waits.

        Raises:
            TransformError: There is none.
        """
        return self._found(target, source, 0, 0.0)

    def _found(
        self, target: str, source: str, stamp: int, timeout: float
    ) -> tuple[NDArray[np.float64], int]:
        try:
            found = self._buffer.lookup_transform(
                target, source, Time(nanoseconds=stamp), Duration(seconds=timeout)
            )
        except TransformException as error:
            # tf2 may explain itself over several lines.
            why = " ".join(str(error).split())
            when = "at the image's stamp" if stamp else "yet"
            msg = f"no transform from {source} to {target} {when}: {why}"
            raise TransformError(msg) from error
        offset, turn = found.transform.translation, found.transform.rotation
        target_T_source = from_quaternion(
            [offset.x, offset.y, offset.z], [turn.x, turn.y, turn.z, turn.w]
        )
        at = found.header.stamp
        return target_T_source, int(at.sec) * NANOSECONDS + int(at.nanosec)


def close_buffer(buffer: Buffer, node: Node) -> None:
    """Take away what a tf2 buffer has of its node, which it leaves behind by itself.

    The clock would call the handle of a buffer that is gone, and the process would crash.
    """
    buffer.jump_handle.unregister()
    frames_service = getattr(buffer, "srv", None)
    if frames_service is not None:
        node.destroy_service(frames_service)
