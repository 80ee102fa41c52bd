# SPDX-License-Identifier: Apache-2.0
"""``dsac check``: what is wrong with a recording, before time is spent on it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dsac_core.cli.arguments import (
    add_dataset_arguments,
    limit_threads,
    open_from_arguments,
    positive_int,
)

HELP = "find wrong conventions in a recording: poses, intrinsics, depth, time (1: a fault found)"
FAULT_FOUND = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset_arguments(parser, default_split="train")
    parser.add_argument("--no-depth", action="store_true", help="leave depth alone")
    parser.add_argument("--json", type=Path, default=argparse.SUPPRESS, help="write findings here")
    parser.add_argument(
        "--threads",
        type=positive_int,
        default=argparse.SUPPRESS,
        help="CPU threads (default: all cores, or OMP_NUM_THREADS)",
    )


def run(args: argparse.Namespace) -> int:
    """Check the recording and print what was found; 1 where there is a fault."""
    from dsac_core.checks.check_recording import check_recording
    from dsac_core.data.open_dataset import choose_split, describe
    from dsac_core.files import write_json
    from dsac_core.progress import ConsoleProgress

    limit_threads(args)
    dataset = open_from_arguments(args)
    split = choose_split(dataset, args.split)
    sys.stdout.write(f"{describe(dataset)}\n")
    report = check_recording(dataset, split, ConsoleProgress(), with_depth=not args.no_depth)
    if "json" in args:
        write_json(args.json, {"dataset": dataset.name, "split": split, **report.as_dict()})
    sys.stdout.write(report.in_words())
    return 0 if report.is_good else FAULT_FOUND
