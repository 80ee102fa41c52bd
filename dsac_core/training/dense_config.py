# SPDX-License-Identifier: Apache-2.0
"""The settings of training a network of DSAC*, with the paper's schedule as default."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from dsac_core.errors import ConfigError
from dsac_core.ransac.config import RGB_RANSAC, RGBD_RANSAC, RansacConfig
from dsac_core.ransac.pose_loss import PoseLossConfig
from dsac_core.training.augmentation import PHOTOMETRIC, AugmentationConfig
from dsac_core.training.init_loss import SETTINGS, InitLossConfig, Setting

StageName = Literal["init", "score", "e2e"]
Selection = Literal["dsac", "softam"]
Scoring = Literal["soft", "scorenet"]


@dataclass(frozen=True)
class StageConfig:
    """How one stage goes through the images; the values of DSAC*'s initialisation."""

    iterations: int = 1_000_000
    learning_rate: float = 1e-4  # of Adam
    batch_size: int = 1  # images
    schedule: Literal["constant", "cosine"] = "constant"  # of the learning rate
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        for name in ("iterations", "learning_rate", "batch_size"):
            if not getattr(self, name) > 0:
                msg = f"stage.{name} must be positive, got {getattr(self, name)}"
                raise ConfigError(msg)


INIT = StageConfig()
SCORE = StageConfig(iterations=2_000, augmentation=PHOTOMETRIC)
END_TO_END = StageConfig(iterations=100_000, learning_rate=1e-6, augmentation=PHOTOMETRIC)


@dataclass(frozen=True)
class DenseMapConfig:
    """How a network that sees whole images learns a scene."""

    network: str = "dsacstar"
    setting: Setting = "rgb"
    stages: tuple[StageName, ...] = ("init", "e2e")
    init: StageConfig = INIT
    score: StageConfig = SCORE  # of the score CNN alone
    e2e: StageConfig = END_TO_END
    loss: InitLossConfig = field(default_factory=InitLossConfig)
    pose_loss: PoseLossConfig = field(default_factory=PoseLossConfig)
    selection: Selection = "dsac"  # how end-to-end training softens the choice of a hypothesis
    scoring: Scoring = "soft"  # by the soft inlier count, or by the score CNN of 2017
    gradient_clamp: float | None = None  # of the pose loss in scene coordinates, per metre
    image_height: int = 480  # px
    max_frames: int = 10_000  # spread evenly over a longer recording: 0.3 MB each, 0.9 with depth
    held_out_share: float = 0.06  # of the frames, to calibrate confidence and covariance
    max_held_out: int = 40  # frames, however long the recording
    held_out_stretches: int = 4  # in so many runs of consecutive frames
    budget_seconds: float | None = None  # of training; None: as long as the iterations take
    low_precision: bool = True  # initialise in bfloat16 where the device is faster in it
    checkpoint_seconds: float = 60.0  # between checkpoints
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        if self.setting not in SETTINGS:
            msg = f"setting must be one of {', '.join(SETTINGS)}, got '{self.setting}'"
            raise ConfigError(msg)
        if not self.stages:
            msg = "there must be a stage to train"
            raise ConfigError(msg)
        if self.image_height < 32:
            msg = f"image_height must be at least 32, got {self.image_height}"
            raise ConfigError(msg)
        for name in ("budget_seconds", "gradient_clamp"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                msg = f"{name} must be positive, got {value}"
                raise ConfigError(msg)

    @property
    def with_depth(self) -> bool:
        """Whether poses are estimated from RGB-D images."""
        return self.setting == "rgbd"

    @property
    def ransac(self) -> RansacConfig:
        """What end-to-end training estimates poses with."""
        return RGBD_RANSAC if self.with_depth else RGB_RANSAC.at_height(self.image_height)

    def stage(self, name: StageName) -> StageConfig:
        """The settings of one stage."""
        return {"init": self.init, "score": self.score, "e2e": self.e2e}[name]


def dsac_2017(config: DenseMapConfig) -> DenseMapConfig:
    """As DSAC was trained in 2017: the score CNN by itself first, then both end to end.

    The gradient in each scene coordinate is clamped, at 0.1 per millimetre
    (cvlab-dresden/DSAC, ``core/lua/train_obj.lua``). Adam takes the place of the plain gradient
    descent there, whose rates belong to millimetres.
    """
    return replace(
        config,
        stages=("init", "score", "e2e"),
        scoring="scorenet",
        selection="dsac",
        gradient_clamp=100.0,
    )
