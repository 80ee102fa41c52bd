# SPDX-License-Identifier: Apache-2.0
"""The settings of fast mapping."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsac_core.errors import ConfigError
from dsac_core.networks.coordinate_head import HeadConfig
from dsac_core.training.augmentation import AugmentationConfig
from dsac_core.training.coordinate_loss import CoordinateLossConfig
from dsac_core.training.feature_stereo import StereoConfig
from dsac_core.training.landmark_config import LandmarkConfig


@dataclass(frozen=True)
class FastMapConfig:
    """How a scene is mapped within a budget of time."""

    budget_seconds: float = 120.0  # wall time for all of it: reading, encoding, training, checking
    iterations: int | None = None  # train for exactly so many instead of by the clock
    batch_size: int = 2048  # cells
    hidden_learning_rate: float = 0.04  # of Muon, at its highest; falls to zero as a cosine
    learning_rate: float = 3e-3  # of AdamW, for the other parameters, likewise
    warmup_iterations: int = 100
    weight_decay: float = 1e-2
    min_reliability: float = 0.05  # cells that XFeat finds less matchable are not used
    buffer_cells: int = 2_000_000  # bounds the memory: 0.26 kB each
    max_frames: int = 2000  # spread evenly over a longer recording
    held_out_share: float = 0.06  # of the frames, to calibrate confidence and covariance
    max_held_out: int = 40  # frames, however long the recording
    held_out_stretches: int = 4  # in so many runs of consecutive frames
    vary_every: int = (
        3  # so many images are turned, scaled and exposed otherwise, and join; 0: none
    )
    varied_until: float = 0.6  # of the training; then only images that were taken
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    use_depth: bool = False  # supervise with depth where the recording has it
    finetune_seconds: float = 0.0  # end to end, at the end; on top of the budget
    checkpoint_seconds: float = 30.0  # between checkpoints
    seed: int = 0
    head: HeadConfig = field(default_factory=HeadConfig)
    loss: CoordinateLossConfig = field(default_factory=CoordinateLossConfig)
    stereo: StereoConfig | None = field(default_factory=StereoConfig)  # None: depth unestimated
    landmarks: LandmarkConfig | None = field(default_factory=LandmarkConfig)  # None: none are made
    regression: bool = True  # False: landmarks alone, the head is not trained

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        if not self.budget_seconds > 0:
            msg = f"budget_seconds must be positive, got {self.budget_seconds}"
            raise ConfigError(msg)
        if not self.regression and self.landmarks is None:
            msg = "a map needs regression or landmarks: leave one of them on"
            raise ConfigError(msg)
        if self.vary_every < 0:
            msg = f"vary_every must not be negative, got {self.vary_every}"
            raise ConfigError(msg)
        if not self.finetune_seconds >= 0:
            msg = f"finetune_seconds must not be negative, got {self.finetune_seconds}"
            raise ConfigError(msg)
        if self.iterations is not None and self.iterations < 1:
            msg = f"iterations must be at least 1, got {self.iterations}"
            raise ConfigError(msg)
        if not 0 < self.held_out_share < 0.5:
            msg = f"held_out_share must be between 0 and 0.5, got {self.held_out_share}"
            raise ConfigError(msg)
        for name in (
            "batch_size",
            "buffer_cells",
            "max_frames",
            "max_held_out",
            "held_out_stretches",
        ):
            if getattr(self, name) < 1:
                msg = f"{name} must be at least 1, got {getattr(self, name)}"
                raise ConfigError(msg)
