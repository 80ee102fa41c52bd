# SPDX-License-Identifier: Apache-2.0
"""The studies of the DSAC papers: run one, or all, and write the report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import machine, training_speed
from bench.studies import augmentation, endtoend, inliers, receptive_field, selection, size
from bench.studies.maps import CACHE
from bench.studies.report import write_report
from bench.studies.settings import add_options
from bench.studies.study import Run, carry_out, shown_command
from dsac_core.errors import DsacError

STUDIES = {
    module.STUDY.name: module.STUDY
    for module in (inliers, selection, endtoend, augmentation, receptive_field, size)
}
SECTIONS = [*(study.section for study in STUDIES.values()), training_speed.SECTION]
ALL, REPORT = "all", "report"
DOCS = Path(__file__).parents[2] / "docs"
_OURS = ("name", "docs", "cache", "fresh", "quiet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is named; the report follows."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(given)
    machine.use_one_thread()
    settings = {key: value for key, value in vars(args).items() if key not in _OURS}
    names = list(STUDIES) if args.name == ALL else [args.name]
    try:
        for name in names:
            if name != REPORT:
                study = STUDIES[name]
                run = Run(study.settings(settings), args.fresh, args.cache, args.quiet)
                command = shown_command("bench.studies", [name, *_without_name(given, args.name)])
                carry_out(study, run, command, args.docs / "results")
    except DsacError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print(f"written: {write_report(args.docs, SECTIONS)}")
    return 0


def _without_name(given: Sequence[str], name: str) -> list[str]:
    rest = list(given)
    rest.remove(name)
    return rest


def _parser() -> argparse.ArgumentParser:
    minutes = ", ".join(f"{study.name} {study.minutes:g}" for study in STUDIES.values())
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.studies",
        description=__doc__,
        epilog=f"Minutes with the defaults on one core, where no map is shared: {minutes}.",
    )
    parser.add_argument("name", choices=[*STUDIES, ALL, REPORT], help="what to run")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where results.md and results/ go")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where trained maps are kept")
    parser.add_argument("--fresh", action="store_true", help="train anew what the cache has")
    parser.add_argument("--quiet", action="store_true", help="no progress of training")
    add_options(parser.add_argument_group("settings (each study has defaults of its own)"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
