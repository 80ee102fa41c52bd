# SPDX-License-Identifier: Apache-2.0
"""What a replay sent and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SentFrame:
    """An image that was published."""

    stamp: int  # ns, of the image
    published: float  # s, time.monotonic


@dataclass(frozen=True)
class ReceivedPose:
    """A pose from the node."""

    stamp: int  # ns, of the image
    received: float  # s, time.monotonic
    map_T_body: FloatArray  # [4 x 4]
    covariance: FloatArray  # [6 x 6]


@dataclass(frozen=True)
class ReceivedStatus:
    """What the node says became of an image."""

    stamp: int  # ns
    localized: bool
    latency: float  # s, measured in the node
    reason: str
    stages: dict[str, float] = field(default_factory=dict)  # s by stage
    scene: str = ""
    confidence: float = 0.0
    inliers: int = 0
    correspondences: int = 0


@dataclass(frozen=True)
class ReceivedTransform:
    """A transform whose parent is the map."""

    stamp: int  # ns
    child: str
    map_T_child: FloatArray  # [4 x 4]


@dataclass
class Collection:
    """Everything that came, in order."""

    poses: list[ReceivedPose] = field(default_factory=list)
    statuses: list[ReceivedStatus] = field(default_factory=list)
    transforms: list[ReceivedTransform] = field(default_factory=list)
