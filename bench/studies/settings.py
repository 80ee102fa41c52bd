# SPDX-License-Identifier: Apache-2.0
"""What the options of the command line decide, and the training settings that follow."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from dsac_core.training.augmentation import NO_AUGMENTATION, AugmentationConfig
from dsac_core.training.dense_config import DenseMapConfig, StageConfig
from dsac_core.training.init_loss import InitLossConfig, Setting

Augmentation = Literal["none", "full"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Settings:
    """Of one run of a study; a study has its own defaults for some."""

    dataset: Path | None = None  # a rosbag2 or 7-Scenes folder; None: the synthetic office
    split: str = "train"  # of the dataset, to train on
    test_dataset: Path | None = None  # None: the same
    test_split: str = "test"
    max_test: int = 1000  # test images at most, spread evenly
    views: int = 30  # to train on, in the office
    image_height: int = 96  # px
    network: str = "dsacstar-tiny"
    iterations: int = 2000  # of the stage init
    e2e_iterations: int = 300
    batch_size: int = 4
    learning_rate: float = 1e-3
    e2e_learning_rate: float = 1e-5
    schedule: Schedule = "cosine"
    proxy_depth: float = 3.0  # metres, of Eq. 17
    augmentation: Augmentation = "none"  # in training
    budget_seconds: float = 120.0  # of each training, where a study compares at equal time
    frames: int = 30  # of synthetic correspondences, for each figure
    device: str = "cpu"
    seed: int = 0

    def training(self, setting: Setting, **changes: Any) -> DenseMapConfig:
        """The settings of a training with these options."""
        geometric = AugmentationConfig() if self.augmentation == "full" else NO_AUGMENTATION
        photometric = replace(geometric, rotation_deg=0.0, scale_min=1.0, scale_max=1.0)
        init = StageConfig(
            self.iterations, self.learning_rate, self.batch_size, self.schedule, geometric
        )
        e2e = StageConfig(
            self.e2e_iterations, self.e2e_learning_rate, self.batch_size, "constant", photometric
        )
        config = DenseMapConfig(
            network=self.network,
            setting=setting,
            stages=("init",),
            init=init,
            e2e=e2e,
            loss=InitLossConfig(proxy_depth=self.proxy_depth),
            image_height=self.image_height,
            seed=self.seed,
        )
        return replace(config, **changes)

    def longer(self, setting: Setting) -> DenseMapConfig:
        """The control of end-to-end training: its images, steps and rate, the loss before it."""
        config = self.training(setting)
        return replace(config, init=config.e2e)

    def as_dict(self) -> dict[str, object]:
        """For JSON; of a path only its name, for the rest of it belongs to a machine."""
        given = asdict(self)
        if self.dataset is not None:
            del given["views"]  # which is of the office
        return {k: v.name if isinstance(v, Path) else v for k, v in given.items() if v is not None}


def add_options(parser: argparse._ArgumentGroup) -> None:
    """One option for each setting; a study's defaults hold for what is not given."""
    helps = {
        "dataset": "a rosbag2 or a 7-Scenes folder in place of the synthetic office",
        "split": "of the dataset, to train on",
        "test_dataset": "another recording of the same place, in the same frame, to test on",
        "test_split": "to test on",
        "max_test": "test images at most",
        "views": "training views of the office",
        "image_height": "px",
        "network": "coordinate network, where a study does not compare several",
        "iterations": "of the stage init",
        "batch_size": "images a step",
        "proxy_depth": "of Eq. 17, metres",
        "augmentation": "of training images, where a study does not compare both",
        "budget_seconds": "of each training, in the study `size`",
        "frames": "for each figure, in the study `inliers`",
        "device": "cpu, cuda, cuda:N or auto",
    }
    choices = {"augmentation": get_args(Augmentation), "schedule": get_args(Schedule)}
    types: dict[str, Any] = {"int": int, "float": float, "str": str, "Path | None": Path}
    for field in fields(Settings):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=types.get(str(field.type), str),
            choices=choices.get(field.name),
            default=argparse.SUPPRESS,
            help=helps.get(field.name),
        )
