# SPDX-License-Identifier: Apache-2.0
"""The settings of RANSAC, with the values of DSAC* where it has them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dsac_core.errors import ConfigError

_USUAL_HEIGHT = 480  # px, of the images of DSAC*


@dataclass(frozen=True)
class RansacConfig:
    """How poses are sampled, scored and refined.

    Lengths of residuals are px with pixels (PnP), metres with depth (Kabsch).
    """

    hypotheses: int = 64  # M: scored, of each image
    inlier_threshold: float = 10.0  # tau
    scored_correspondences: int = 1000  # at most, to choose among hypotheses
    max_draws: int = 16_384  # minimal sets per image before giving up
    confidence: float = 0.99  # of having drawn an all-inlier set, at which sampling may stop
    max_refinements: int = 100  # steps, until pose and inlier set rest
    robust_scale: float | None = None  # of the Cauchy weights at the end; None: as in DSAC*
    min_inliers: int = 8  # below it there is no pose
    sharpness: float = 100.0  # alpha of Eq. 36, for scores as shares of the correspondences

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        positive = {
            "hypotheses": self.hypotheses,
            "inlier_threshold": self.inlier_threshold,
            "scored_correspondences": self.scored_correspondences,
            "max_draws": self.max_draws,
            "max_refinements": self.max_refinements,
            "sharpness": self.sharpness,
        }
        if self.robust_scale is not None:
            positive["robust_scale"] = self.robust_scale
        for name, value in positive.items():
            if not value > 0:
                msg = f"ransac.{name} must be positive, got {value}"
                raise ConfigError(msg)
        if not 0 < self.confidence < 1:
            msg = f"ransac.confidence must be between 0 and 1, got {self.confidence}"
            raise ConfigError(msg)
        if self.min_inliers < 4:
            msg = f"ransac.min_inliers must be at least 4, got {self.min_inliers}"
            raise ConfigError(msg)

    def at_height(self, height: int) -> RansacConfig:
        """The same for pixels of images of another height; the thresholds in px are for 480 px."""
        factor = height / _USUAL_HEIGHT
        robust = None if self.robust_scale is None else factor * self.robust_scale
        threshold = factor * self.inlier_threshold
        return replace(self, inlier_threshold=threshold, robust_scale=robust)

    @property
    def softness(self) -> float:
        """Beta of the soft inlier count (Eq. 34)."""
        return 5.0 / self.inlier_threshold


RGB_RANSAC = RansacConfig()
RGBD_RANSAC = RansacConfig(inlier_threshold=0.1)
