# SPDX-License-Identifier: Apache-2.0
"""The entry point of ``dsac``, and of ``ros2 run dsac_core <command>``."""

from __future__ import annotations

import argparse
import os
import sys

from dsac_core import __version__
from dsac_core.cli import (
    align,
    check,
    compare,
    convert,
    evaluate,
    export,
    info,
    localize,
    office,
    train,
    view,
)
from dsac_core.errors import DsacError

COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "localize": localize,
    "convert": convert,
    "info": info,
    "check": check,
    "align": align,
    "export": export,
    "view": view,
    "office": office,
}
USAGE_ERROR = 2
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 2 for bad input, told in one line."""
    parser = argparse.ArgumentParser(
        prog="dsac", description="Visual relocalization by scene coordinate regression."
    )
    parser.add_argument("--version", action="version", version=f"dsac {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    args = parser.parse_args(argv)
    # OpenCV's own words about a damaged image would come beside ours.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        return int(args.run(args))
    except DsacError as error:
        return _complain(str(error))
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"\ninterrupted: {str(interrupt) or 'nothing was changed'}\n")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain(f"{error.filename or 'a file'}: {error.strerror or error}")


def _complain(message: str) -> int:
    clear_line = "\r\x1b[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{clear_line}error: {message}\n")
    return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
