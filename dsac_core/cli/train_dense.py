# SPDX-License-Identifier: Apache-2.0
"""``dsac train`` with a network of DSAC or DSAC*."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dsac_core.cli.arguments import topics_from_arguments
from dsac_core.cli.dense_options import dense_config, with_model
from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    import torch

    from dsac_core.scene.scene_map import SceneMap
    from dsac_core.training.workers import Workers


def dense_map(
    args: argparse.Namespace, folder: Path, kept: Path, device: torch.device, workers: Workers
) -> SceneMap:
    """Train as the arguments say.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the message says what is left, if anything is.
    """
    from dsac_core.data.joined_recordings import joined_or_alone, named_recordings
    from dsac_core.data.open_dataset import describe
    from dsac_core.progress import ConsoleProgress
    from dsac_core.scene.scene_map import SceneMap
    from dsac_core.training.checkpoint import when_written
    from dsac_core.training.dense_map import map_scene_densely

    if workers.count > 1:
        msg = f"--method {args.method} trains in one process: start it without torchrun"
        raise ConfigError(msg)
    topics = topics_from_arguments(args)
    parts = named_recordings(args.dataset, args.split, topics, args.format)
    sys.stdout.writelines(f"{describe(recording)}\n" for _, recording in parts)
    dataset, split = joined_or_alone(parts)
    sys.stdout.write(f"mapping {args.scene} from {dataset.name} ({dataset.count(split)} images)\n")
    sys.stdout.flush()
    config = dense_config(args)
    begin_with = None if "init" in config.stages or args.resume else SceneMap.load(folder)
    stale = 0 if args.resume else when_written(kept)
    try:
        return map_scene_densely(
            with_model(args, dataset),
            split,
            config,
            name=args.scene,
            frame_id=getattr(args, "frame_id", "map"),
            device=device,
            progress=ConsoleProgress(),
            checkpoint_file=kept,
            resume=args.resume,
            begin_with=begin_with,
        )
    except KeyboardInterrupt as interrupt:
        if when_written(kept) == stale:  # it was still reading
            raise
        msg = f"training is kept in {kept}, go on with --resume"
        raise KeyboardInterrupt(msg) from interrupt
