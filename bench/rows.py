# SPDX-License-Identifier: Apache-2.0
"""A measurement that comes row by row: told, kept on the way, and a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench import machine
from bench.splits import Walks, walks_from_arguments
from dsac_core.errors import DsacError
from dsac_core.files import write_json

Row = dict[str, Any]


def run(
    args: Any,
    measure: Callable[[Walks], Iterator[Row]],
    table: Callable[[Sequence[Row]], str],
    about: dict[str, object],
) -> int:
    """Run it; the file is written after each row, so that an interrupted run leaves what it has.

    Args:
        args: With the arguments of ``add_walk_arguments``.
        measure: Gives the rows.
        table: Draws them.
        about: What was run, for the file.
    """
    machine.use_one_thread()
    rows: list[Row] = []
    try:
        walks = walks_from_arguments(args)
        for row in measure(walks):
            rows.append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            if args.json is not None:
                content = {"recording": walks.mapped.name, **about}
                write_json(args.json, {**content, "rows": rows, "machine": machine.describe()})
    except DsacError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print(f"\n{table(rows)}")
    return 0
