# SPDX-License-Identifier: Apache-2.0
"""The options of ``dsac train`` for fast maps."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dsac_core.cli.arguments import (
    add_source_arguments,
    positive_float,
    positive_int,
    sources_from_arguments,
)
from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from dsac_core.training.fast_map_config import FastMapConfig

FAST_BUDGET = 120.0  # seconds
# What a process takes beside the cells, and what a cell takes: measured on a CPU, with images of
# 640x480 and 40 of them held out.
_BESIDE_GB = 0.8
_CELL_BYTES = 272


def add_fast_options(parser: argparse.ArgumentParser) -> None:
    """Declare them; the method decides whether they count."""
    group = parser.add_argument_group("fast maps (--method fast)")
    group.add_argument(
        "--depth",
        action="store_true",
        default=argparse.SUPPRESS,
        help="learn from the recording's depth too",
    )
    group.add_argument(
        "--val",
        metavar="RECORDING_OR_SPLIT",
        default=argparse.SUPPRESS,
        help="check the map with these frames, and learn from all of the recording (default: some"
        " stretches of the recording are held out)",
    )
    add_source_arguments(group, of="make")
    group.add_argument(
        "--vary-every",
        type=positive_int,
        metavar="N",
        default=argparse.SUPPRESS,
        help="one in N images joins a second time, turned, scaled and exposed otherwise; may help"
        " with views from elsewhere, and costs precision (default: none)",
    )
    group.add_argument(
        "--finetune-seconds",
        type=positive_float,
        default=argparse.SUPPRESS,
        help="after the training, train so long end to end, through RANSAC, on pose errors"
        " (default: not at all; on top of the budget)",
    )
    group.add_argument(
        "--memory-gb",
        type=positive_float,
        metavar="GB",
        default=argparse.SUPPRESS,
        help="memory that mapping may take in each process, however long the recording"
        f" (default: {_BESIDE_GB + 2e-3 * _CELL_BYTES:.1f})",
    )


def given_fast_options(args: argparse.Namespace) -> list[str]:
    """The options among these that the user gave."""
    known = argparse.ArgumentParser()
    add_fast_options(known)
    names = (action.dest for action in known._actions if action.dest != "help")
    return [f"--{name.replace('_', '-')}" for name in names if name in args]


def fast_config(args: argparse.Namespace) -> FastMapConfig:
    """The settings that the options mean.

    Raises:
        ConfigError: They cannot work.
    """
    from dataclasses import replace

    from dsac_core.training.fast_map_config import FastMapConfig
    from dsac_core.training.landmark_config import LandmarkConfig

    sources = sources_from_arguments(args)
    config = FastMapConfig(
        budget_seconds=getattr(args, "budget_seconds", FAST_BUDGET),
        iterations=getattr(args, "iterations", None),
        use_depth="depth" in args,
        landmarks=None if sources == "regression" else LandmarkConfig(),
        regression=sources != "landmarks",
        vary_every=getattr(args, "vary_every", 0),
        finetune_seconds=getattr(args, "finetune_seconds", 0.0),
        seed=args.seed,
    )
    if "memory_gb" in args:
        cells = int(1e9 * (args.memory_gb - _BESIDE_GB) / _CELL_BYTES)
        if cells < 100_000:
            msg = f"--memory-gb must be at least {_BESIDE_GB + 0.1:.1f}, got {args.memory_gb:g}"
            raise ConfigError(msg)
        config = replace(config, buffer_cells=cells)
    return config
