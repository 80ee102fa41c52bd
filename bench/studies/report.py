# SPDX-License-Identifier: Apache-2.0
"""docs/results.md, made from the JSON files of the studies and from nothing else.

NAME.md beside NAME.json, written by hand after seeing the figures, is taken in as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.studies.judge import Row
from bench.studies.study import Column, Section
from dsac_core.files import replacing_file

_HEAD = """\
# What the studies measured

The questions of the DSAC papers, asked again with this software. By default the studies are small:
a stretch of the synthetic office, images of low height, one CPU core, minutes of training in place
of days. So the figures here cannot be compared with those of the papers; the same commands run at
full size on any recording that `dsac train` takes:

    python3 -m bench.studies NAME --dataset RECORDING --image-height 480 --network dsacstar \\
      --augmentation full --batch-size 1 --iterations 1000000 --learning-rate 1e-4 \\
      --schedule constant --e2e-iterations 100000 --e2e-learning-rate 1e-6 --device cuda

The recording needs a split `test`; a bag has none, so name another walk with `--test-dataset`.

In the office, training views are every third image of a stretch of the mapping walk that looks
across the room; 6 % of them are held out, as `dsac train` does. Views *between* are the images that
were left out; views *beside* are moved by 30 to 50 cm along the ground and turned by 10 to 20°
about the vertical. RANSAC is that of DSAC*, its threshold of 10 px in proportion to the height of
the images: 2 px at 96. With depth it is 10 cm.

`make studies` runs all of them as below. This page is written by `python3 -m bench.studies report`
from the files in `results/`: do not edit it. "DSAC*" is Brachmann and Rother, TPAMI 2021; "DSAC" is
Brachmann et al., CVPR 2017.
"""
_MISSING = "–"


def write_report(docs: Path, sections: Sequence[Section]) -> Path:
    """Write results.md with a section for each measurement whose JSON file exists."""
    parts = [_HEAD]
    for section in sections:
        file = docs / "results" / f"{section.name}.json"
        if file.is_file():
            content = json.loads(file.read_text(encoding="utf-8"))
            parts.append(_section(section, content, file))
    target = docs / "results.md"
    with replacing_file(target) as unfinished:
        unfinished.write_text("\n".join(parts), encoding="utf-8")
    return target


def _section(section: Section, content: dict[str, Any], file: Path) -> str:
    blocks = [f"## {section.title}", section.intro, _origin(content)]
    blocks.append(table(section.columns, content["rows"]))
    picture = file.with_suffix(".png")
    if picture.is_file():
        blocks.append(f"![{section.title}](results/{picture.name})")
    blocks.append(section.notes)
    words = file.with_suffix(".md")
    if words.is_file():
        blocks.append(words.read_text(encoding="utf-8").strip())
    return "\n\n".join(blocks) + "\n"


def table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Markdown; a column that no row has is left out."""
    columns = [each for each in columns if any(row.get(each.key) is not None for row in rows)]
    lines = [[each.title for each in columns], ["---"] * len(columns)]
    lines += [[_cell(row.get(each.key), each.digits) for each in columns] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _cell(value: object, digits: int | None) -> str:
    if value is None:
        return _MISSING
    if digits is not None and isinstance(value, int | float):
        return f"{value:.{digits}f}"
    return str(value)


def _origin(content: dict[str, Any]) -> str:
    """Command, settings, machine, date."""
    machine = content["machine"]
    where = [str(machine["processor"]), _threads(machine["threads"])]
    where += [str(machine[key]) for key in ("gpu",) if machine.get(key)]
    where.append(f"torch {machine['torch']}")
    settings = ", ".join(f"{_plain(k)} {v}" for k, v in content["settings"].items())
    lines = [f"    {content['command']}", "", f"{content['date']}; {', '.join(where)}."]
    if settings:
        lines.append(f"Settings: {settings}.")
    return "\n".join(lines)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _plain(key: str) -> str:
    return key.replace("_", " ").replace("e2e", "end-to-end")
