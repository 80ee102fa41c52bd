# SPDX-License-Identifier: Apache-2.0
"""The settings of landmarks."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_core.errors import ConfigError


@dataclass(frozen=True)
class LandmarkConfig:
    """How keypoints of a recording become landmarks, and how many are kept."""

    keypoints: int = 1000  # of an image, at most
    most_keypoints: int = 600_000  # of a recording: bounds the memory, 0.15 kB each
    neighbours: int = 8  # other images that an image is matched with
    parallax: float = 0.15  # baseline over depth that is wanted of a neighbour
    min_similarity: float = 0.8  # cosine of the descriptors of a match
    max_error: float = 3.0  # px: from the epipolar line, and of a reprojection
    min_angle: float = 2.0  # degrees between the rays of a point whose depth was not measured
    most_landmarks: int = 20_000  # of a map
    most_views: int = 600  # of a map, to recognise a place by

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, value in vars(self).items():
            if not value > 0:
                msg = f"landmarks.{name} must be above zero, got {value}"
                raise ConfigError(msg)

    def keypoints_of(self, images: int) -> int:
        """Keypoints of each of so many images."""
        return max(1, min(self.keypoints, self.most_keypoints // max(1, images)))
