# SPDX-License-Identifier: Apache-2.0
"""``dsac train --method fast``: a new map, one that goes on, or the rest of an unfinished one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dsac_core.cli.arguments import topics_from_arguments
from dsac_core.cli.fast_options import fast_config
from dsac_core.cli.recordings import parts_to_continue, parts_to_resume
from dsac_core.data.frame import ALL
from dsac_core.data.joined_recordings import JoinedRecordings, named_recordings
from dsac_core.data.open_dataset import choose_split, describe, open_dataset
from dsac_core.errors import ConfigError, SceneMapError
from dsac_core.networks.precision import training_dtype
from dsac_core.progress import ConsoleProgress, silent
from dsac_core.scene.locate import HEADER_FILE
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.checkpoint import when_written
from dsac_core.training.encoded_recording import Validation
from dsac_core.training.fast_map import MappingInterrupted, map_scene
from dsac_core.training.live_recall import localized_well

if TYPE_CHECKING:
    import argparse

    from dsac_core.data.joined_recordings import Part
    from dsac_core.training.workers import Workers

_INTERRUPTED = 130  # exit code
_GO_ON = "go on with --resume"


def fast_map(
    args: argparse.Namespace, folder: Path, kept: Path, device: torch.device, workers: Workers
) -> SceneMap:
    """Map as the arguments say.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the message says what is left, if anything is.
    """
    config = fast_config(args)
    first = workers.rank == 0
    say = _say if first else _say_nothing
    named = named_recordings(args.dataset, args.split, topics_from_arguments(args), args.format)
    for _, recording in named:
        say(describe(recording))
    before: SceneMap | None = None
    gone: list[dict[str, Any]] = []
    there = (folder / HEADER_FILE).is_file()
    if args.resume:
        parts, verb = parts_to_resume(kept, named), "going on with"
    elif there and not args.replace:
        before = _map_to_continue(folder)
        parts, gone = parts_to_continue(before, folder, named, say)
        verb = "continuing"
    else:
        parts, verb = named, "replacing" if there else "mapping"
    dataset = JoinedRecordings(parts)
    validation = _validation(args, named) if "val" in args else None
    precision = str(training_dtype(device)).removeprefix("torch.")
    say(
        f"{verb} {args.scene}, from {dataset.name} ({dataset.count(ALL)} images), in {precision}"
        f" on {_place(device, workers)}"
    )
    stale = 0 if args.resume else when_written(kept)
    try:
        scene = map_scene(
            dataset,
            ALL,
            config,
            name=args.scene,
            frame_id=getattr(args, "frame_id", "map" if before is None else before.frame_id),
            device=device,
            progress=ConsoleProgress() if first else silent,
            checkpoint_file=kept,
            resume=args.resume,
            begin_with=before,
            validation=validation,
            workers=workers,
        )
    except KeyboardInterrupt as interrupt:
        if not first:
            raise SystemExit(_INTERRUPTED) from interrupt
        told = _after_interrupt(interrupt, folder, gone, device)
        if not told and when_written(kept) != stale:  # else it was still reading
            told = f"training is kept in {kept}; {_GO_ON}"
        raise KeyboardInterrupt(told) from interrupt
    return _with_gone(scene, gone)


def _map_to_continue(folder: Path) -> SceneMap:
    try:
        return SceneMap.load(folder)
    except SceneMapError as error:
        msg = f"{error}, with --replace"
        raise SceneMapError(msg) from error


def _after_interrupt(
    interrupt: KeyboardInterrupt, folder: Path, gone: list[dict[str, Any]], device: torch.device
) -> str:
    """Save the map so far, if there is any; returns what a user should know then."""
    if not isinstance(interrupt, MappingInterrupted):
        return ""
    try:
        return f"{interrupt.where}; {_keep_better(interrupt, folder, gone, device)}; {_GO_ON}"
    except KeyboardInterrupt:  # pressed again
        return ""


def _keep_better(
    end: MappingInterrupted, folder: Path, gone: list[dict[str, Any]], device: torch.device
) -> str:
    """Save the map so far, unless the one that stands there localizes more held-out views."""
    if end.scene is None:
        return "that is too early for a map"
    count = len(end.held_out)
    new = localized_well(end.scene, end.held_out, device)
    old = _old_map(folder)
    if old is not None:
        good = localized_well(old, end.held_out, device)
        if good > new:
            return (
                f"{folder} stays as it was: it localizes {good} of {count} held-out views, the map"
                f" so far {new}"
            )
    _with_gone(end.scene, gone).save(folder)
    return f"the map so far is in {folder} and localizes {new} of {count} held-out views"


def _old_map(folder: Path) -> SceneMap | None:
    """What stands there, in the frame of the recordings."""
    try:
        return replace(SceneMap.load(folder), map_T_scene=np.eye(4))
    except SceneMapError:  # none, or a damaged one
        return None


def _with_gone(scene: SceneMap, gone: list[dict[str, Any]]) -> SceneMap:
    if not gone:
        return scene
    return replace(scene, training={**scene.training, "recordings_gone": gone})


def _validation(args: argparse.Namespace, named: list[Part]) -> Validation:
    """What ``--val`` names: a split of the recording, else another recording."""
    source, dataset = named[0]
    if args.val in dataset.splits() and len(named) == 1:
        if args.val == source.split:
            msg = f"--val {args.val} is what is learned from: name another split or recording"
            raise ConfigError(msg)
        return Validation(dataset, args.val)
    other = open_dataset(Path(args.val), source.topics, source.format)
    split = "test" if "test" in other.splits() else choose_split(other, args.split)
    return Validation(other, split)


def _place(device: torch.device, workers: Workers) -> str:
    if device.type != "cpu":
        place = torch.cuda.get_device_name(device)
    else:
        threads = torch.get_num_threads()
        place = "1 thread" if threads == 1 else f"{threads} threads"
    return place if workers.count == 1 else f"{place} in each of {workers.count} processes"


def _say_nothing(_: str) -> None:
    """What all workers but the first have to say."""


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
