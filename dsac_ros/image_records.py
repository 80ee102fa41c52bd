# SPDX-License-Identifier: Apache-2.0
"""What goes into the pipeline of one image, what it asks of others, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dsac_core.errors import DsacError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core import PoseEstimate
    from dsac_core.geometry.camera import Camera
    from dsac_ros.state import State

    FloatArray = NDArray[np.float64]
    ByteImage = NDArray[np.uint8]
    DepthImage = NDArray[np.float32]


class TransformError(DsacError):
    """A transform is not known at the time of the image."""


class Transforms(Protocol):
    """Where transforms come from."""

    def lookup(self, target: str, source: str, stamp: int, *, wait: bool = True) -> FloatArray:
        """target_T_source [4 x 4] at ``stamp`` nanoseconds; raises TransformError."""
        ...

    def latest(self, target: str, source: str) -> tuple[FloatArray, int]:
        """The newest target_T_source [4 x 4] and its stamp, ns; raises TransformError."""
        ...


class Relocalize(Protocol):
    """A relocalizer: image and camera in, estimate out."""

    def __call__(
        self,
        image: ByteImage,
        camera: Camera,
        depth: DepthImage | None = None,
        *,
        prior: FloatArray | None = None,
    ) -> PoseEstimate:
        """See dsac_core.Relocalizer."""


@dataclass(frozen=True)
class SetPose:
    """Where somebody says that the body is."""

    stamp: int  # ns
    frame_id: str  # of the pose; the map's, or one that TF joins to it
    pose: FloatArray  # [4 x 4]
    covariance: FloatArray  # [6 x 6], fixed axes of that frame

    def __str__(self) -> str:
        x, y, z = self.pose[:3, 3]
        frame = f"'{self.frame_id}'" if self.frame_id else "the map"
        return f"{x:.2f}, {y:.2f}, {z:.2f} m in {frame}"


@dataclass(frozen=True)
class Frame:
    """One image with everything that its message said."""

    stamp: int  # ns
    frame_id: str  # optical frame of the camera
    decode: Callable[[], ByteImage]  # H x W x 3 RGB or H x W; raises DsacError
    camera: Callable[[int, int], Camera]  # of width, height; raises DsacError
    depth: Callable[[], DepthImage] | None = None  # metres, registered; raises DsacError


@dataclass
class Outcome:
    """What one image came to."""

    stamp: int
    frame_id: str
    state: State
    localized: bool  # accepted: publish the pose
    reason: str
    map_T_body: FloatArray | None = None  # only where localized
    covariance: FloatArray | None = None  # only where localized
    map_T_odom: FloatArray | None = None  # only where localized and the odometry is known
    estimate: PoseEstimate | None = None
    skipped: bool = False  # not looked at, and the reason says why
    timings: dict[str, float] = field(default_factory=dict)  # s by stage
