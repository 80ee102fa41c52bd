# SPDX-License-Identifier: Apache-2.0
"""``dsac convert``: any recording as a folder of images with ``transforms.json``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dsac_core.cli.arguments import add_dataset_arguments, open_from_arguments
from dsac_core.errors import DatasetError

HELP = "write a recording as a folder of images, poses and depth (nerfstudio's transforms.json)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset_arguments(parser, default_split=argparse.SUPPRESS)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make; must not be there")
    parser.add_argument(
        "--no-depth", action="store_true", help="leave out the depth that the recording has"
    )


def run(args: argparse.Namespace) -> int:
    """Write the folder, whole or not at all."""
    from dsac_core.data.open_dataset import choose_split, describe
    from dsac_core.data.stored_frame import StoredRecording
    from dsac_core.data.write_nerfstudio import write_nerfstudio
    from dsac_core.files import replacing_directory
    from dsac_core.progress import ConsoleProgress

    out: Path = args.out.expanduser()
    if out.exists():
        msg = f"{out} is there already: name a folder that is not, or remove it"
        raise DatasetError(msg)
    recording = open_from_arguments(args)
    assert isinstance(recording, StoredRecording)  # as all readers are
    splits = (choose_split(recording, args.split),) if "split" in args else recording.splits()
    sys.stdout.write(f"{describe(recording)}\n")
    sys.stdout.flush()
    count = sum(recording.count(split) for split in splits)
    with_depth = not args.no_depth and recording.has_depth()
    progress = ConsoleProgress()

    def report(done: int) -> None:
        progress("converting", done / count, f"image {done}/{count}")

    with replacing_directory(out) as unfinished:
        written = write_nerfstudio(
            recording, splits, unfinished, with_depth=with_depth, progress=report
        )
    depth = "with depth" if with_depth else "without depth"
    sys.stdout.write(f"{out} written: {written} images {depth}\n")
    return 0
