# SPDX-License-Identifier: Apache-2.0
"""The options of ``dsac train`` for the networks of DSAC and DSAC*."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_core.cli.arguments import positive_float, positive_int
from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from dsac_core.data.frame import Dataset
    from dsac_core.training.dense_config import DenseMapConfig, StageConfig

FAST = "fast"
METHODS = (FAST, "dsacstar", "dsacstar-tiny", "dsacpp", "dsacstar-rf49", "dsacstar-rf149",
           "encoder-decoder")  # fmt: skip
_STAGES = {"init": ("init",), "score": ("score",), "e2e": ("e2e",), "all": ("init", "e2e")}


def add_dense_options(parser: argparse.ArgumentParser) -> None:
    """Declare them; the method decides whether they count."""
    group = parser.add_argument_group(
        "DSAC and DSAC* (any --method but fast); the paper's schedule unless said otherwise"
    )

    def option(name: str, help_text: str, **settings: Any) -> None:
        group.add_argument(name, default=argparse.SUPPRESS, help=help_text, **settings)

    option(
        "--setting",
        "what to learn from: depth (poses from RGB-D then), a 3D model, or images alone"
        " (default: rgb)",
        choices=("rgbd", "rgb-model", "rgb"),
    )
    option(
        "--model",
        "of --setting rgb-model: PLY mesh or cloud, COLMAP points3D, or NVM, in the frame of the"
        " poses (default: the recording's depth)",
        type=Path,
        metavar="FILE",
    )
    option(
        "--stage",
        "init, score or e2e alone; e2e and score go on from the scene map that is there"
        " (default: all, init and then e2e)",
        choices=tuple(_STAGES),
    )
    option(
        "--preset",
        "dsac2017: score CNN by itself, then both end to end",
        choices=("dsac2017",),
    )
    option("--selection", "of hypotheses in training end to end", choices=("dsac", "softam"))
    option("--scoring", "of hypotheses", choices=("soft", "scorenet"))
    option("--e2e-iterations", "of end-to-end training (100000)", type=positive_int, metavar="N")
    option("--score-iterations", "of the score CNN alone (2000)", type=positive_int, metavar="N")
    option("--learning-rate", "of the stage init (1e-4)", type=positive_float, metavar="R")
    option("--e2e-learning-rate", "end to end (1e-6)", type=positive_float, metavar="R")
    option("--schedule", "of the learning rates (constant)", choices=("constant", "cosine"))
    option("--batch-size", "images a step (1)", type=positive_int, metavar="N")
    option("--image-height", "to which images are resized (480)", type=positive_int, metavar="PX")
    option("--proxy-depth", "of Eq. 17 in metres (10)", type=positive_float, metavar="M")
    option("--max-frames", "at most, spread evenly (10000)", type=positive_int, metavar="N")
    option("--no-augmentation", "show the images as they are", action="store_true")
    option("--float32", "no mixed precision in the stage init", action="store_true")


def given_dense_options(args: argparse.Namespace) -> list[str]:
    """The options among these that the user gave."""
    known = argparse.ArgumentParser()
    add_dense_options(known)
    names = (action.dest for action in known._actions if action.dest != "help")
    return [f"--{name.replace('_', '-')}" for name in names if name in args]


def dense_config(args: argparse.Namespace) -> DenseMapConfig:
    """The settings that the options mean.

    Raises:
        ConfigError: They contradict each other.
    """
    from dataclasses import replace

    from dsac_core.training.augmentation import NO_AUGMENTATION
    from dsac_core.training.dense_config import END_TO_END, INIT, SCORE, DenseMapConfig, dsac_2017
    from dsac_core.training.init_loss import InitLossConfig

    given = vars(args)
    everywhere: dict[str, Any] = {
        key: given[key] for key in ("schedule", "batch_size") if key in given
    }
    if given.get("no_augmentation"):
        everywhere["augmentation"] = NO_AUGMENTATION

    def stage(default: StageConfig, iterations: str, rate: str) -> StageConfig:
        named = {"iterations": given.get(iterations), "learning_rate": given.get(rate)}
        changes = {key: value for key, value in named.items() if value is not None}
        return replace(default, **everywhere, **changes)

    direct = {
        key: given[key]
        for key in ("setting", "selection", "scoring", "image_height", "max_frames")
        if key in given
    }
    loss = InitLossConfig()
    if "proxy_depth" in given:
        loss = replace(loss, proxy_depth=given["proxy_depth"])
    config = DenseMapConfig(
        network=args.method,
        stages=_STAGES[given.get("stage", "all")],  # type: ignore[arg-type]
        init=stage(INIT, "iterations", "learning_rate"),
        score=stage(SCORE, "score_iterations", "-"),
        e2e=stage(END_TO_END, "e2e_iterations", "e2e_learning_rate"),
        loss=loss,
        budget_seconds=given.get("budget_seconds"),
        low_precision=not given.get("float32", False),
        seed=args.seed,
        **direct,
    )
    if "preset" in given:
        for name, value in (("selection", "dsac"), ("scoring", "scorenet")):
            if given.get(name, value) != value:
                msg = f"--preset dsac2017 has --{name} {value}: leave --{name} away, or the preset"
                raise ConfigError(msg)
        config = replace(dsac_2017(config), stages=_stages_of_preset(given.get("stage", "all")))
    if "score" in config.stages and config.scoring != "scorenet":
        msg = "--stage score trains the score CNN: add --scoring scorenet"
        raise ConfigError(msg)
    return config


def _stages_of_preset(stage: str) -> Any:
    return ("init", "score", "e2e") if stage == "all" else _STAGES[stage]


def with_model(args: argparse.Namespace, dataset: Dataset) -> Dataset:
    """The recording, with the depth of ``--model`` if there is one.

    Raises:
        ConfigError: A model is given for a setting that takes none.
    """
    if "model" not in args:
        return dataset
    if getattr(args, "setting", None) != "rgb-model":
        msg = "--model is for --setting rgb-model"
        raise ConfigError(msg)
    from dsac_core.data.modelled_dataset import ModelledDataset
    from dsac_core.data.scene_model import load_scene_model

    return ModelledDataset(dataset, load_scene_model(args.model))
