# SPDX-License-Identifier: Apache-2.0
"""``dsac compare``: runs of ``dsac evaluate`` side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

HELP = "put runs of 'dsac evaluate --json' side by side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="FILE.json", help="two or more; the first is measured"
        " against",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from dsac_core.errors import ConfigError
    from dsac_core.evaluation.comparison import comparison_table
    from dsac_core.evaluation.run_file import read_run

    if len(args.runs) < 2:
        msg = "name two or more files of 'dsac evaluate ... --json FILE' to compare"
        raise ConfigError(msg)
    runs = [read_run(file) for file in args.runs]
    sys.stdout.write(comparison_table(_names(args.runs), runs) + "\n")
    return 0


def _names(files: Sequence[Path]) -> list[str]:
    """What tells the files apart: their names, else their paths."""
    names = [file.stem for file in files]
    return names if len(set(names)) == len(names) else [str(file) for file in files]
