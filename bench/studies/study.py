# SPDX-License-Identifier: Apache-2.0
"""What a study is, and what one run of it leaves behind."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from bench import machine
from bench.studies.judge import Row
from bench.studies.maps import CACHE, MapMaker
from bench.studies.settings import Settings
from dsac_core.files import replacing_file, write_json
from dsac_core.relocalizer import choose_device

Formatter = Callable[[Any], str]
_DPI = 130
_PLACES = ("--docs", "--cache")
_FLAGS = ("--quiet", "--fresh")  # that do not change what comes out


@dataclass(frozen=True)
class Column:
    """Of a table in the report."""

    key: str  # in the rows
    title: str
    digits: int | None = None  # after the point; None: as it is


def figure_columns(recalls: Sequence[str]) -> tuple[Column, ...]:
    """Of what the judge says of a map: frames, recall at these thresholds, medians."""
    return (
        Column("frames", "frames"),
        *(Column(key, f"{key[7:].replace('_', ' ')} (%)", 1) for key in recalls),
        Column("median_cm", "median (cm)", 2),
        Column("median_deg", "median (°)", 2),
    )


@dataclass(frozen=True)
class Section:
    """What the report says of a measurement, whatever its figures are."""

    name: str  # of its files
    title: str
    intro: str  # what is asked, and what the paper found, with the source
    notes: str  # what the figures are and are not; true of any figures
    columns: Sequence[Column]


@dataclass(frozen=True)
class Run:
    """What a study gets to work with."""

    settings: Settings
    fresh: bool = False  # train anew what the cache has
    cache: Path = CACHE
    quiet: bool = False

    def maker(self) -> MapMaker:
        return MapMaker(self.settings, cache=self.cache, fresh=self.fresh, quiet=self.quiet)


@dataclass(frozen=True)
class Study:
    """A question, how its rows come about, and how they are drawn."""

    section: Section
    rows: Callable[[Run], Iterator[Row]]
    draw: Callable[[Sequence[Row], dict[str, Any]], Figure]  # of rows and settings
    minutes: float  # with the defaults, on one core of the machine in docs/results.md
    defaults: dict[str, Any] = field(default_factory=dict)  # of settings
    uses: Sequence[str] = ()  # the settings that matter, beside those of all

    @property
    def name(self) -> str:
        return self.section.name

    def settings(self, given: dict[str, Any]) -> Settings:
        """Those given, else the study's own, else those of all."""
        return replace(Settings(), **{**self.defaults, **given})


def carry_out(study: Study, run: Run, command: Sequence[str], folder: Path) -> None:
    """Run a study and write NAME.json and NAME.png, each whole or not at all."""
    print(f"{study.name}: about {study.minutes:g} minutes with the defaults", flush=True)
    started = time.perf_counter()
    rows: list[Row] = []
    for row in study.rows(run):
        rows.append(row)
        print("  " + ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    settings = run.settings.as_dict()
    content = {
        "study": study.name,
        "command": shlex.join(command),
        "date": date.today().isoformat(),
        "seconds": round(time.perf_counter() - started, 1),
        "settings": {key: settings[key] for key in study.uses if key in settings},
        "machine": described(choose_device(run.settings.device)),
        "rows": rows,
    }
    figure = study.draw(rows, content["settings"])  # type: ignore[arg-type]
    with replacing_file(folder / f"{study.name}.png") as unfinished:
        figure.savefig(unfinished, format="png", dpi=_DPI)
    write_json(folder / f"{study.name}.json", content)


def described(device: torch.device) -> dict[str, object]:
    """What it ran on, the GPU as well."""
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {**machine.describe(), **gpu}


def shown_command(module: str, arguments: Sequence[str]) -> list[str]:
    """The command as the report shows it, without where its files go; of a path only its name."""
    shown: list[str] = []
    skip = False
    for each in arguments:
        option = each.split("=")[0]
        if not skip and option not in (*_PLACES, *_FLAGS):
            shown.append(Path(each).name if Path(each).is_absolute() else each)
        skip = not skip and each in _PLACES
    return ["python3", "-m", module, *shown]
